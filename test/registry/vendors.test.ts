/** Our client, our logins and our caches at Docker Hub, GHCR and Amazon ECR, as far as their protocols differ. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type Digest, digestOf, MediaType } from '../../lib/oci/index.js';
import { PullThrough, Upstreams } from '../../lib/registry/cache/index.js';
import { type RegistryClient, RegistryConnections, RegistryLogins } from '../../lib/registry/client/index.js';
import { Registry } from '../../lib/registry/index.js';
import { silentLogger } from '../../lib/store/index.js';
import { RecordsSecretStore } from '../../lib/store/records/secret-store-records.js';
import { createTestStore, type TestStore } from '../fakes/embedded-store.js';
import { manualClock } from '../fakes/manual-clock.js';
import { ECR, SECRETS, startVendorRegistries, type VendorRegistries } from './vendor-registries.js';

const clock = manualClock();
let store: TestStore;
let vendors: VendorRegistries;
let logins: RegistryLogins;
let connections: RegistryConnections;

beforeEach(async () => {
  store = await createTestStore({ clock });
  vendors = await startVendorRegistries();
  const ecr = { credentialsFor: () => Promise.resolve({ username: 'AWS', password: SECRETS.ecr }) };
  logins = new RegistryLogins(new RecordsSecretStore(store.records, { key: Buffer.alloc(32, 1) }), ecr);
  connections = new RegistryConnections({ clock, credentials: logins, fetch: vendors.fetch }, { rateLimitWaitMs: 0 });
});
afterEach(async () => {
  await vendors.close();
  await store.close();
});

const layer = Buffer.from('a layer');
const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: [] }));
const blob = {
  digest: digestOf(layer),
  sizeBytes: layer.length,
  async *open() {
    yield layer;
  },
};
const put = (host: string, repository: string): void => {
  vendors.content.set(`${host} ${repository} ${digestOf(layer)}`, layer);
  for (const reference of ['v1', digestOf(manifest)])
    vendors.content.set(`${host} ${repository} ${reference}`, manifest);
};
async function read(client: RegistryClient, repository: string, digest: Digest): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of (await client.getBlob(repository, digest))?.stream ?? []) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
async function push(registry: string, repository: string): Promise<void> {
  const client = await connections.open(registry);
  expect(await client.uploadBlob(repository, blob, { mountFrom: 'me/other' })).toBe('uploaded');
  await client.putManifest(repository, 'v1', manifest, MediaType.ociIndex);
  expect((await client.headManifest(repository, 'v1'))?.digest).toBe(digestOf(manifest));
  expect(await read(client, repository, blob.digest)).toBe('a layer');
}
/** The hosts that were shown something which has the secret in it. */
const shownTo = (secret: string): string[] => {
  const forms = [
    secret,
    Buffer.from(`me:${secret}`).toString('base64'),
    Buffer.from(`AWS:${secret}`).toString('base64'),
  ];
  const told = vendors.seen.filter(({ authorization = '' }) => forms.some((form) => authorization.includes(form)));
  return [...new Set(told.map(({ host }) => host))];
};

describe('Docker Hub', () => {
  test('lets anybody pull, by its short name as well, with a token of another host and bytes from a third', async () => {
    put('registry-1.docker.io', 'library/busybox');
    const client = await connections.open('docker.io');
    expect((await client.getManifest('busybox', 'v1'))?.bytes).toEqual(manifest);
    expect(await read(client, 'library/busybox', digestOf(layer))).toBe('a layer');
    const bearing = vendors.seen.filter(({ authorization }) => authorization !== undefined);
    expect([...new Set(bearing.map(({ host }) => host))]).toEqual(['registry-1.docker.io']);
    // One token for all of it.
    expect(vendors.seen.filter(({ host }) => host === 'auth.docker.io')).toHaveLength(1);
  });

  test('takes a push with a login, which its token service alone is shown', async () => {
    await logins.put('index.docker.io', { username: 'me', password: SECRETS.hub });
    await push('docker.io', 'me/app');
    expect(shownTo(SECRETS.hub)).toEqual(['auth.docker.io']);
    expect(vendors.seen.map(({ request }) => request)).toContain(
      `PUT /v2/me/app/blobs/uploads/1f7c?_state=a%2Bb&digest=${encodeURIComponent(blob.digest)}`,
    );
  });

  test('says what is wrong: a login, a right, a rate', async () => {
    const anybody = await connections.open('docker.io');
    await expect(anybody.getManifest('me/private', 'v1')).rejects.toMatchObject({
      code: 'REGISTRY_UNAUTHORIZED',
      message: expect.stringContaining('authentication required'),
    });
    const wrong = await connections.open('docker.io', { credentials: { username: 'me', password: 'wrong' } });
    await expect(wrong.ping()).rejects.toMatchObject({
      code: 'REGISTRY_UNAUTHORIZED',
      message: expect.stringContaining('auth.docker.io answered 401'),
    });
    vendors.hubLimit = { 'retry-after': new Date(clock.nowMs() + 61_000).toUTCString() };
    await expect(anybody.getManifest('busybox', 'v1')).rejects.toMatchObject({
      code: 'REGISTRY_RATE_LIMITED',
      message: expect.stringContaining('You have reached your pull rate limit'),
      details: { retryAfterSeconds: 61 },
    });
  });
});

describe('GHCR', () => {
  test('lets anybody pull what is public, and gives nobody a token for the rest', async () => {
    for (const repository of ['public/app', 'me/private']) put('ghcr.io', repository);
    const client = await connections.open('ghcr.io');
    expect((await client.getManifest('public/app', 'v1'))?.bytes).toEqual(manifest);
    expect(await read(client, 'public/app', digestOf(layer))).toBe('a layer');
    await expect(client.getManifest('me/private', 'v1')).rejects.toMatchObject({ code: 'REGISTRY_UNAUTHORIZED' });
  });

  test('takes a push with a personal token, and refuses a wrong one as it does', async () => {
    await logins.put('ghcr.io', { username: 'me', password: SECRETS.ghcr });
    await push('ghcr.io', 'me/app');
    expect(shownTo(SECRETS.ghcr)).toEqual(['ghcr.io']);
    const shown = vendors.seen.filter(({ authorization = '' }) => authorization.startsWith('Basic '));
    expect(shown.every(({ request }) => request.startsWith('GET /token?'))).toBe(true);
    await logins.put('ghcr.io', { username: 'me', password: 'ghp_expired' });
    await expect((await connections.open('ghcr.io')).ping()).rejects.toMatchObject({ code: 'REGISTRY_DENIED' });
  });
});

describe('Amazon ECR', () => {
  test("takes a push by the platform's AWS identity, and its layers come from S3 without it", async () => {
    await logins.put(ECR, { ecr: true });
    await push(ECR, 'team/app');
    expect(shownTo(SECRETS.ecr)).toEqual([ECR]);
    expect(vendors.seen.some(({ host }) => host === `layers.${ECR}`)).toBe(true);
  });

  test('says in its own words that a token is over, or that a repository is not there', async () => {
    await logins.put(ECR, { username: 'AWS', password: 'of-yesterday' });
    await expect((await connections.open(ECR)).getManifest('team/app', 'v1')).rejects.toMatchObject({
      code: 'REGISTRY_DENIED',
      message: expect.stringContaining('Your authorization token has expired'),
    });
    await logins.put(ECR, { ecr: true });
    await expect((await connections.open(ECR)).uploadBlob('absent', blob)).rejects.toMatchObject({
      message: expect.stringContaining("The repository with name 'absent' does not exist"),
    });
  });
});

describe('a cache', () => {
  const open = async (prefix: string, registry: string): Promise<PullThrough> => {
    const secrets = new RecordsSecretStore(store.records, { key: Buffer.alloc(32, 1) });
    const registryHere = new Registry({ ...store, secrets });
    const upstreams = new Upstreams(store);
    await upstreams.put({ prefix, registry, tagTtlSeconds: 300 });
    return new PullThrough({ ...store, registry: registryHere, upstreams, connections, logger: silentLogger });
  };

  test.each([
    ['docker.io', 'registry-1.docker.io', 'library/busybox'],
    ['ghcr.io', 'ghcr.io', 'public/app'],
    [ECR, ECR, 'team/app'],
  ])('of %s is filled, and fills once', async (registry, host, repository) => {
    if (registry === ECR) await logins.put(ECR, { ecr: true });
    put(host, repository);
    const cache = await open('up', registry);
    await cache.ensureManifest(`up/${repository}`, { tag: 'v1' });
    for (let i = 0; i < 2; i++) {
      const stream = await (await cache.blob(`up/${repository}`, digestOf(layer)))?.open();
      const chunks: Buffer[] = [];
      for await (const chunk of stream ?? []) chunks.push(chunk as Buffer);
      expect(Buffer.concat(chunks).toString()).toBe('a layer');
    }
    const fetched = vendors.seen.filter(({ request }) => request.includes('X-Amz-Signature'));
    expect(fetched).toHaveLength(1);
  });

  test.each([
    ['in seconds', () => '61'],
    ['by a date', () => new Date(clock.nowMs() + 61_000).toUTCString()],
  ])('leaves Docker Hub alone for as long as it asks %s', async (_how, retryAfter) => {
    put('registry-1.docker.io', 'library/busybox');
    const cache = await open('up', 'docker.io');
    const look = (): Promise<unknown> => cache.ensureManifest('up/busybox', { tag: 'v1' }, { refresh: true });
    vendors.hubLimit = { 'retry-after': retryAfter() };
    const limited = { code: 'REGISTRY_RATE_LIMITED' };
    await expect(look()).rejects.toMatchObject(limited);
    vendors.hubLimit = undefined;
    clock.advance(30_000);
    const before = vendors.seen.length;
    await expect(look()).rejects.toMatchObject(limited);
    expect(vendors.seen).toHaveLength(before);
    clock.advance(32_000);
    expect(await look()).toBe('current');
  });
});
