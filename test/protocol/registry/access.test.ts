/** Who gets in: the token flow as clients walk it, and every route against every kind of caller. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import { digestOf } from '../../../lib/oci/index.js';
import { ROUTES } from '../../../lib/registry/http/index.js';
import { manualClock, type ManualClock } from '../../fakes/manual-clock.js';
import { imageSet } from './images.js';
import { type RunningRegistry, startTestRegistry } from './registry-server.js';
import { openEmbeddedStore, type OpenStore } from './stores.js';
import { Wire, type WireRequest, type WireResponse } from './wire.js';

const ten = Buffer.from('0123456789');
const digest = digestOf(ten);
const [index] = imageSet('an empty index').manifests;
if (index === undefined) throw new Error('the set has no manifest');

let clock: ManualClock;
let store: OpenStore;
let registry: RunningRegistry;
let wire: Wire;

beforeAll(async () => {
  clock = manualClock();
  store = await openEmbeddedStore({ clock });
  registry = await startTestRegistry(store, { publicRepositories: ['open/*'] });
  wire = new Wire(registry);
  for (const repository of ['own/app', 'other/app', 'open/app']) {
    await wire.push(repository, ten);
    await wire.put(repository, 'latest', index);
  }
});
afterAll(async () => {
  await registry.close();
  await store.close();
});

const basic = (secret: string, user = 'anyone'): string =>
  `Basic ${Buffer.from(`${user}:${secret}`).toString('base64')}`;

async function tokenFor(scopes: readonly string[], authorization: string | null): Promise<string> {
  const query = scopes.map((scope) => `scope=${encodeURIComponent(scope)}`).join('&');
  const answer = await wire.send('GET', `/token?service=wharf&${query}`, { authorization });
  expect(answer.status).toBe(200);
  return (JSON.parse(answer.bytes.toString()) as { token: string }).token;
}

describe('the token flow', () => {
  test('a call without credentials is told where to get a token for it', async () => {
    const challenge = async (method: string, path: string): Promise<string | null> => {
      const answer = await wire.send(method, path, { authorization: null });
      expect([answer.status, method === 'HEAD' || answer.code === 'UNAUTHORIZED']).toEqual([401, true]);
      return answer.headers.get('www-authenticate');
    };
    const start = `Bearer realm="${registry.url}/token",service="wharf"`;
    expect(await challenge('GET', '/v2/')).toBe(start);
    expect(await challenge('GET', '/v2/own/app/tags/list')).toBe(`${start},scope="repository:own/app:pull"`);
    expect(await challenge('POST', '/v2/own/app/blobs/uploads/')).toBe(`${start},scope="repository:own/app:pull,push"`);
    expect(await challenge('DELETE', '/v2/own/app/manifests/x')).toBe(`${start},scope="repository:own/app:delete"`);
    expect(await challenge('GET', '/v2/_catalog')).toBe(`${start},scope="registry:catalog:*"`);
  });

  test('a token grants what was asked and is allowed, and is answered in both dialects', async () => {
    const authorization = basic(registry.tokens.deploy);
    const scope = 'repository:own/app:pull,push,delete';
    const answer = await wire.send('GET', `/token?scope=${scope}&scope=repository:x:pull`, { authorization });
    const body = JSON.parse(answer.bytes.toString()) as Record<string, unknown>;
    expect(body).toMatchObject({ expires_in: 300, scope: 'repository:own/app:pull,push repository:x:pull' });
    expect(body['access_token']).toBe(body['token']);
    expect(body['refresh_token']).toBeUndefined();
    expect(Date.parse(String(body['issued_at']))).toBe(clock.nowMs());
    expect(answer.headers.get('cache-control')).toBe('no-store');
    expect(decodeJwt(String(body['token']))['access']).toEqual([
      { type: 'repository', name: 'own/app', actions: ['pull', 'push'] },
      { type: 'repository', name: 'x', actions: ['pull'] },
    ]);
  });

  test('the form dialect works with a password and with the refresh token it gives', async () => {
    const post = (form: Record<string, string>): Promise<WireResponse> =>
      wire.send('POST', '/token', {
        authorization: null,
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({ service: 'wharf', scope: 'repository:own/app:pull', ...form }).toString(),
      });
    const first = await post({
      grant_type: 'password',
      username: 'me',
      password: registry.tokens.read,
      access_type: 'offline',
    });
    const { refresh_token: refresh } = JSON.parse(first.bytes.toString()) as { refresh_token: string };
    const second = await post({ grant_type: 'refresh_token', refresh_token: refresh });
    const { access_token: token } = JSON.parse(second.bytes.toString()) as { access_token: string };
    const pulled = await wire.send('GET', '/v2/own/app/tags/list', { authorization: `Bearer ${token}` });
    expect([first.status, second.status, pulled.status]).toEqual([200, 200, 200]);
    expect((await post({ grant_type: 'password', username: 'me', password: 'wrong' })).status).toBe(401);
    expect((await post({ grant_type: 'refresh_token', refresh_token: 'wrong' })).status).toBe(401);
    expect((await post({ grant_type: 'client_credentials' })).status).toBe(400);
    expect((await post({ grant_type: 'password', padding: 'x'.repeat(70_000) })).status).toBe(413);
  });

  test('wrong credentials are 401, here and at every call', async () => {
    for (const authorization of [
      basic('wrong'),
      basic(''),
      'Basic !!',
      'Bearer wharf_no',
      'Digest x',
      'Bearer a.b.c',
    ]) {
      const token = await wire.send('GET', '/token?scope=repository:own/app:pull', { authorization });
      const call = await wire.send('GET', '/v2/own/app/tags/list', { authorization });
      const ping = await wire.send('GET', '/v2/', { authorization });
      expect([authorization, token.status, call.status, ping.status]).toEqual([authorization, 401, 401, 401]);
    }
  });

  test('anyone gets a token for what is public, and one that grants nothing else', async () => {
    const token = await tokenFor(['repository:open/app:pull,push', 'repository:own/app:pull'], null);
    const authorization = `Bearer ${token}`;
    const get = async (path: string): Promise<number> => (await wire.send('GET', path, { authorization })).status;
    expect(decodeJwt(token)['access']).toEqual([{ type: 'repository', name: 'open/app', actions: ['pull'] }]);
    expect(await get('/v2/')).toBe(200);
    expect(await get('/v2/open/app/manifests/latest')).toBe(200);
    expect(await get('/v2/own/app/manifests/latest')).toBe(401);
    expect((await wire.send('POST', '/v2/open/app/blobs/uploads/', { authorization })).status).toBe(401);
    expect((await wire.send('GET', '/v2/open/app/manifests/latest', { authorization: null })).status).toBe(200);
  });

  test('a token works until it expires, and then starts the flow anew', async () => {
    const authorization = `Bearer ${await tokenFor(['repository:own/app:pull'], basic(registry.tokens.admin))}`;
    expect((await wire.send('GET', '/v2/own/app/tags/list', { authorization })).status).toBe(200);
    clock.advance(340_000);
    const expired = await wire.send('GET', '/v2/own/app/tags/list', { authorization });
    expect([expired.status, expired.headers.get('www-authenticate')?.includes('error="invalid_token"')]).toEqual([
      401,
      true,
    ]);
  });

  test('a token that lacks a right is told which scope to ask for', async () => {
    const authorization = `Bearer ${await tokenFor(['repository:own/app:pull'], basic(registry.tokens.admin))}`;
    const answer = await wire.send('POST', '/v2/own/app/blobs/uploads/', { authorization });
    expect(answer.status).toBe(401);
    expect(answer.headers.get('www-authenticate')).toContain(
      'scope="repository:own/app:pull,push",error="insufficient_scope"',
    );
  });

  test('more scopes than a header holds are refused, and odd ones grant nothing', async () => {
    const many = Array.from({ length: 26 }, (_, i) => `scope=repository:r${i}:pull`).join('&');
    const authorization = basic(registry.tokens.admin);
    expect((await wire.send('GET', `/token?${many}`, { authorization })).status).toBe(400);
    const odd = await tokenFor(['', 'repository', 'repository:UPPER:pull', 'x:y:z'], authorization);
    expect(decodeJwt(odd)['access']).toEqual([]);
  });

  test('the keys are published', async () => {
    const answer = await wire.send('GET', '/token/jwks.json', { authorization: null });
    expect(JSON.parse(answer.bytes.toString())).toMatchObject({ keys: [{ kty: 'EC', crv: 'P-256', alg: 'ES256' }] });
  });

  test('a mount needs the right to read its source: a token that does not say so is told to ask for it', async () => {
    const secret = Buffer.from('only in other/app');
    await wire.push('other/app', secret);
    const owner = basic(registry.tokens.deploy);
    const own = ['repository:own/app:pull,push'];
    const authorization = `Bearer ${await tokenFor(own, owner)}`;
    const scopes = [...own, 'repository:other/app:pull'];
    for (const from of ['&from=other/app', '']) {
      const path = `/v2/own/app/blobs/uploads/?mount=${digestOf(secret)}${from}`;
      const refused = await wire.send('POST', path, { authorization });
      expect(refused.status).toBe(401);
      expect(refused.headers.get('www-authenticate')).toContain(
        `scope="${scopes.join(' ')}",error="insufficient_scope"`,
      );
      expect((await wire.send('HEAD', `/v2/own/app/blobs/${digestOf(secret)}`)).status).toBe(404);
      const asked = `Bearer ${await tokenFor(scopes, owner)}`;
      expect((await wire.send('POST', path, { authorization: asked })).status).toBe(201);
      expect((await wire.send('DELETE', `/v2/own/app/blobs/${digestOf(secret)}`)).status).toBe(202);
    }
  });

  test('whoever mounts without credentials is told of both repositories', async () => {
    const path = `/v2/own/app/blobs/uploads/?mount=${digestOf(Buffer.from('x'))}&from=`;
    const scopeOf = async (from: string): Promise<string> =>
      /scope="([^"]*)"/.exec(
        (await wire.send('POST', path + from, { authorization: null })).headers.get('www-authenticate') ?? '',
      )?.[1] ?? '';
    expect(await scopeOf('other/app')).toBe('repository:own/app:pull,push repository:other/app:pull');
    expect(await scopeOf('own/app')).toBe('repository:own/app:pull,push');
    expect(await scopeOf(encodeURIComponent('A" b'))).toBe('repository:own/app:pull,push');
  });
});

describe('every route against every caller', () => {
  const uploads = '/v2/{name}/blobs/uploads/';
  const PATHS: Readonly<Record<string, string>> = {
    ping: '/v2/',
    catalog: '/v2/_catalog',
    tags: '/v2/{name}/tags/list',
    referrers: `/v2/{name}/referrers/${digest}`,
    'manifest-read': '/v2/{name}/manifests/latest',
    'manifest-put': '/v2/{name}/manifests/latest',
    'manifest-delete': '/v2/{name}/manifests/absent',
    'blob-read': `/v2/{name}/blobs/${digest}`,
    'blob-delete': `/v2/{name}/blobs/${digestOf('absent')}`,
    'upload-start': uploads,
    'upload-status': `${uploads}none.none`,
    'upload-append': `${uploads}none.none`,
    'upload-commit': `${uploads}none.none?digest=${digest}`,
    'upload-cancel': `${uploads}none.none`,
  };
  /** What each caller may, besides being let in. A token for another repository may nothing here. */
  const CALLERS: Readonly<Record<string, readonly string[]>> = {
    nobody: [],
    'a wrong token': [],
    'an expired token': [],
    'a token for another repository': ['login'],
    'a pull token': ['login', 'pull'],
    'a push token': ['login', 'pull', 'push'],
    'the read role': ['login', 'pull', 'catalog'],
    'the deploy role': ['login', 'pull', 'push', 'catalog'],
    'the admin role': ['login', 'pull', 'push', 'delete', 'catalog'],
    'an admin token of the flow': ['login', 'pull', 'push', 'delete', 'catalog'],
  };
  const credentials = new Map<string, string | null>();

  beforeAll(async () => {
    const { admin, deploy, read } = registry.tokens;
    const bearer = async (scopes: readonly string[]): Promise<string> =>
      `Bearer ${await tokenFor(scopes, basic(admin))}`;
    const both = (actions: string): string[] =>
      ['own/app', 'absent/app'].map((name) => `repository:${name}:${actions}`);
    const expired = await bearer(both('*'));
    clock.advance(600_000);
    credentials.set('nobody', null);
    credentials.set('a wrong token', 'Bearer wharf_wrong');
    credentials.set('an expired token', expired);
    credentials.set('a token for another repository', await bearer(['repository:other/app:*']));
    credentials.set('a pull token', await bearer(both('pull')));
    credentials.set('a push token', await bearer(both('pull,push')));
    credentials.set('the read role', basic(read));
    credentials.set('the deploy role', `Bearer ${deploy}`);
    credentials.set('the admin role', basic(admin));
    credentials.set('an admin token of the flow', await bearer([...both('*'), 'registry:catalog:*']));
  });

  const cells = Object.entries(CALLERS).flatMap(([caller, rights]) =>
    ROUTES.flatMap((route) => route.methods.map((method) => ({ caller, rights, route, method, name: route.name }))),
  );

  const ask = (caller: string, method: string, path: string): Promise<WireResponse> => {
    const request: WireRequest = { authorization: credentials.get(caller) ?? null };
    const isPut = method === 'PUT' && path.includes('/manifests/');
    return wire.send(
      method,
      path,
      isPut ? { ...request, body: index.bytes, headers: { 'content-type': index.mediaType } } : request,
    );
  };

  test.each(cells)('$method $name by $caller', async ({ caller, rights, route, method }) => {
    const path = PATHS[route.name] ?? '';
    const own = await ask(caller, method, path.replace('{name}', 'own/app'));
    const absent = await ask(caller, method, path.replace('{name}', 'absent/app'));
    if (rights.includes(route.needs)) {
      expect([200, 201, 202, 204, 404]).toContain(own.status);
      expect([401, 403]).not.toContain(absent.status);
      return;
    }
    expect(own.status).toBe(credentials.get(caller)?.startsWith('Bearer ey') || !caller.includes('role') ? 401 : 403);
    // What is there and what is not must look the same to who may not see it.
    const shape = (answer: WireResponse): unknown => [
      answer.status,
      answer.bytes.toString(),
      answer.headers.get('www-authenticate')?.replaceAll(/(own|absent)\/app/g, '{name}'),
    ];
    expect(shape(own)).toEqual(shape(absent));
  });
});
