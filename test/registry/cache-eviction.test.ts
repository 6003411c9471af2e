/** What leaves a cache of another registry, when, and what keeps it there. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Digest } from '../../lib/oci/index.js';
import { CacheEviction, Upstreams } from '../../lib/registry/cache/index.js';
import { type Collected, Collector } from '../../lib/registry/collector/index.js';
import { Registry, verifyRegistry } from '../../lib/registry/index.js';
import { RecordsSecretStore } from '../../lib/store/records/secret-store-records.js';
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

describe('a bound in bytes', () => {
  const MEGABYTE = 1_000_000;
  /** One pass an hour. */
  const hours = async (count: number): Promise<void> => {
    const list = async function* () {
      yield* pins;
    };
    for (let hour = 0; hour < count; hour++) {
      clock.advance(HOUR + 1);
      const caches = new CacheEviction({ registry, upstreams });
      await new Collector({ ...store, pins: { list }, caches }).pass();
    }
  };
  const bounded = (megabytes: number): Promise<void> =>
    upstreams.put({ prefix: 'hub', registry: '127.0.0.1:5000', tagTtlSeconds: 300, maxBytes: megabytes * MEGABYTE });
  /** One layer of a megabyte, less what the config needs. */
  const big = (name: string, more: readonly Buffer[] = []): SetBuilder => {
    const set = new SetBuilder(name);
    set.image({}, [set.layer(MEGABYTE - 1000), ...more.map((bytes) => set.blob(bytes))]);
    return set;
  };
  const storedBytes = async (): Promise<number> => {
    let bytes = 0;
    for await (const { sizeBytes } of store.blobs.list()) bytes += sizeBytes;
    return bytes;
  };

  test('lets the longest unused go, and no more than it must', async () => {
    await bounded(3);
    const digests: (Digest | undefined)[] = [];
    for (const name of ['one', 'two', 'three', 'four', 'five']) {
      digests.push((await cached(big(name), name))[0]);
      clock.advance(1000);
    }
    await hours(4);
    expect(await Promise.all(digests.map(isThere))).toEqual([false, false, true, true, true]);
    expect(await registry.tagList.resolve(APP, 'one')).toBeUndefined();
    // Bytes are under lease for a day after they came.
    await days(2);
    expect(await storedBytes()).toBeLessThanOrEqual(3 * MEGABYTE);
    expect(await Promise.all(digests.map(isThere))).toEqual([false, false, true, true, true]);
    for await (const event of verifyRegistry(store)) expect(event).not.toMatchObject({ type: 'problem' });
  });

  test('keeps what is asked for after it was chosen, and lets the next one go', async () => {
    await bounded(2);
    const [first] = await cached(big('first'), 'first');
    clock.advance(1000);
    const [second] = await cached(big('second'), 'second');
    clock.advance(1000);
    const [third] = await cached(big('third'), 'third');
    await hours(1);
    expect(await registry.manifest(APP, { tag: 'first' })).toBeDefined();
    await hours(4);
    expect(await Promise.all([first, second, third].map(isThere))).toEqual([true, false, true]);
  });

  test('counts a layer that images share once, and frees it with the last of them', async () => {
    const shared = Buffer.alloc(MEGABYTE, 'shared');
    await bounded(4);
    const digests: (Digest | undefined)[] = [];
    for (const name of ['one', 'two', 'three']) {
      digests.push((await cached(big(name, [shared]), name))[0]);
      clock.advance(1000);
    }
    await hours(4);
    expect(await Promise.all(digests.map(isThere))).toEqual([true, true, true]);
    await bounded(2);
    await hours(4);
    expect(await Promise.all(digests.map(isThere))).toEqual([false, false, true]);
    await bounded(1);
    await days(3);
    expect(await storedBytes()).toBe(0);
  });

  test('lets an index go with its images, and what is about an image with it', async () => {
    await bounded(1);
    const set = new SetBuilder('set');
    const image = set.image({}, [set.layer(MEGABYTE)]);
    set.artifact({ subject: image });
    set.index([image, set.image({}, [set.layer(MEGABYTE)])]);
    const old = await cached(set, 'old');
    clock.advance(1000);
    const [fresh] = await cached(big('fresh'), 'fresh');
    await hours(7);
    for (const digest of old) expect(await isThere(digest)).toBe(false);
    expect(await isThere(fresh)).toBe(true);
  });

  test('does not touch what a service runs, nor other caches', async () => {
    await bounded(1);
    const [run] = await cached(big('run'), 'run');
    if (run === undefined) throw new Error('no image');
    pins.push({ repository: APP, digest: run });
    clock.advance(1000);
    const [other] = await cached(big('other'), 'other');
    await upstreams.put({ prefix: 'far', registry: '127.0.0.1:5001', tagTtlSeconds: 300 });
    await hours(4);
    expect([await isThere(run), await isThere(other)]).toEqual([true, false]);
  });
});
