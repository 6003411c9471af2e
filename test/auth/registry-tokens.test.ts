import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createLocalJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify, SignJWT } from 'jose';
import {
  type Access,
  formatScope,
  parseScopes,
  type Principal,
  RegistryTokens,
  TokenKeys,
} from '../../lib/auth/index.js';
import { RecordsSecretStore } from '../../lib/store/records/secret-store-records.js';
import { createTestStore, type TestStore } from '../fakes/embedded-store.js';
import { manualClock } from '../fakes/manual-clock.js';

const clock = manualClock();
const principal: Principal = { id: '01J', name: 'ci', role: 'deploy' };
const access: readonly Access[] = [{ type: 'repository', name: 'team/app', actions: ['pull', 'push'] }];
/** What a token of those grants: nothing of its owner's role. */
const holder = {
  id: '01J',
  name: 'ci',
  grants: [{ repositories: 'team/app', actions: ['pull', 'push'] }],
  mayList: false,
  owner: principal,
};
let store: TestStore;
let secrets: RecordsSecretStore;
let tokens: RegistryTokens;

const keys = (): TokenKeys => new TokenKeys({ ...store, secrets });

beforeAll(async () => {
  store = await createTestStore({ clock });
  secrets = new RecordsSecretStore(store.records, { key: Buffer.alloc(32, 1) });
  tokens = new RegistryTokens({ ...store, keys: keys() });
});
afterAll(() => store.close());

describe('registry tokens', () => {
  test('a token says who it is for and what it grants', async () => {
    const { token, expiresInSeconds } = await tokens.issue(principal, access);
    expect(expiresInSeconds).toBe(300);
    expect(decodeProtectedHeader(token)).toMatchObject({ alg: 'ES256', kid: expect.any(String) });
    expect(decodeJwt(token)).toMatchObject({ aud: 'wharf', iss: 'wharf', sub: '01J', access });
    expect(await tokens.verify(token)).toEqual(holder);
  });

  test('a token without an owner verifies as nobody', async () => {
    const { token } = await tokens.issue(undefined, []);
    expect(await tokens.verify(token)).toEqual({ id: '', name: 'anonymous', grants: [], mayList: false });
  });

  test('a token is worth nothing after its time and the tolerance between clocks', async () => {
    const { token } = await tokens.issue(principal, access);
    clock.advance(300_000);
    expect(await tokens.verify(token)).toBeDefined();
    clock.advance(31_000);
    expect(await tokens.verify(token)).toBeUndefined();
  });

  test('another process of the installation signs and verifies with the same key', async () => {
    const other = new RegistryTokens({ ...store, keys: keys() });
    const { token } = await other.issue(principal, access);
    expect(await tokens.verify(token)).toEqual(holder);
  });

  test('the published key set verifies tokens and holds no private part', async () => {
    const { token } = await tokens.issue(principal, access);
    const jwks = await tokens.jwks();
    expect(JSON.stringify(jwks)).not.toContain('"d"');
    const verified = await jwtVerify(token, createLocalJWKSet(jwks), { currentDate: new Date(clock.nowMs()) });
    expect(verified.payload.sub).toBe('01J');
  });

  test('verifying reads nothing once the key is known', async () => {
    const { token } = await tokens.issue(principal, access);
    let reads = 0;
    const counting = new TokenKeys({
      ...store,
      secrets: {
        get: (name) => {
          reads += 1;
          return secrets.get(name);
        },
        put: (name, value) => secrets.put(name, value),
        delete: (name) => secrets.delete(name),
        list: (prefix) => secrets.list(prefix),
      },
    });
    const verifier = new RegistryTokens({ ...store, keys: counting });
    for (let i = 0; i < 5; i++) expect(await verifier.verify(token)).toBeDefined();
    expect(reads).toBe(1);
  });

  test('forgeries are refused: other key, other algorithm, none, other audience, changed claims, noise', async () => {
    const now = Math.floor(clock.nowMs() / 1000);
    const kid = decodeProtectedHeader((await tokens.issue(principal, access)).token).kid ?? '';
    const forge = (alg: string, audience: string): Promise<string> =>
      new SignJWT({ access, name: 'root', role: 'admin' })
        .setProtectedHeader({ alg, kid })
        .setIssuer('wharf')
        .setAudience(audience)
        .setSubject('x')
        .setExpirationTime(now + 300)
        .sign(new TextEncoder().encode('0123456789abcdef0123456789abcdef'));
    const genuine = (await tokens.issue(principal, access)).token.split('.');
    const claims = Buffer.from(JSON.stringify({ ...decodeJwt(genuine.join('.')), role: 'admin' })).toString(
      'base64url',
    );
    const none = Buffer.from(JSON.stringify({ alg: 'none', kid })).toString('base64url');
    const elsewhere = new RegistryTokens({ ...store, keys: keys() }, { service: 'other' });
    const forgeries = [
      await forge('HS256', 'wharf'),
      `${genuine[0]}.${claims}.${genuine[2]}`,
      `${none}.${genuine[1]}.`,
      (await elsewhere.issue(principal, access)).token,
      'a.b.c',
      '..',
      'not a token',
    ];
    for (const forgery of forgeries) expect(await tokens.verify(forgery)).toBeUndefined();
  });

  test('a token that was verified is refused all the same once its time is over, or its key was taken out', async () => {
    const replaceable = keys();
    const verifier = new RegistryTokens({ ...store, keys: replaceable });
    const { token } = await verifier.issue(principal, access);
    const { token: later } = await verifier.issue(principal, access);
    for (let i = 0; i < 3; i++) expect(await verifier.verify(token)).toEqual(holder);
    expect(await verifier.verify(`${token.slice(0, -4)}AAAA`)).toBeUndefined();
    clock.advance(331_000);
    expect(await verifier.verify(token)).toBeUndefined();
    clock.advance(-331_000);

    expect(await verifier.verify(later)).toEqual(holder);
    const old = (await secrets.get('registry/token-keys')) ?? '';
    await secrets.delete('registry/token-keys');
    // An unknown key makes the process look at the secret again; there it finds another key.
    clock.advance(31_000);
    expect(await replaceable.find('unknown')).toBeUndefined();
    expect(await verifier.verify(later)).toBeUndefined();
    expect((await secrets.get('registry/token-keys')) === old).toBe(false);
    await secrets.put('registry/token-keys', old);
  });

  test('of a thousand tokens more than it remembers each is told from the others', async () => {
    const named = await Promise.all(
      Array.from({ length: 1100 }, async (_, at) => {
        const { token } = await tokens.issue({ id: String(at), name: `ci-${at}`, role: 'read' }, []);
        return { token, name: `ci-${at}` };
      }),
    );
    for (let turn = 0; turn < 2; turn++) {
      for (const { token, name } of named) expect((await tokens.verify(token))?.name).toBe(name);
    }
  }, 30_000);

  test('a life outside 300 to 900 seconds is refused', () => {
    expect(() => new RegistryTokens({ ...store, keys: keys() }, { ttlSeconds: 60 })).toThrow(/300 to 900|cannot live/);
  });
});

describe('scopes', () => {
  test.each([
    [['repository:team/app:pull,push'], ['repository:team/app:pull,push']],
    [['repository:a:pull repository:b:push'], ['repository:a:pull', 'repository:b:push']],
    [['repository:a:pull', 'repository:a:push'], ['repository:a:pull,push']],
    [['repository:a:*'], ['repository:a:pull,push,delete']],
    [['repository(plugin):a:pull'], ['repository:a:pull']],
    [['registry:catalog:*'], ['registry:catalog:*']],
  ])('%j is read as %j', (given, expected) => {
    expect(parseScopes(given).map(formatScope)).toEqual(expected);
  });

  test.each([
    '',
    'repository',
    'repository:a',
    'repository:A:pull',
    'registry:all:*',
    'registry:catalog:pull',
    ':::',
    'x:y:z',
  ])('%j grants nothing and breaks nothing', (text) => {
    expect(parseScopes([text])).toEqual([]);
  });
});
