import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ApiTokens } from '../../lib/auth/index.js';
import { createTestStore, type TestStore } from '../fakes/embedded-store.js';
import { manualClock } from '../fakes/manual-clock.js';

const clock = manualClock();
let store: TestStore;
let tokens: ApiTokens;

beforeAll(async () => {
  store = await createTestStore({ clock });
  tokens = new ApiTokens(store);
});
afterAll(() => store.close());

describe('API tokens', () => {
  test('a created token is shown once and then verifies as its principal', async () => {
    const created = await tokens.create('laptop', 'deploy');
    expect(created.token).toMatch(/^wharf_[0-9a-f]{48}$/);
    expect(await tokens.verify(created.token)).toEqual({ id: created.id, name: 'laptop', role: 'deploy' });
  });

  test('nothing that is stored or listed contains the token', async () => {
    const { token } = await tokens.create('secret', 'admin');
    const listed = JSON.stringify(await tokens.list());
    const stored = JSON.stringify((await store.records.query('TOKENS', { limit: 1000 })).records);
    for (const text of [listed, stored]) expect(text).not.toContain(token.slice('wharf_'.length));
    expect(listed).not.toContain('hash');
  });

  test.each(['', 'wharf_', 'wharf_000', `wharf_${'0'.repeat(48)}`, 'x'.repeat(10_000), 'TOKENS', '\0'])(
    'an unknown token %j is nobody',
    async (token) => {
      expect(await tokens.verify(token)).toBeUndefined();
    },
  );

  test('a token is nobody from the moment it expires', async () => {
    const { token, id } = await tokens.create('short', 'read', { expiresInSeconds: 60 });
    clock.advance(59_999);
    expect(await tokens.verify(token)).toMatchObject({ id });
    clock.advance(1);
    expect(await tokens.verify(token)).toBeUndefined();
    expect((await tokens.list()).map((info) => info.id)).not.toContain(id);
  });

  test('a revoked token is nobody at once, and cannot be revoked twice', async () => {
    const { token, id } = await tokens.create('gone', 'admin');
    expect(await tokens.revoke(id)).toBe(true);
    expect(await tokens.verify(token)).toBeUndefined();
    expect(await tokens.revoke(id)).toBe(false);
  });

  test('a token given by the host is made valid once, however often it is given', async () => {
    const given = 'given-by-the-host-at-start';
    const [first, second] = await Promise.all([tokens.ensureToken(given, 'admin'), tokens.ensureToken(given, 'admin')]);
    expect(second.id).toBe(first.id);
    expect(await tokens.verify(given)).toMatchObject({ id: first.id, role: 'admin' });
    expect((await tokens.list()).filter((info) => info.name === 'given at start')).toHaveLength(1);
  });

  test.each(['short', 'has a blank inside it', 'ümlaut-in-a-long-token', ''])(
    'a token %j that could be guessed or not be typed is refused',
    async (given) => {
      await expect(tokens.ensureToken(given, 'admin')).rejects.toMatchObject({ code: 'TOKEN_TOO_SHORT' });
    },
  );

  test('names and expiries that make no sense are refused', async () => {
    await expect(tokens.create(' ', 'read')).rejects.toMatchObject({ code: 'TOKEN_NAME_INVALID' });
    await expect(tokens.create('x', 'read', { expiresInSeconds: 0 })).rejects.toMatchObject({
      code: 'TOKEN_EXPIRY_INVALID',
    });
  });
});
