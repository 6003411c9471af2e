/** What the ContentStore must do on every pair of blob store and record store. */
import { randomBytes } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { buffer } from 'node:stream/consumers';
import { digestOf, type Digest } from '../../lib/oci/index.js';
import {
  ContentStore,
  blobRecordKey,
  type BlobKey,
  type BlobRecord,
  type BlobStore,
  type RecordStore,
} from '../../lib/store/index.js';

export interface ContentStoreSubject {
  readonly blobs: BlobStore;
  readonly records: RecordStore;
  close(): Promise<void>;
}

export function contentStoreContract(name: string, open: () => Promise<ContentStoreSubject>): void {
  describe(`the content store on ${name}`, () => {
    let subject: ContentStoreSubject;
    let content: ContentStore;
    beforeAll(async () => {
      subject = await open();
      content = new ContentStore(subject.blobs, subject.records);
    });
    afterAll(() => subject.close());
    const recordOf = async (digest: Digest): Promise<BlobRecord | undefined> =>
      (await subject.records.get<BlobRecord>(blobRecordKey(digest)))?.value;
    const keys = async (): Promise<Set<BlobKey>> => {
      const found = new Set<BlobKey>();
      for await (const { key } of subject.blobs.list()) found.add(key);
      return found;
    };

    test('knows nothing of a digest that was not put', async () => {
      const digest = digestOf(randomBytes(8));
      expect(await content.stat(digest)).toBeUndefined();
      expect(await content.open(digest)).toBeUndefined();
      expect(await content.read(digest)).toBeUndefined();
      expect(await content.readUrl(digest, 60)).toBeUndefined();
    });

    test('finds bytes by their digest, whole and in part', async () => {
      const bytes = randomBytes(10_000);
      const info = await content.putBytes(bytes);
      expect(info).toEqual({ digest: digestOf(bytes), sizeBytes: bytes.length });
      expect(await content.stat(info.digest)).toEqual(info);
      expect((await content.read(info.digest))?.equals(bytes)).toBe(true);
      const part = await content.open(info.digest, { start: 5, end: 9 });
      expect(part && (await buffer(part)).equals(bytes.subarray(5, 10))).toBe(true);
    });

    test('keeps one copy of the same bytes, the first', async () => {
      const bytes = randomBytes(1000);
      const { digest } = await content.putBytes(bytes);
      const first = await recordOf(digest);
      const before = await keys();
      await content.putBytes(bytes);
      expect(await recordOf(digest)).toEqual(first);
      expect(await keys()).toEqual(before);
    });

    test('keeps one readable copy when many put the same bytes at once', async () => {
      const bytes = randomBytes(1000);
      const before = await keys();
      await Promise.all(Array.from({ length: 8 }, () => content.putBytes(bytes)));
      const added = [...(await keys())].filter((key) => !before.has(key));
      expect(added).toEqual([(await recordOf(digestOf(bytes)))?.key]);
      expect((await content.read(digestOf(bytes)))?.equals(bytes)).toBe(true);
    });

    test('takes the new bytes when the collector has doomed the old ones', async () => {
      const bytes = randomBytes(1000);
      const { digest } = await content.putBytes(bytes);
      const old = await subject.records.get<BlobRecord>(blobRecordKey(digest));
      if (old === undefined) throw new Error('no record');
      await subject.records.put(blobRecordKey(digest), { ...old.value, state: 'doomed' });
      await content.putBytes(bytes);
      const revived = await recordOf(digest);
      expect(revived).toMatchObject({ state: 'live' });
      expect(revived?.key).not.toBe(old.value.key);
      // What the collector does next cannot hurt.
      await subject.blobs.delete(old.value.key);
      expect((await content.read(digest))?.equals(bytes)).toBe(true);
    });

    test('stays readable while a collector dooms and deletes and writers put the same bytes', async () => {
      const bytes = randomBytes(500);
      const digest = digestOf(bytes);
      const over = new AbortController();
      const collect = async (): Promise<void> => {
        while (!over.signal.aborted) {
          // A read from lmdb never leaves the microtask queue; without this nobody else would run.
          await setImmediate();
          const live = await subject.records.get<BlobRecord>(blobRecordKey(digest));
          if (live === undefined) continue;
          const doomed = { ...live.value, state: 'doomed' as const };
          const expected = { expect: { version: live.version } };
          const marked = await subject.records.put(blobRecordKey(digest), doomed, expected);
          if (marked.outcome === 'lost') continue;
          const gone = await subject.records.delete(blobRecordKey(digest), { expect: { version: marked.version } });
          if (gone.outcome === 'written') await subject.blobs.delete(live.value.key);
        }
      };
      const write = async (): Promise<void> => {
        for (let at = 0; at < 10; at++) await content.putBytes(bytes);
      };
      const collecting = collect();
      await Promise.all([write(), write()]);
      over.abort();
      await collecting;
      await content.putBytes(bytes);
      expect((await content.read(digest))?.equals(bytes)).toBe(true);
    });

    test('refuses bytes that do not match the expected digest, and keeps nothing', async () => {
      const before = await keys();
      const expected = digestOf('other');
      await expect(content.putBytes(randomBytes(10), { expected })).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
      expect(await recordOf(expected)).toBeUndefined();
      expect(await keys()).toEqual(before);
    });

    test('refuses to read a blob into memory that is larger than it may be', async () => {
      const { digest } = await content.putBytes(randomBytes(100));
      await expect(content.read(digest, 99)).rejects.toMatchObject({ code: 'BLOB_TOO_LARGE' });
    });

    test('adopts a committed upload without another copy', async () => {
      const bytes = randomBytes(1000);
      const id = await subject.blobs.uploads.start();
      await subject.blobs.uploads.append(
        id,
        0,
        (async function* () {
          yield bytes;
        })(),
      );
      const result = await subject.blobs.uploads.commit(id, digestOf(bytes));
      if (result.outcome !== 'committed') throw new Error(result.outcome);
      await content.adopt(result.blob);
      expect((await recordOf(digestOf(bytes)))?.key).toBe(result.blob.key);
      expect((await content.read(digestOf(bytes)))?.equals(bytes)).toBe(true);
    });

    test('adopting the same blob twice keeps its bytes', async () => {
      const bytes = randomBytes(1000);
      const blob = await subject.blobs.put(
        (async function* () {
          yield bytes;
        })(),
      );
      await content.adopt(blob);
      await content.adopt(blob);
      expect((await content.read(blob.digest))?.equals(bytes)).toBe(true);
    });
  });
}
