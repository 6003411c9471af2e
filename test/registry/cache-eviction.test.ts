/** What leaves a cache of another registry, when, and what keeps it there. */
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { Digest } from '../../lib/oci/index.js';
import { CacheEviction, Upstreams } from '../../lib/registry/cache/index.js';
import { type Collected, Collector } from '../../lib/registry/collector/index.js';
import { Registry, verifyRegistry } from '../../lib/registry/index.js';
import { RecordsSecretStore } from '../../lib/store/secret-store-records.js';
import { createTestStore, type TestStore } from '../fakes/embedded-store.js';
import { manualClock, type ManualClock } from '../fakes/manual-clock.js';
import { SetBuilder } from '../protocol/registry/images.js';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const APP = 'hub/team/app';

let clock: ManualClock;
let store: TestStore;
let registry: Registry;
let upstreams: Upstreams;
let pins: { readonly repository: string; readonly digest: Digest }[];

beforeEach(async () => {
  clock = manualClock(Date.now() + 60_000);
  store = await createTestStore({ clock });
  registry = new Registry({ ...store, secrets: new RecordsSecretStore(store.records, { key: Buffer.alloc(32, 3) }) });
  upstreams = new Upstreams(store);
  await upstreams.put({ prefix: 'hub', registry: '127.0.0.1:5000', tagTtlSeconds: 300, keepSeconds: 10 * 24 * 3600 });
  pins = [];
});
afterEach(() => store.close());

/** One pass every twelve hours. */
async function days(count: number): Promise<Collected[]> {
  const passes: Collected[] = [];
  const list = async function* () {
    yield* pins;
  };
  for (let half = 0; half < 2 * count; half++) {
    clock.advance(DAY / 2);
    const caches = new CacheEviction({ registry, upstreams });
    passes.push((await new Collector({ ...store, pins: { list }, caches }).pass()).collected);
  }
  return passes;
}

/** As the cache stores what it fetches; the last manifest is the tag's. */
async function cached(set: SetBuilder, tag: string): Promise<readonly Digest[]> {
  for (const { bytes } of set.blobs) {
    await registry.blobs.link(APP, (await store.content.putBytes(bytes)).digest);
  }
  for (const [i, { bytes, mediaType }] of set.manifests.entries()) {
    const tags = i === set.manifests.length - 1 ? [tag] : [];
    await registry.manifests.put(APP, bytes, mediaType, { tags, isCached: true });
  }
  return set.manifests.map(({ digest }) => digest);
}

function image(name: string): SetBuilder {
  const set = new SetBuilder(name);
  set.image();
  return set;
}

const isThere = async (digest: Digest | undefined): Promise<boolean> =>
  (await store.records.get({ partition: `REPO#${APP}`, sort: `MAN#${digest}` })) !== undefined;

async function storedBlobs(): Promise<number> {
  let count = 0;
  for await (const _ of store.blobs.list()) count += 1;
  return count;
}

test('what nobody asks for goes with its tags and bytes, not before its time and not after twice that', async () => {
  const [digest] = await cached(image('forgotten'), 'v1');
  await days(19);
  expect(await isThere(digest)).toBe(true);
  const passes = await days(4);
  expect(await isThere(digest)).toBe(false);
  expect(passes.reduce((sum, { manifests }) => sum + manifests, 0)).toBe(1);
  expect(await registry.tagList.resolve(APP, 'v1')).toBeUndefined();
  expect(await registry.tagList.history(APP, 'v1')).toMatchObject([{}, { digest }]);
  expect(await storedBlobs()).toBe(0);
  for await (const event of verifyRegistry(store)) expect(event).not.toMatchObject({ type: 'problem' });
});

test('what somebody asks for now and then stays for years', async () => {
  const [digest] = await cached(image('wanted'), 'v1');
  for (let round = 0; round < 12; round++) {
    await days(9);
    expect(await registry.manifest(APP, { tag: 'v1' })).toBeDefined();
  }
  expect(await isThere(digest)).toBe(true);
});

test('what a service runs stays, an index with its images, and goes when no service does', async () => {
  const set = new SetBuilder('pinned');
  set.index([set.image(), set.image({ annotations: { other: 'one' } })]);
  const digests = await cached(set, 'v1');
  const index = digests.at(-1);
  if (index === undefined) throw new Error('no index');
  pins.push({ repository: APP, digest: index });
  await days(40);
  for (const digest of digests) expect(await isThere(digest)).toBe(true);
  pins.pop();
  await days(3);
  for (const digest of digests) expect(await isThere(digest)).toBe(false);
  expect(await storedBlobs()).toBe(0);
});

test('where tags are told to hold, only what no tag points at goes', async () => {
  await upstreams.put({ prefix: 'hub', registry: '127.0.0.1:5000', tagTtlSeconds: 300, keepSeconds: 0 });
  const [moved] = await cached(image('moved away'), 'v1');
  const [held] = await cached(image('held'), 'v1');
  await days(30);
  expect([await isThere(moved), await isThere(held)]).toEqual([false, true]);
});

test('what was cached is an ordinary repository when its upstream is taken away', async () => {
  const [digest] = await cached(image('kept'), 'v1');
  await days(12);
  await upstreams.delete('hub');
  await days(30);
  expect(await isThere(digest)).toBe(true);
});

test('who asks for a manifest while it is being evicted keeps it', async () => {
  const [digest] = await cached(image('just in time'), 'v1');
  if (digest === undefined) throw new Error('no image');
  await days(12);
  const record = await store.records.get({ partition: `REPO#${APP}`, sort: `MAN#${digest}` });
  await registry.manifest(APP, { digest });
  expect(await registry.manifests.evict(APP, digest, record?.version ?? 0)).toBe(false);
  expect((await registry.manifest(APP, { tag: 'v1' }))?.digest).toBe(digest);
});
