import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type Digest, digestOf, MediaType } from '../../lib/oci/index.js';
import { LEASE_MS, Registry, verifyRegistry } from '../../lib/registry/index.js';
import { ContentStore, type RecordStore } from '../../lib/store/index.js';
import { RecordsSecretStore } from '../../lib/store/records/secret-store-records.js';
import { createTestStore, type TestStore } from '../fakes/embedded-store.js';
import { manualClock, type ManualClock } from '../fakes/manual-clock.js';
import { imageSet, SetBuilder, type TestManifest } from '../protocol/registry/images.js';
import { type RecordCall, watchedRecords } from './watched-records.js';

let clock: ManualClock;
let store: TestStore;
let registry: Registry;
let calls: RecordCall[];
/** What happens just before a call reaches the store. */
let meanwhile: (call: RecordCall) => Promise<void> | void;

const over = (records: RecordStore): Registry =>
  new Registry({
    ...store,
    records,
    content: new ContentStore(store.blobs, records, store.clock),
    secrets: new RecordsSecretStore(store.records, { key: Buffer.alloc(32, 3) }),
  });

beforeAll(async () => {
  clock = manualClock();
  store = await createTestStore({ clock });
});
afterAll(() => store.close());
beforeEach(() => {
  calls = [];
  meanwhile = () => {};
  const watched = watchedRecords(store.records, async (call) => {
    calls.push(call);
    await meanwhile(call);
  });
  registry = over(watched);
});

const at = (repository: string): string => `REPO#${repository}`;
const link = (repository: string, digest: Digest): { partition: string; sort: string } => ({
  partition: at(repository),
  sort: `LINK#${digest}`,
});

/** Pushes the blobs and all manifests but the last, which is returned. */
async function prepared(repository: string, set = imageSet('an image')): Promise<TestManifest> {
  for (const { bytes } of set.blobs) await registry.linkBlob(repository, (await store.content.putBytes(bytes)).digest);
  for (const each of set.manifests.slice(0, -1)) await registry.putManifest(repository, each.bytes, each.mediaType, []);
  const last = set.manifests.at(-1);
  if (last === undefined) throw new Error('the set has no manifest');
  calls = [];
  return last;
}

describe('Images', () => {
  test('what the builder puts is what the engine reads', async () => {
    const image = await prepared('team/app');
    const descriptor = await registry.putManifest('team/app', image.bytes, image.mediaType, ['one', 'two']);
    expect(descriptor).toEqual({ mediaType: image.mediaType, digest: image.digest, size: image.bytes.length });
    const stored = { digest: image.digest, mediaType: image.mediaType, bytes: image.bytes };
    expect(await registry.manifest('team/app', { tag: 'two' })).toEqual(stored);
    expect(await registry.manifest('team/app', { digest: image.digest })).toEqual(stored);
    expect(await registry.manifest('team/app', { tag: 'three' })).toBeUndefined();
    expect(await registry.tags('team/app')).toEqual(
      ['one', 'two'].map((tag) => ({ tag, digest: image.digest, updatedMs: clock.nowMs() })),
    );
    expect(await registry.tags('team/none')).toBeUndefined();
    expect(await registry.repositories()).toContain('team/app');
  });

  test('a blob the store has not cannot be linked, and no link stays behind', async () => {
    const digest = digestOf('nowhere');
    await expect(registry.linkBlob('team/absent', digest)).rejects.toMatchObject({ code: 'BLOB_UNKNOWN' });
    expect(await store.records.get(link('team/absent', digest))).toBeUndefined();
  });

  test('a blob of one repository cannot be named by a manifest of another', async () => {
    const image = await prepared('team/first');
    await expect(registry.putManifest('team/second', image.bytes, image.mediaType, ['x'])).rejects.toMatchObject({
      code: 'MANIFEST_BLOB_UNKNOWN',
    });
    expect(await registry.manifest('team/second', { tag: 'x' })).toBeUndefined();
  });

  test.each(['', 'UPPER', '../x', 'a//b'])('the repository name %j is refused', async (name) => {
    await expect(registry.putManifest(name, Buffer.from('{}'), '', [])).rejects.toMatchObject({ code: 'NAME_INVALID' });
    await expect(registry.manifest(name, { tag: 'x' })).rejects.toMatchObject({ code: 'NAME_INVALID' });
  });

  test('an index may leave out children only where its repository is allowed to take that', async () => {
    const child = { mediaType: MediaType.ociManifest, digest: digestOf('a child elsewhere'), size: 5 };
    const sparse = new SetBuilder('sparse');
    sparse.index([child]);
    const index = sparse.manifests[0] as TestManifest;
    const put = (tags: readonly string[]) => registry.putManifest('team/sparse', index.bytes, index.mediaType, tags);
    const pull = () => registry.manifest('team/sparse', { tag: 'some' });
    await expect(put([])).rejects.toMatchObject({ code: 'MANIFEST_BLOB_UNKNOWN' });
    await registry.sparseRepositories.add('team/*');
    await expect(put(['some'])).resolves.toMatchObject({ digest: index.digest });
    await registry.sparseRepositories.remove('team/*');
    await expect(put([])).rejects.toMatchObject({ code: 'MANIFEST_BLOB_UNKNOWN' });
    // What was taken stays, is nothing to repair, and comes back when it was deleted by mistake.
    expect((await pull())?.digest).toBe(index.digest);
    await registry.deleteManifest('team/sparse', index.digest);
    await registry.undelete('team/sparse', 'some');
    expect((await pull())?.digest).toBe(index.digest);
    const problems = [];
    for await (const event of verifyRegistry(store)) if (event.type === 'problem') problems.push(event);
    expect(problems).toEqual([]);
  });
});

describe('a push and a collector', () => {
  const first = (kind: string, from = 0): number =>
    calls.findIndex((call, i) => i >= from && call.op !== 'get' && call.keys.some((key) => key.startsWith(kind)));

  test('edges are written before any link is read, and the manifest comes last, with its tags', async () => {
    const image = await prepared('order/push');
    await registry.putManifest('order/push', image.bytes, image.mediaType, ['a', 'b']);
    const lastEdge = calls.findLastIndex((call) => call.keys.some((key) => key.startsWith('EDGE#')));
    const firstLink = calls.findIndex((call) => call.op === 'get' && call.keys.some((key) => key.startsWith('LINK#')));
    const stored = calls.findIndex((call) => call.op === 'transact');
    expect(calls.filter((call) => call.keys.some((key) => key.startsWith('EDGE#')))).toHaveLength(3);
    expect(lastEdge).toBeLessThan(firstLink);
    expect(firstLink).toBeLessThan(stored);
    expect(calls[stored]?.keys).toEqual(expect.arrayContaining([`MAN#${image.digest}`, 'TAG#a', 'TAG#b']));
    expect(calls).toHaveLength(stored + 1);
  });

  test('a blob says who holds it before the repository links it', async () => {
    const { digest } = await store.content.putBytes(Buffer.from('held'));
    await registry.linkBlob('order/link', digest);
    expect(first('BY#REPO#')).toBeLessThan(calls.findIndex((call) => call.op === 'get' && call.keys.includes('-')));
    expect(calls.findIndex((call) => call.op === 'get' && call.keys.includes('-'))).toBeLessThan(first('LINK#'));
  });

  test('a link the collector has chosen is revived by a push that needs it', async () => {
    const image = await prepared('doomed/push');
    const target = link('doomed/push', imageSet('an image').blobs[0]?.digest as Digest);
    await store.records.put(target, { sizeBytes: 1000, state: 'doomed', leaseUntilMs: 0 });
    await registry.putManifest('doomed/push', image.bytes, image.mediaType, []);
    expect((await store.records.get<{ state: string }>(target))?.value.state).toBe('live');
  });

  test('a link that is collected while the push looks makes the push fail, never a broken image', async () => {
    const image = await prepared('doomed/lost');
    const target = link('doomed/lost', imageSet('an image').blobs[0]?.digest as Digest);
    await store.records.put(target, { sizeBytes: 1000, state: 'doomed', leaseUntilMs: 0 });
    // The collector deletes what it doomed between our read and our revival.
    meanwhile = async (call) => {
      if (call.op === 'put' && call.keys[0] === target.sort) await store.records.delete(target);
    };
    await expect(registry.putManifest('doomed/lost', image.bytes, image.mediaType, ['x'])).rejects.toMatchObject({
      code: 'MANIFEST_BLOB_UNKNOWN',
    });
    expect(await registry.manifest('doomed/lost', { tag: 'x' })).toBeUndefined();
  });

  test('edges that grew old while a slow push looked are written again before the manifest is stored', async () => {
    const image = await prepared('slow/push');
    let slow = true;
    meanwhile = (call) => {
      if (slow && call.op === 'get' && call.keys[0]?.startsWith('LINK#')) {
        slow = false;
        clock.advance(2 * 60 * 60 * 1000);
      }
    };
    await registry.putManifest('slow/push', image.bytes, image.mediaType, []);
    const edges = await store.records.query<{ atMs: number }>(at('slow/push'), { prefix: 'EDGE#' });
    expect(edges.records.map(({ value }) => value.atMs)).toEqual(edges.records.map(() => clock.nowMs()));
  });

  test('"it is here" renews the lease once less than half of it is left, and revives', async () => {
    const { digest } = await store.content.putBytes(Buffer.from('leased'));
    await registry.linkBlob('lease', digest);
    const until = async (): Promise<number> =>
      (await store.records.get<{ leaseUntilMs: number }>(link('lease', digest)))?.value.leaseUntilMs ?? 0;
    const given = await until();
    expect(given).toBe(clock.nowMs() + LEASE_MS);
    clock.advance(LEASE_MS / 2 - 1);
    await registry.blobs.stat('lease', digest);
    expect(await until()).toBe(given);
    clock.advance(1);
    await registry.blobs.stat('lease', digest);
    expect(await until()).toBe(clock.nowMs() + LEASE_MS);
  });

  test('a body too large for a record is a linked blob with an edge of its own', async () => {
    const image = await prepared('large', imageSet('a manifest of 3.9 MB'));
    await registry.putManifest('large', image.bytes, image.mediaType, []);
    expect(await store.records.get(link('large', image.digest))).toBeDefined();
    const edge = { partition: at('large'), sort: `EDGE#${image.digest}#${image.digest}` };
    expect(await store.records.get(edge)).toBeDefined();
    expect((await registry.manifest('large', { digest: image.digest }))?.bytes.equals(image.bytes)).toBe(true);
  });
});

describe('deleting', () => {
  test('a manifest takes its tags and its place among referrers with it, and leaves its edges', async () => {
    const image = await prepared('delete/one', imageSet('an index as subject'));
    await registry.putManifest('delete/one', image.bytes, image.mediaType, ['a', 'b']);
    const subject = image.subject as Digest;
    expect((await registry.referrers.list('delete/one', subject)).descriptors).toHaveLength(1);
    await registry.deleteManifest('delete/one', image.digest);
    expect(await registry.tags('delete/one')).toEqual([]);
    expect((await registry.referrers.list('delete/one', subject)).descriptors).toEqual([]);
    const edges = await store.records.query(at('delete/one'), { prefix: 'EDGE#' });
    expect(edges.records.filter(({ sort }) => sort.endsWith(image.digest))).not.toEqual([]);
    await expect(registry.deleteManifest('delete/one', image.digest)).rejects.toMatchObject({
      code: 'MANIFEST_UNKNOWN',
    });
    await expect(registry.deleteTag('delete/none', 'x')).rejects.toMatchObject({ code: 'NAME_UNKNOWN' });
  });

  test('a tag that is pushed while its manifest is deleted never dangles', async () => {
    const image = await prepared('delete/race');
    await registry.putManifest('delete/race', image.bytes, image.mediaType, ['old']);
    const other = over(store.records);
    let pushed = false;
    // After the tags were looked through, and before the manifest goes, someone pushes it again under a new tag.
    meanwhile = async (call) => {
      if (pushed || call.op !== 'transact' || !call.keys.includes(`MAN#${image.digest}`)) return;
      pushed = true;
      await other.putManifest('delete/race', image.bytes, image.mediaType, ['new']);
    };
    await registry.deleteManifest('delete/race', image.digest);
    expect(pushed).toBe(true);
    expect(await registry.tags('delete/race')).toEqual([]);
    expect(await registry.manifest('delete/race', { digest: image.digest })).toBeUndefined();
  });

  test('pushes and deletes in any interleaving leave no tag without its manifest', async () => {
    const image = await prepared('delete/storm');
    const work = Array.from({ length: 60 }, (_, i) =>
      i % 3 === 2
        ? registry.deleteManifest('delete/storm', image.digest).catch(() => {})
        : registry.putManifest('delete/storm', image.bytes, image.mediaType, [`t${i % 7}`]),
    );
    await Promise.all(work);
    const tags = (await registry.tags('delete/storm')) ?? [];
    const manifest = await registry.manifest('delete/storm', { digest: image.digest });
    expect(tags.length === 0 || manifest !== undefined).toBe(true);
  });

  test('a tag remembers where it pointed, newest first, and that it was deleted', async () => {
    const image = await prepared('history');
    await registry.putManifest('history', image.bytes, image.mediaType, ['v']);
    clock.advance(1000);
    const [empty] = imageSet('an empty index').manifests as [TestManifest];
    await registry.putManifest('history', empty.bytes, empty.mediaType, ['v']);
    clock.advance(1000);
    await registry.deleteTag('history', 'v');
    const now = clock.nowMs();
    expect(await registry.tagList.history('history', 'v')).toEqual([
      { atMs: now },
      { atMs: now - 1000, digest: empty.digest },
      { atMs: now - 2000, digest: image.digest },
    ]);
    clock.advance(91 * 24 * 60 * 60 * 1000);
    expect(await registry.tagList.history('history', 'v')).toEqual([]);
  });

  test('the same push again is nothing new in a history, unless the tag was moved meanwhile', async () => {
    const image = await prepared('history/same');
    const [empty] = imageSet('an empty index').manifests as [TestManifest];
    const push = ({ bytes, mediaType }: TestManifest) => registry.putManifest('history/same', bytes, mediaType, ['v']);
    await push(image);
    clock.advance(1000);
    await push(image);
    const pointed = async () => (await registry.tagList.history('history/same', 'v')).map(({ digest }) => digest);
    expect(await pointed()).toEqual([image.digest]);
    expect((await registry.tagList.list('history/same')).items).toMatchObject([{ updatedMs: clock.nowMs() }]);

    meanwhile = async ({ op, keys }) => {
      if (op !== 'transact' || !keys.includes('TAG#v')) return;
      meanwhile = () => {};
      clock.advance(1000);
      await push(empty);
      clock.advance(1000);
    };
    await push(image);
    expect(await pointed()).toEqual([image.digest, empty.digest, image.digest]);
    expect(await registry.tagList.resolve('history/same', 'v')).toBe(image.digest);
  });
});
