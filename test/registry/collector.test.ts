/** What the collector takes and what it leaves, one rule at a time; in any interleaving: test/interleave. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type Digest, digestOf } from '../../lib/oci/index.js';
import { type Collected, Collector, type Pins } from '../../lib/registry/collector/index.js';
import { LEASE_MS, Registry, registryStats, type VerifyEvent, verifyRegistry } from '../../lib/registry/index.js';
import { BLOB_LEASE_MS } from '../../lib/store/index.js';
import { RecordsSecretStore } from '../../lib/store/records/secret-store-records.js';
import { createTestStore, type TestStore } from '../fakes/embedded-store.js';
import { manualClock, type ManualClock } from '../fakes/manual-clock.js';
import { SetBuilder, type TestManifest } from '../protocol/registry/images.js';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const APP = 'team/app';

let clock: ManualClock;
let store: TestStore;
let registry: Registry;
let pins: { readonly repository: string; readonly digest: Digest }[];

beforeEach(async () => {
  // Ahead of the machine's clock, by which the folder dates its files.
  clock = manualClock(Date.now() + 60_000);
  store = await createTestStore({ clock });
  registry = new Registry({ ...store, secrets: new RecordsSecretStore(store.records, { key: Buffer.alloc(32, 3) }) });
  pins = [];
});
afterEach(() => store.close());

const collector = (): Collector => {
  const list: Pins['list'] = async function* () {
    yield* pins;
  };
  return new Collector({ ...store, pins: { list } });
};

/** Passes until nothing more is taken, with time for what was chosen to be rescued. */
async function settle(): Promise<Collected[]> {
  const all: Collected[] = [];
  for (let pass = 0; pass < 6; pass++) {
    all.push((await collector().pass()).collected);
    clock.advance(HOUR + 1);
  }
  return all;
}

const total = (all: readonly Collected[], kind: keyof Collected): number =>
  all.reduce((sum, one) => sum + one[kind], 0);

async function push(set: SetBuilder, tags: readonly string[], repository = APP): Promise<TestManifest> {
  for (const { bytes, digest } of set.blobs) {
    await registry.uploads.put(
      repository,
      digest,
      (async function* () {
        yield bytes;
      })(),
    );
  }
  for (const { bytes, mediaType } of set.manifests.slice(0, -1)) {
    await registry.putManifest(repository, bytes, mediaType, []);
  }
  const last = set.manifests.at(-1);
  if (last === undefined) throw new Error('nothing to push');
  await registry.putManifest(repository, last.bytes, last.mediaType, tags);
  return last;
}

function image(name: string, extra: object = {}): SetBuilder {
  const set = new SetBuilder(name);
  set.image(extra);
  return set;
}

const described = ({ mediaType, digest, bytes }: TestManifest) => ({ mediaType, digest, size: bytes.length });
const isThere = async (digest: Digest): Promise<boolean> =>
  (await store.records.get({ partition: `REPO#${APP}`, sort: `MAN#${digest}` })) !== undefined;

async function storedBlobs(): Promise<number> {
  let count = 0;
  for await (const _ of store.blobs.list()) count += 1;
  return count;
}

describe('the collector leaves', () => {
  test('an image with a tag, for years', async () => {
    const kept = await push(image('tagged'), ['v1']);
    clock.advance(1000 * DAY);
    await settle();
    expect(await isThere(kept.digest)).toBe(true);
    expect(await storedBlobs()).toBe(3);
  });

  test('the children of a tagged index, and the referrers of a tagged image', async () => {
    const set = new SetBuilder('index');
    set.index([set.image(), set.image({ annotations: { other: 'one' } })]);
    const index = await push(set, ['multi']);
    const signature = await push(image('signature', { subject: described(index) }), []);
    clock.advance(100 * DAY);
    await settle();
    for (const { digest } of [...set.manifests, signature]) expect(await isThere(digest)).toBe(true);
    await registry.deleteTag(APP, 'multi');
    clock.advance(100 * DAY);
    await settle();
    for (const { digest } of [...set.manifests, signature]) expect(await isThere(digest)).toBe(false);
    expect(await storedBlobs()).toBe(0);
  });

  test('what is pinned, though no tag points at it', async () => {
    const kept = await push(image('pinned'), []);
    pins.push({ repository: APP, digest: kept.digest });
    clock.advance(100 * DAY);
    await settle();
    expect(await isThere(kept.digest)).toBe(true);
    pins.pop();
    await settle();
    expect(await isThere(kept.digest)).toBe(false);
  });

  test('everything, when the pins cannot be read', async () => {
    const kept = await push(image('no pins'), []);
    clock.advance(100 * DAY);
    const broken = new Collector({
      ...store,
      pins: {
        list: () => {
          throw new Error('no records');
        },
      },
    });
    await expect(broken.pass()).rejects.toThrow('no records');
    expect(await isThere(kept.digest)).toBe(true);
  });

  test('a manifest that someone asks for while it is chosen', async () => {
    const kept = await push(image('asked for'), []);
    clock.advance(8 * DAY);
    await collector().pass();
    expect(await registry.manifest(APP, { digest: kept.digest })).toBeDefined();
    await settle();
    expect(await isThere(kept.digest)).toBe(true);
    clock.advance(8 * DAY);
    await settle();
    expect(await isThere(kept.digest)).toBe(false);
  });

  test('a blob that was pushed, and one that was asked for, as long as its lease', async () => {
    const { digest } = await store.content.putBytes(Buffer.from('leased'));
    await registry.linkBlob(APP, digest);
    clock.advance(LEASE_MS - 1);
    await collector().pass();
    expect(await registry.blobs.stat(APP, digest)).toBeDefined();
    clock.advance(LEASE_MS - 1);
    await collector().pass();
    expect(await registry.blobs.get(APP, digest)).toBeDefined();
  });

  test('a layer that a step of the cache holds, until that is forgotten', async () => {
    const { digest } = await store.content.putBytes(Buffer.from('a layer'));
    await store.content.hold(digest, 'STEP#x', { forMs: 10 * DAY });
    clock.advance(9 * DAY);
    await settle();
    expect(await store.content.open(digest)).toBeDefined();
    clock.advance(9 * DAY);
    await settle();
    expect(await store.content.open(digest)).toBeUndefined();
    expect(await storedBlobs()).toBe(0);
  });
});

describe('the collector takes', () => {
  test('an image whose tag went elsewhere, a week later, and tells what it took', async () => {
    const first = await push(image('first'), ['latest']);
    await push(image('second'), ['latest']);
    clock.advance(6 * DAY);
    await settle();
    expect(await isThere(first.digest)).toBe(true);
    clock.advance(2 * DAY);
    const taken = await settle();
    expect(await isThere(first.digest)).toBe(false);
    expect([total(taken, 'manifests'), total(taken, 'links'), total(taken, 'blobs')]).toEqual([1, 3, 3]);
    expect(total(taken, 'blobBytes')).toBeGreaterThan(70_000);
    expect(await storedBlobs()).toBe(3);
  });

  test('bytes that were committed and never adopted, and their writer is told when it comes after all', async () => {
    const orphan = await store.blobs.put(
      (async function* () {
        yield Buffer.from('an orphan');
      })(),
    );
    clock.advance(DAY / 2);
    await collector().pass();
    expect(await store.blobs.stat(orphan.key)).toBeDefined();
    clock.advance(DAY);
    expect((await collector().pass()).collected.orphans).toBe(1);
    expect(await store.blobs.stat(orphan.key)).toBeUndefined();
    await expect(store.content.adopt(orphan)).rejects.toMatchObject({ code: 'BLOB_SWEPT' });
  });

  test('uploads that nobody goes on with', async () => {
    const id = await store.blobs.uploads.start();
    clock.advance(6 * DAY);
    await collector().pass();
    expect(await store.blobs.uploads.status(id)).toBeDefined();
    clock.advance(2 * DAY);
    expect((await collector().pass()).collected.uploads).toBe(1);
    expect(await store.blobs.uploads.status(id)).toBeUndefined();
  });

  test('no blob of a store from before keys were recorded', async () => {
    const { digest } = await store.content.putBytes(Buffer.from('old'));
    await store.content.hold(digest, 'STEP#x', { forMs: 100 * DAY });
    for await (const { key } of store.blobs.list()) {
      await store.records.delete({ partition: `BLOBKEY#${key}`, sort: '-' });
    }
    clock.advance(BLOB_LEASE_MS + DAY);
    await settle();
    expect(await store.content.open(digest)).toBeDefined();
  });

  test('its work in rounds as small as one wants', async () => {
    const first = await push(image('rounds'), []);
    clock.advance(8 * DAY);
    const small = collector();
    for (let finished = 0; finished < 8;) {
      const round = await small.round(1);
      if (!round.finished) continue;
      finished += 1;
      clock.advance(2 * HOUR);
    }
    expect(await isThere(first.digest)).toBe(false);
    expect(await storedBlobs()).toBe(0);
  });
});

describe('undelete', () => {
  test('brings a deleted tag back for seven days, and then no more', async () => {
    const lost = await push(image('undelete'), ['v1']);
    await registry.deleteTag(APP, 'v1');
    clock.advance(6 * DAY);
    await settle();
    expect(await registry.undelete(APP, 'v1')).toBe(lost.digest);
    expect((await registry.manifest(APP, { tag: 'v1' }))?.digest).toBe(lost.digest);
    await registry.deleteTag(APP, 'v1');
    clock.advance(8 * DAY);
    await settle();
    await expect(registry.undelete(APP, 'v1')).rejects.toMatchObject({ code: 'MANIFEST_UNKNOWN' });
  });

  test('brings back a manifest that was deleted, with the children that were deleted too', async () => {
    const set = new SetBuilder('undelete an index');
    set.index([set.image()]);
    const index = await push(set, ['multi']);
    for (const { digest } of [...set.manifests].reverse()) await registry.deleteManifest(APP, digest);
    expect(await registry.tags(APP)).toEqual([]);
    clock.advance(6 * DAY);
    await settle();
    expect(await registry.undelete(APP, 'multi')).toBe(index.digest);
    for (const { digest } of set.manifests) expect(await registry.manifest(APP, { digest })).toBeDefined();
    expect(await problems()).toEqual([]);
  });

  test('points a tag back at where it pointed, when told where', async () => {
    const first = await push(image('back: first'), ['v']);
    const second = await push(image('back: second'), ['v']);
    await expect(registry.undelete(APP, 'v')).rejects.toMatchObject({ code: 'TAG_EXISTS' });
    expect(await registry.undelete(APP, 'v', first.digest)).toBe(first.digest);
    expect((await registry.tagList.history(APP, 'v')).map(({ digest }) => digest)).toEqual([
      first.digest,
      second.digest,
      first.digest,
    ]);
    await expect(registry.undelete(APP, 'v', digestOf('never'))).rejects.toMatchObject({ code: 'MANIFEST_UNKNOWN' });
  });
});

async function problems(): Promise<string[]> {
  const found: string[] = [];
  for await (const event of verifyRegistry(store)) if (event.type === 'problem') found.push(event.kind);
  return found;
}

describe('verify and stats', () => {
  test('read everything back and find nothing wrong', async () => {
    await push(image('fine'), ['v']);
    const events: VerifyEvent[] = [];
    for await (const event of verifyRegistry(store)) events.push(event);
    expect(events).toEqual([
      { type: 'finished', totals: { blobs: 3, bytes: expect.any(Number), manifests: 1, problems: 0 } },
    ]);
  });

  test('find bytes that changed, bytes that are gone, and manifests that lack something', async () => {
    const set = image('damaged');
    await push(set, ['v']);
    const [changed, gone, unlinked] = set.blobs.map(({ digest }) => digest) as [Digest, Digest, Digest];
    for await (const { key, digest } of store.blobs.list()) {
      const { writeFile } = await import('node:fs/promises');
      if (digest === changed) await writeFile(`${store.directory}/store/${key}`, 'something else');
      if (digest === gone) await store.blobs.delete(key);
    }
    await store.records.delete({ partition: `REPO#${APP}`, sort: `LINK#${unlinked}` });
    expect((await problems()).sort()).toEqual(['blob-corrupt', 'blob-missing', 'manifest-incomplete']);
  });

  test('repair takes what is damaged out of use, and the same push heals it', async () => {
    const set = image('healed');
    await push(set, ['v']);
    const [changed, gone] = set.blobs.map(({ digest }) => digest) as [Digest, Digest];
    for await (const { key, digest } of store.blobs.list()) {
      const { writeFile } = await import('node:fs/promises');
      if (digest === changed) await writeFile(`${store.directory}/store/${key}`, 'something else');
      if (digest === gone) await store.blobs.delete(key);
    }
    const seen = [];
    for await (const event of verifyRegistry(store, { repair: true })) {
      if (event.type === 'problem') seen.push([event.kind, event.isRepaired === true]);
    }
    // The image is named last: that is what is to be pushed again.
    expect(seen).toEqual([
      ['blob-corrupt', true],
      ['blob-missing', true],
      ['blob-missing', true],
      ['manifest-incomplete', false],
    ]);
    for (const digest of [changed, gone]) expect(await registry.blobs.stat(APP, digest)).toBeUndefined();
    await push(set, ['v']);
    expect(await problems()).toEqual([]);
    expect(await storedBlobs()).toBe(set.blobs.length);
  });

  test('count what is stored once and named often', async () => {
    const set = new SetBuilder('shared');
    const layer = set.layer(1000);
    set.image({}, [layer]);
    set.image({ annotations: { second: 'image' } }, [layer]);
    await push(set, ['v'], 'one/app');
    await push(set, ['v'], 'two/app');
    const stats = await registryStats(store);
    expect(stats).toMatchObject({ repositories: 2, tags: 2, manifests: 4, blobs: 2 });
    expect(stats.logicalBytes).toBeGreaterThan(4000);
    expect(stats.storedBytes).toBeLessThan(1500);
    expect(stats.saving).toBeGreaterThan(0.4);
  });
});
