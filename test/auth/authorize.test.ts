import { describe, expect, test } from '@jest/globals';
import {
  type Action,
  authorize,
  checkRepositoryPattern,
  type Grant,
  matchesRepository,
  type Principal,
  type Resource,
  type Role,
} from '../../lib/auth/index.js';

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

describe('grants', () => {
  const holder = (...grants: Grant[]): Principal => ({ id: 'r', name: 'robot', grants });
  const repository = (name: string): Resource => ({ kind: 'repository', name });

  test.each<[string, string, boolean]>([
    ['team/app', 'team/app', true],
    ['team/app', 'team/app2', false],
    ['team/app', 'team/app/web', false],
    ['team/*', 'team/app', true],
    ['team/*', 'team/app/web', true],
    ['team/*', 'team', false],
    ['team/*', 'team2/app', false],
    ['*', 'any/thing', true],
  ])('%s covers %s: %s', (pattern, name, expected) => {
    expect(matchesRepository(pattern, name)).toBe(expected);
    const may = authorize(holder({ repositories: pattern, actions: ['push'] }), 'push', repository(name));
    expect(may).toBe(expected);
  });

  test('reach what they name and nothing else: no other action, no API', () => {
    const robot = holder({ repositories: '*', actions: ['pull'] }, { repositories: 'team/*', actions: ['push'] });
    const allowed = ACTIONS.flatMap((action) =>
      [...RESOURCES, repository('other/app')]
        .filter((resource) => authorize(robot, action, resource))
        .map((resource) => `${action} ${resource.kind === 'repository' ? resource.name : resource.kind}`),
    );
    expect([...new Set(allowed)].sort()).toEqual([
      'catalog catalog',
      'pull other/app',
      'pull team/app',
      'push team/app',
    ]);
  });

  test('all repositories are listed only for who may pull them all', () => {
    const list = (grant: Grant): boolean => authorize(holder(grant), 'catalog', { kind: 'catalog' });
    expect(list({ repositories: '*', actions: ['pull'] })).toBe(true);
    expect(list({ repositories: '*', actions: ['push'] })).toBe(false);
    expect(list({ repositories: 'team/*', actions: ['pull'] })).toBe(false);
  });

  test.each(['', 'team*', '*/app', 'team/**', 'TEAM/*', '/*', 'team/', 'team/*/x', '**'])(
    '%j is no pattern',
    (text) => {
      expect(() => checkRepositoryPattern(text)).toThrow(
        expect.objectContaining({ code: 'REPOSITORY_PATTERN_INVALID', hint: expect.stringContaining('team/*') }),
      );
    },
  );
});
