/** Everything that is counted has a bound, and whoever goes beyond it is told so. The rest is in behaviours.ts. */
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { digestOf, MediaType } from '../../../lib/oci/index.js';
import { Upstreams } from '../../../lib/registry/cache/index.js';
import { manualClock } from '../../fakes/manual-clock.js';
import { type RunningRegistry, startTestRegistry } from './registry-server.js';
import { openEmbeddedStore, type OpenStore } from './stores.js';
import { location, Wire, withDigest } from './wire.js';

const WEEK_MS = 7 * 24 * 3_600_000;
const ten = Buffer.from('0123456789');
const clock = manualClock();
let store: OpenStore;
let registry: RunningRegistry;
let wire: Wire;

beforeAll(async () => {
  store = await openEmbeddedStore({ clock });
  registry = await startTestRegistry(store, { maxOpenUploads: 3 });
  wire = new Wire(registry);
});
afterAll(async () => {
  await registry.close();
  await store.close();
});

describe('uploads that one caller has open', () => {
  const start = () => wire.send('POST', '/v2/limits/uploads/blobs/uploads/');

  test('are bounded; one that ends makes room, others have room of their own', async () => {
    const [first, second] = [location(await start()), location(await start())];
    const third = location(await start());
    const refused = await start();
    expect([refused.status, refused.code]).toEqual([429, 'TOOMANYREQUESTS']);
    expect(refused.headers.get('retry-after')).toBe('5');
    const other = { authorization: `Bearer ${registry.tokens.deploy}` };
    expect((await wire.send('POST', '/v2/limits/uploads/blobs/uploads/', other)).status).toBe(202);
    // Whole blobs and mounts open none.
    expect((await wire.push('limits/uploads', ten, 'single-post')).status).toBe(201);
    expect((await wire.send('PUT', withDigest(first, digestOf('other')), { body: ten })).status).toBe(400);
    expect((await start()).status).toBe(429);
    expect((await wire.send('DELETE', first)).status).toBe(204);
    const fourth = location(await start());
    expect((await start()).status).toBe(429);
    expect((await wire.send('PUT', withDigest(second, digestOf(ten)), { body: ten })).status).toBe(201);
    expect((await start()).status).toBe(202);
    for (const at of [third, fourth]) expect((await wire.send('GET', at)).status).toBe(204);
  });

  test('are not counted for longer than they live', async () => {
    expect((await start()).status).toBe(429);
    clock.advance(WEEK_MS + 1);
    const { admin } = registry.tokens;
    expect(
      (await wire.send('POST', '/v2/limits/uploads/blobs/uploads/', { authorization: `Bearer ${admin}` })).status,
    ).toBe(202);
  });
});

test('a manifest names at most 2,000 others', async () => {
  const manifests = Array.from({ length: 2001 }, (_, i) => {
    return { mediaType: MediaType.ociManifest, digest: digestOf(`child ${i}`), size: 1 };
  });
  const index = (count: number): Buffer =>
    Buffer.from(
      JSON.stringify({ schemaVersion: 2, mediaType: MediaType.ociIndex, manifests: manifests.slice(0, count) }),
    );
  const put = (count: number) =>
    wire.put('limits/index', 'latest', { bytes: index(count), mediaType: MediaType.ociIndex });
  expect(await put(2001)).toMatchObject({ status: 400, code: 'MANIFEST_INVALID' });
  expect(await put(2000)).toMatchObject({ status: 400, code: 'MANIFEST_BLOB_UNKNOWN' });
});

test('names have at most 255 characters, tags 128', async () => {
  expect((await wire.push('n'.repeat(255), ten)).status).toBe(201);
  expect(await wire.send('POST', `/v2/${'n'.repeat(256)}/blobs/uploads/`)).toMatchObject({ code: 'NAME_INVALID' });
  const tag = (length: number) => wire.send('GET', `/v2/limits/uploads/manifests/${'t'.repeat(length)}`);
  expect(await tag(128)).toMatchObject({ status: 404, code: 'MANIFEST_UNKNOWN' });
  expect(await tag(129)).toMatchObject({ status: 400, code: 'MANIFEST_INVALID' });
});

test.each<[string, number, string]>([
  ['n=1000000000', 200, 'n=1000000000'],
  ['n=-1', 400, 'n=-1'],
  ['n=1.5', 400, 'n=1.5'],
  ['n=x', 400, 'n=x'],
  ['n=1e9', 400, 'n=1e9'],
  ['n of 16 digits', 400, 'n=9999999999999999'],
  ['last of 300 characters', 200, `last=${'l'.repeat(300)}`],
  ['last of 301 characters', 400, `last=${'l'.repeat(301)}`],
  ['last=NUL', 400, 'last=%00'],
  ['last=ü', 400, 'last=%C3%BC'],
])('a list with %s is %d', async (_, status, query) => {
  for (const list of ['limits/uploads/tags/list', '_catalog']) {
    const answer = await wire.send('GET', `/v2/${list}?${query}`);
    expect([list, answer.status]).toEqual([list, status]);
    if (status === 400) expect(answer.code).toBe('UNSUPPORTED');
  }
});

test('a form for a token has at most 64 KiB, a request 25 scopes', async () => {
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  const form = (size: number): string => `grant_type=password&password=x&pad=`.padEnd(size, 'p');
  const post = (size: number) => wire.send('POST', '/token', { headers, body: form(size), authorization: null });
  expect((await post(64 * 1024)).status).toBe(401);
  expect((await post(64 * 1024 + 1)).status).toBe(413);
  const scopes = (count: number) =>
    wire.send('GET', `/token?${Array.from({ length: count }, (_, i) => `scope=repository:s/${i}:pull`).join('&')}`);
  expect([(await scopes(25)).status, (await scopes(26)).status]).toEqual([200, 400]);
});

test('the head of a request has at most 16 KiB', async () => {
  const answer = await new Promise<string>((resolve, reject) => {
    const [address = '', port] = registry.host.split(':');
    const socket = connect(Number(port), address, () =>
      socket.write(`GET /v2/ HTTP/1.1\r\nhost: ${registry.host}\r\nx-long: ${'x'.repeat(17 * 1024)}\r\n\r\n`),
    );
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
    socket.on('error', reject);
    socket.on('close', () => resolve(text));
  });
  expect(answer).toMatch(/^HTTP\/1\.1 431 /);
});

test('an installation has at most 100 upstreams and 500 patterns of public repositories', async () => {
  const upstreams = new Upstreams(store);
  const add = (i: number) => upstreams.put({ prefix: `cache${i}`, registry: 'docker.io', tagTtlSeconds: 300 });
  for (let i = 0; i < 100; i++) await add(i);
  await expect(add(100)).rejects.toMatchObject({ code: 'UPSTREAMS_FULL' });
  await add(99);
  const { publicRepositories } = registry.registry;
  for (let i = 0; i < 500; i++) await publicRepositories.add(`open${i}/*`);
  await expect(publicRepositories.add('one-more')).rejects.toMatchObject({ code: 'PUBLIC_REPOSITORIES_FULL' });
});

test('a robot has at most 100 grants', async () => {
  const grants = (count: number) => ({
    grants: Array.from({ length: count }, (_, i) => ({ repositories: `g${i}/*`, actions: ['pull' as const] })),
  });
  await expect(registry.robots.create('many', grants(101))).rejects.toMatchObject({ kind: 'invalid' });
  await registry.robots.create('many', grants(100));
});
