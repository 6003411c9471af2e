import { describe, expect, test } from '@jest/globals';
import { type Action, authorize, type Principal, type Resource, type Role } from '../../lib/auth/index.js';

const own: Resource = { kind: 'repository', name: 'team/app' };
const open: Resource = { kind: 'repository', name: 'team/app', isPublic: true };
const ACTIONS: readonly Action[] = ['pull', 'push', 'delete', 'catalog', 'read', 'deploy', 'administer'];

/** Everything that is allowed; what is not named here is refused. */
const ALLOWED: Readonly<Record<Role | 'nobody', readonly (readonly [Resource, readonly Action[]])[]>> = {
  nobody: [[open, ['pull']]],
  read: [
    [own, ['pull']],
    [open, ['pull']],
    [{ kind: 'catalog' }, ['catalog']],
    [{ kind: 'api' }, ['read']],
  ],
  deploy: [
    [own, ['pull', 'push']],
    [open, ['pull', 'push']],
    [{ kind: 'catalog' }, ['catalog']],
    [{ kind: 'api' }, ['read', 'deploy']],
  ],
  admin: [
    [own, ['pull', 'push', 'delete']],
    [open, ['pull', 'push', 'delete']],
    [{ kind: 'catalog' }, ['catalog']],
    [{ kind: 'api' }, ['read', 'deploy', 'administer']],
  ],
};

const RESOURCES: readonly Resource[] = [own, open, { kind: 'catalog' }, { kind: 'api' }];

const cells = (Object.keys(ALLOWED) as (Role | 'nobody')[]).flatMap((who) =>
  RESOURCES.flatMap((resource) =>
    ACTIONS.map((action) => {
      const allowed = ALLOWED[who].some(
        ([on, actions]) => JSON.stringify(on) === JSON.stringify(resource) && actions.includes(action),
      );
      return { who, action, resource, allowed, title: JSON.stringify(resource) };
    }),
  ),
);

describe('authorize', () => {
  test('the table has a cell for each of 4 callers, 4 resources and 7 actions', () => {
    expect(cells).toHaveLength(4 * 4 * 7);
  });

  test.each(cells)('$who may $action on $title: $allowed', ({ who, action, resource, allowed }) => {
    const principal: Principal | undefined = who === 'nobody' ? undefined : { id: 'p', name: who, role: who };
    expect(authorize(principal, action, resource)).toBe(allowed);
  });
});
