import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Grant, identitiesOf, Robots, ApiTokens } from '../../lib/auth/index.js';
import { createTestStore, type TestStore } from '../fakes/embedded-store.js';
import { manualClock } from '../fakes/manual-clock.js';

const clock = manualClock();
const grants: readonly Grant[] = [{ repositories: 'team/*', actions: ['pull', 'push'] }];
let store: TestStore;
let robots: Robots;

beforeAll(async () => {
  store = await createTestStore({ clock });
  robots = new Robots(store);
});
afterAll(() => store.close());

describe('robots', () => {
  test('a secret is shown once, works, and is stored nowhere', async () => {
    const made = await robots.create('ci', { grants, description: 'pushes' });
    expect(await robots.verify(made.secret)).toMatchObject({ name: 'robot ci', grants });
    const info = await robots.get('ci');
    expect(info).toMatchObject({ name: 'ci', description: 'pushes', secrets: [{ id: made.secretId }] });
    const stored: string[] = [];
    for (const partition of ['ROBOTS']) {
      const { records } = await store.records.query(partition, {});
      stored.push(JSON.stringify(records));
    }
    expect(JSON.stringify([info, await robots.list(), stored])).not.toContain(made.secret);
    expect(JSON.stringify(info)).not.toContain('hash');
  });

  test('two secrets live at once and not three', async () => {
    const first = await robots.create('turning', { grants });
    const second = await robots.addSecret('turning');
    await expect(robots.addSecret('turning')).rejects.toMatchObject({
      code: 'ROBOT_SECRETS_FULL',
      hint: expect.stringContaining(first.secretId),
    });
    await robots.revokeSecret('turning', first.secretId);
    expect(await robots.verify(first.secret)).toBeUndefined();
    expect(await robots.verify(second.secret)).toBeDefined();
    await expect(robots.revokeSecret('turning', first.secretId)).rejects.toMatchObject({
      code: 'ROBOT_SECRET_NOT_FOUND',
    });
    expect((await robots.addSecret('turning')).secrets).toHaveLength(2);
  });

  test('two rotations at once leave two secrets that work', async () => {
    await robots.create('raced', { grants });
    const made = await Promise.allSettled([robots.addSecret('raced'), robots.addSecret('raced')]);
    expect(made.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect((await robots.get('raced')).secrets).toHaveLength(2);
  });

  test('a robot works until it expires, and longer when that is changed', async () => {
    const { secret } = await robots.create('brief', { grants, expiresInSeconds: 60 });
    clock.advance(59_000);
    expect(await robots.verify(secret)).toBeDefined();
    clock.advance(1_000);
    expect(await robots.verify(secret)).toBeUndefined();
    await robots.change('brief', { grants: [{ repositories: '*', actions: ['pull'] }] });
    expect(await robots.verify(secret)).toMatchObject({ grants: [{ repositories: '*', actions: ['pull'] }] });
  });

  test('a removed robot is gone with its secrets, and its name is free', async () => {
    const { secret } = await robots.create('gone', { grants });
    await expect(robots.create('gone', { grants })).rejects.toMatchObject({ code: 'ROBOT_EXISTS' });
    expect(await robots.remove('gone')).toBe(true);
    expect(await robots.remove('gone')).toBe(false);
    expect(await robots.verify(secret)).toBeUndefined();
    await expect(robots.get('gone')).rejects.toMatchObject({ code: 'ROBOT_NOT_FOUND' });
    await robots.create('gone', { grants });
    expect(await robots.verify(secret)).toBeUndefined();
  });

  test.each<[string, Parameters<Robots['create']>, string]>([
    ['a name with a slash', ['a/b', { grants }], 'ROBOT_INVALID'],
    ['an empty name', ['', { grants }], 'ROBOT_INVALID'],
    ['no grant', ['x', { grants: [] }], 'ROBOT_INVALID'],
    ['a grant of nothing', ['x', { grants: [{ repositories: '*', actions: [] }] }], 'ROBOT_INVALID'],
    ['an odd pattern', ['x', { grants: [{ repositories: 'team*', actions: ['pull'] }] }], 'REPOSITORY_PATTERN_INVALID'],
    ['an expiry of never', ['x', { grants, expiresInSeconds: 0 }], 'ROBOT_INVALID'],
    ['a long description', ['x', { grants, description: 'x'.repeat(201) }], 'ROBOT_INVALID'],
  ])('%s is refused', async (_, [name, spec], code) => {
    await expect(robots.create(name, spec)).rejects.toMatchObject({ code, hint: expect.any(String) });
  });

  test('secrets of robots and API tokens are told apart', async () => {
    const apiTokens = new ApiTokens(store);
    const identities = identitiesOf(apiTokens, robots);
    const { token } = await apiTokens.create('person', 'read');
    const { secret } = await robots.create('beside', { grants });
    expect(await identities.verify(token)).toMatchObject({ role: 'read' });
    expect(await identities.verify(secret)).toMatchObject({ grants });
    expect(await robots.verify(token)).toBeUndefined();
    expect(await apiTokens.verify(secret)).toBeUndefined();
    expect(await identities.verify('nothing')).toBeUndefined();
  });
});
