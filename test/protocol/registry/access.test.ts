/** Who gets in: the token flow as clients walk it, robots with rights to some repositories, and what is public. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import { digestOf } from '../../../lib/oci/index.js';
import { manualClock, type ManualClock } from '../../fakes/manual-clock.js';
import { imageSet } from './images.js';
import { type RunningRegistry, startTestRegistry } from './registry-server.js';
import { openEmbeddedStore, type OpenStore } from './stores.js';
import { Wire, type WireResponse } from './wire.js';

const ten = Buffer.from('0123456789');
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

describe('robots', () => {
  const status = async (authorization: string | null, method: string, path: string): Promise<number> =>
    (await wire.send(method, path, { authorization })).status;

  test('a robot may what its grants say, by Basic, as bearer and through the token flow', async () => {
    const { secret } = await registry.robots.create('ways', { grants: [{ repositories: 'own/*', actions: ['pull'] }] });
    const flow = await tokenFor(['repository:own/app:pull,push', 'repository:other/app:pull'], basic(secret, 'ways'));
    expect(decodeJwt(flow)).toMatchObject({
      name: 'robot ways',
      access: [{ type: 'repository', name: 'own/app', actions: ['pull'] }],
    });
    for (const authorization of [basic(secret), `Bearer ${secret}`, `Bearer ${flow}`]) {
      expect(await status(authorization, 'GET', '/v2/own/app/manifests/latest')).toBe(200);
      const refused = authorization.includes(flow) ? 401 : 403;
      expect(await status(authorization, 'GET', '/v2/other/app/manifests/latest')).toBe(refused);
      expect(await status(authorization, 'POST', '/v2/own/app/blobs/uploads/')).toBe(refused);
      expect(await status(authorization, 'GET', '/v2/_catalog')).toBe(refused);
    }
  });

  test('its new secret works beside the old one, and the old one until it is revoked', async () => {
    const first = await registry.robots.create('rotated', { grants: [{ repositories: '*', actions: ['pull'] }] });
    const second = await registry.robots.addSecret('rotated');
    const ping = (secret: string): Promise<number> => status(basic(secret), 'GET', '/v2/own/app/tags/list');
    expect([await ping(first.secret), await ping(second.secret)]).toEqual([200, 200]);
    await registry.robots.revokeSecret('rotated', first.secretId);
    expect([await ping(first.secret), await ping(second.secret)]).toEqual([401, 200]);
    await registry.robots.remove('rotated');
    expect(await ping(second.secret)).toBe(401);
  });

  test('a mount takes from where the robot may pull, and from nowhere else', async () => {
    const bytes = Buffer.from('to be mounted by a robot');
    await wire.push('other/app', bytes);
    const mount = `/v2/robot/app/blobs/uploads/?mount=${digestOf(bytes)}&from=other/app`;
    const grants = [{ repositories: 'robot/*', actions: ['pull', 'push'] }] as const;
    const { secret } = await registry.robots.create('mounting', { grants });
    expect(await status(basic(secret), 'POST', mount)).toBe(202);
    await registry.robots.change('mounting', {
      grants: [...grants, { repositories: 'other/*', actions: ['pull'] }],
    });
    expect(await status(basic(secret), 'POST', mount)).toBe(201);
  });
});

describe('what is public', () => {
  test('is pulled without credentials from when it is published until it is unpublished', async () => {
    const pull = async (): Promise<number> =>
      (await wire.send('GET', '/v2/other/app/manifests/latest', { authorization: null })).status;
    expect(await pull()).toBe(401);
    await registry.registry.publicRepositories.add('other/app');
    expect(await pull()).toBe(200);
    const { secret } = await registry.robots.create('elsewhere', {
      grants: [{ repositories: 'none', actions: ['pull'] }],
    });
    const robot = await wire.send('GET', '/v2/other/app/tags/list', { authorization: basic(secret) });
    expect(robot.status).toBe(200);
    expect(await registry.registry.publicRepositories.remove('other/app')).toBe(true);
    expect(await registry.registry.publicRepositories.remove('other/app')).toBe(false);
    expect(await pull()).toBe(401);
  });
});
