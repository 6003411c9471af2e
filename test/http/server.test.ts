import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createConsole, createFront, type FetchApp, type RunningServer, serve } from '../../lib/http/index.js';
import { systemClock } from '../../lib/store/system/clock-system.js';
import { silentLogger } from '../../lib/store/index.js';
import { type ApiFixture, createApiFixture } from './api-fixture.js';

const named = (name: string): FetchApp => ({
  fetch: async (request) =>
    new Response(`${name} ${request.method} ${new URL(request.url).pathname} ${await request.text()}`),
});
const open: RunningServer[] = [];

async function start(change: Partial<Parameters<typeof serve>[0]> = {}): Promise<RunningServer> {
  const server = await serve({
    listen: { host: '127.0.0.1', port: 0 },
    api: named('api'),
    registry: named('registry'),
    ecs: named('ecs'),
    console: named('console'),
    front: createFront({ clock: systemClock, logger: silentLogger }),
    logger: silentLogger,
    closeMs: 100,
    ...change,
  });
  open.push(server);
  return server;
}

afterEach(async () => {
  await Promise.all(open.splice(0).map((server) => server.close()));
});

describe('one port', () => {
  test.each([
    ['GET', '/v1/clusters', {}, 'api GET /v1/clusters '],
    ['GET', '/openapi.json', {}, 'api GET /openapi.json '],
    ['GET', '/v2/', {}, 'registry GET /v2/ '],
    ['PUT', '/v2/team/app/manifests/1', {}, 'registry PUT /v2/team/app/manifests/1 body'],
    ['GET', '/token', {}, 'registry GET /token '],
    ['POST', '/', { 'x-amz-target': 'AmazonEC2ContainerServiceV20141113.ListClusters' }, 'ecs POST / body'],
    ['GET', '/', {}, 'console GET / '],
    ['POST', '/console/session', {}, 'console POST /console/session body'],
    ['GET', '/v2x', {}, 'api GET /v2x '],
  ])('gives %s %s to whom it is for', async (method, path, headers, expected) => {
    const { url } = await start();
    const body = method === 'GET' ? undefined : 'body';
    const response = await fetch(url + path, { method, headers, ...(body === undefined ? {} : { body }) });
    expect(await response.text()).toBe(expected);
  });

  test('refuses AWS calls of other services in their own words', async () => {
    const { url } = await start();
    const headers = { 'x-amz-target': 'DynamoDB_20120810.GetItem' };
    const response = await fetch(url, { method: 'POST', headers, body: '{}' });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ __type: 'UnknownOperationException' });
  });

  test('that is taken is an error, not a silence', async () => {
    const { port } = await start();
    await expect(start({ listen: { host: '127.0.0.1', port } })).rejects.toMatchObject({ code: 'ADDRESS_IN_USE' });
  });

  test('of an address that this machine has not is refused with what would be accepted', async () => {
    await expect(start({ listen: { host: '192.0.2.1', port: 0 } })).rejects.toMatchObject({
      code: 'ADDRESS_UNUSABLE',
      message: expect.stringContaining('no network of this machine has the address 192.0.2.1'),
    });
  });

  test('closes in bounded time, also with an idle connection and one that never ends', async () => {
    let told = false;
    const forever: FetchApp = {
      fetch: () => new Response(new ReadableStream({ start: (c) => c.enqueue(Buffer.from('x')) })),
    };
    const server = await start({ api: forever, onClosing: () => (told = true) });
    const idle = connect(server.port, '127.0.0.1');
    await new Promise((resolve) => idle.once('connect', resolve));
    const stream = await fetch(`${server.url}/v1/stream`);
    await stream.body?.getReader().read();
    const idleClosed = new Promise((resolve) => idle.once('close', resolve));
    await server.close();
    await idleClosed;
    expect(told).toBe(true);
    await expect(fetch(server.url)).rejects.toThrow();
  });
});

describe('the console', () => {
  let api: ApiFixture;
  beforeEach(async () => {
    api = await createApiFixture();
  });
  afterEach(() => api.close());

  const page = () =>
    createConsole({
      platform: api.base.platform,
      builds: api.builds,
      images: api.base.images,
      identities: api.apiTokens,
      clock: systemClock,
      logger: silentLogger,
    });
  const form = (token: string) =>
    new Request('http://wharf.test/console/session', {
      method: 'POST',
      body: new URLSearchParams({ token }),
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    });

  test('asks for a token, keeps it from scripts and other sites, and shows nothing without it', async () => {
    await api.call('PUT', '/v1/clusters/secret-name', { instances: 1 });
    const closed = await page().fetch(new Request('http://wharf.test/'));
    expect(await closed.text()).not.toContain('secret-name');
    expect((await page().fetch(form('wrong'))).status).toBe(401);
    const opened = await page().fetch(form(api.tokens.read));
    const cookie = opened.headers.get('set-cookie') ?? '';
    expect(opened.status).toBe(303);
    expect(cookie).toMatch(/HttpOnly/);
    expect(cookie).toMatch(/SameSite=Strict/);
    const shown = await page().fetch(
      new Request('http://wharf.test/', { headers: { cookie: cookie.split(';')[0] ?? '' } }),
    );
    expect(await shown.text()).toContain('secret-name');
    expect(shown.headers.get('content-security-policy')).toMatch(/default-src 'none'/);
  });

  test('shows what was written by others as text, never as markup', async () => {
    const tag = 'x:1';
    const { body } = await api.call('POST', `/v1/builds?tag=${tag}`, 'tar', { 'content-type': 'application/x-tar' });
    const error = { code: 'X', message: '<script>alert(1)</script>' };
    api.builds.tell(String(body['id']), { type: 'finished', status: 'failed', error });
    const headers = { cookie: `wharf_console=${api.tokens.read}` };
    const text = await (await page().fetch(new Request('http://wharf.test/', { headers }))).text();
    expect(text).toContain('&lt;script&gt;');
    expect(text).not.toContain('<script>');
  });
});
