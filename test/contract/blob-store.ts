/** What every BlobStore must do. An adapter's test calls this with a factory. */
import { createHash, randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { digestOf, type Digest } from '../../lib/oci/index.js';
import type { BlobKey, BlobStore, ByteRange, ByteSource, CommitResult } from '../../lib/store/index.js';

export interface BlobStoreSubject {
  readonly blobs: BlobStore;
  /** Another process's view of the same store: an adapter that shares no memory with the first. */
  reopen(): Promise<BlobStore>;
  close(): Promise<void>;
}

export interface BlobStoreTraits {
  /** Does the store hand out URLs? */
  readonly hasUrls: boolean;
}

const MIB = 1024 * 1024;

export function blobStoreContract(name: string, traits: BlobStoreTraits, open: () => Promise<BlobStoreSubject>): void {
  describe(`${name} as a blob store`, () => {
    let subject: BlobStoreSubject;
    let blobs: BlobStore;
    beforeAll(async () => {
      subject = await open();
      blobs = subject.blobs;
    });
    afterAll(() => subject.close());
    const read = async (key: BlobKey, range?: ByteRange): Promise<Buffer | undefined> => {
      const stream = await blobs.open(key, range);
      return stream === undefined ? undefined : buffer(stream);
    };
    const listed = async (): Promise<Map<BlobKey, number>> => {
      const all = new Map<BlobKey, number>();
      for await (const blob of blobs.list()) all.set(blob.key, blob.sizeBytes);
      return all;
    };

    describe('a put', () => {
      test.each([0, 1, 1000, 5 * MIB, 5 * MIB + 1, 17 * MIB + 3])(
        'of %i bytes is stored and read back',
        async (size) => {
          const bytes = randomBytes(size);
          const blob = await blobs.put(chunked(bytes));
          expect(blob).toMatchObject({ digest: digestOf(bytes), sizeBytes: size });
          expect(await blobs.stat(blob.key)).toEqual({ sizeBytes: size });
          expect((await read(blob.key))?.equals(bytes)).toBe(true);
          expect((await listed()).get(blob.key)).toBe(size);
        },
      );

      test('of the same bytes twice lies at two keys', async () => {
        const bytes = randomBytes(100);
        const [a, b] = [await blobs.put(chunked(bytes)), await blobs.put(chunked(bytes))];
        expect(a.key).not.toBe(b.key);
        await blobs.delete(a.key);
        expect((await read(b.key))?.equals(bytes)).toBe(true);
      });

      test.each(['sha256', 'sha512'] as const)(
        'with the right expected %s digest gives that digest',
        async (algorithm) => {
          const bytes = randomBytes(1000);
          const expected = digestOf(bytes, algorithm);
          expect((await blobs.put(chunked(bytes), { expected })).digest).toBe(expected);
        },
      );

      test.each([10, 20 * MIB])('of %i bytes with another digest is refused and nothing is kept', async (size) => {
        const before = await listed();
        const expected = digestOf('other');
        await expect(blobs.put(chunked(randomBytes(size)), { expected })).rejects.toMatchObject({
          code: 'DIGEST_MISMATCH',
        });
        expect(await listed()).toEqual(before);
      });

      test.each([0, 10, 20 * MIB])('whose source fails after %i bytes leaves nothing', async (size) => {
        const before = await listed();
        const failure = new Error('the client is gone');
        await expect(blobs.put(failing(randomBytes(size), failure))).rejects.toBe(failure);
        expect(await listed()).toEqual(before);
      });

      test('ends when its signal fires, even while the source hangs, and leaves nothing', async () => {
        const before = await listed();
        const stop = new AbortController();
        const reason = new Error('stopped');
        const put = blobs.put(
          hanging(Buffer.from('some'), () => stop.abort(reason)),
          { signal: stop.signal },
        );
        await expect(put).rejects.toBe(reason);
        expect(await listed()).toEqual(before);
      });

      test('of many at once keeps them apart', async () => {
        const all = Array.from({ length: 16 }, (_, at) => randomBytes(1000 * at));
        const stored = await Promise.all(all.map((bytes) => blobs.put(chunked(bytes))));
        for (const [at, blob] of stored.entries())
          expect((await read(blob.key))?.equals(all[at] ?? Buffer.of())).toBe(true);
      });
    });

    describe('a read', () => {
      const bytes = randomBytes(3 * MIB);
      let key: BlobKey;
      beforeAll(async () => {
        key = (await blobs.put(chunked(bytes))).key;
      });

      test.each([
        [0, 0],
        [0, 9],
        [1 * MIB - 1, 2 * MIB],
        [3 * MIB - 1, 3 * MIB - 1],
        [3 * MIB - 5, 9 * MIB],
      ])('of bytes %i to %i gives just those that there are', async (start, end) => {
        expect((await read(key, { start, end }))?.equals(bytes.subarray(start, end + 1))).toBe(true);
      });

      test.each([
        [3 * MIB, 3 * MIB],
        [10, 9],
      ])('of bytes %i to %i is refused', async (start, end) => {
        await expect(read(key, { start, end })).rejects.toMatchObject({ code: 'RANGE_INVALID' });
      });

      test('of a range of an empty blob is refused', async () => {
        const empty = await blobs.put(chunked(Buffer.of()));
        await expect(read(empty.key, { start: 0, end: 0 })).rejects.toMatchObject({ code: 'RANGE_INVALID' });
      });

      test('can be given up midway', async () => {
        const stream = await blobs.open(key);
        for await (const chunk of stream ?? []) if (chunk !== undefined) break;
        expect((await read(key))?.equals(bytes)).toBe(true);
      });

      test.each(['blobs/00/none', '../../etc/passwd', 'blobs/../../etc/passwd', '', 'uploads'])(
        'of the key %j that the store never gave out finds nothing',
        async (text) => {
          const foreign = text as BlobKey;
          expect(await blobs.open(foreign)).toBeUndefined();
          expect(await blobs.stat(foreign)).toBeUndefined();
          await blobs.delete(foreign);
        },
      );

      test('of a deleted blob finds nothing, and deleting it again is fine', async () => {
        const gone = await blobs.put(chunked(Buffer.from('gone')));
        await blobs.delete(gone.key);
        await blobs.delete(gone.key);
        expect(await blobs.stat(gone.key)).toBeUndefined();
        expect(await blobs.open(gone.key)).toBeUndefined();
        expect((await listed()).has(gone.key)).toBe(false);
      });

      test(traits.hasUrls ? 'by URL gives the bytes, ranges too' : 'by URL is not offered', async () => {
        const url = await blobs.readUrl(key, 60);
        if (!traits.hasUrls) {
          expect(url).toBeUndefined();
          return;
        }
        const whole = await fetch(url ?? '');
        expect(Buffer.from(await whole.arrayBuffer()).equals(bytes)).toBe(true);
        const part = await fetch(url ?? '', { headers: { range: 'bytes=5-9' } });
        expect(part.status).toBe(206);
        expect(Buffer.from(await part.arrayBuffer()).equals(bytes.subarray(5, 10))).toBe(true);
      });
    });

    describe('an upload', () => {
      const commit = async (id: string, bytes: Uint8Array): Promise<Digest> => {
        const digest = digestOf(bytes);
        const result = await blobs.uploads.commit(id, digest);
        expect(result).toMatchObject({ outcome: 'committed', blob: { digest, sizeBytes: bytes.length } });
        if (result.outcome !== 'committed') throw new Error('not committed');
        expect((await read(result.blob.key))?.equals(bytes)).toBe(true);
        expect((await listed()).get(result.blob.key)).toBe(bytes.length);
        return digest;
      };

      test.each([0, 1, 5 * MIB, 12 * MIB + 7])('of %i bytes in one append is committed', async (size) => {
        const bytes = randomBytes(size);
        const id = await blobs.uploads.start();
        expect(await blobs.uploads.append(id, 0, chunked(bytes))).toEqual({ outcome: 'appended', offset: size });
        await commit(id, bytes);
      });

      test('without any append is an empty blob', async () => {
        await commit(await blobs.uploads.start(), Buffer.of());
      });

      test.each([1, 1000, 5 * MIB + 1])('grows by appends of %i bytes, with and without an offset', async (size) => {
        const bytes = randomBytes(size * 5);
        const id = await blobs.uploads.start();
        for (let at = 0; at < bytes.length; at += size) {
          const offset = at % 2 === 0 ? at : undefined;
          const result = await blobs.uploads.append(id, offset, chunked(bytes.subarray(at, at + size)));
          expect(result).toEqual({ outcome: 'appended', offset: at + size });
        }
        expect(await blobs.uploads.status(id)).toMatchObject({ offset: bytes.length });
        await commit(id, bytes);
      });

      test('is not a blob before it is committed, and is no upload after', async () => {
        const before = await listed();
        const bytes = randomBytes(6 * MIB);
        const id = await blobs.uploads.start();
        await blobs.uploads.append(id, 0, chunked(bytes));
        expect(await listed()).toEqual(before);
        await commit(id, bytes);
        expect(await blobs.uploads.status(id)).toBeUndefined();
        expect(await blobs.uploads.append(id, undefined, chunked(bytes))).toEqual({ outcome: 'absent' });
        expect(await blobs.uploads.commit(id, digestOf(bytes))).toEqual({ outcome: 'absent' });
      });

      test('refuses an append at another offset, tells its own, and goes on', async () => {
        const id = await blobs.uploads.start();
        await blobs.uploads.append(id, 0, chunked(Buffer.from('hello ')));
        for (const offset of [0, 5, 7]) {
          const result = await blobs.uploads.append(id, offset, chunked(Buffer.from('no')));
          expect(result).toEqual({ outcome: 'wrong-offset', offset: 6 });
        }
        await blobs.uploads.append(id, 6, chunked(Buffer.from('world')));
        await commit(id, Buffer.from('hello world'));
      });

      test('takes one of two appends at the same offset', async () => {
        const id = await blobs.uploads.start();
        const both = [Buffer.from('left'), Buffer.from('right')];
        const results = await Promise.all(both.map((bytes) => blobs.uploads.append(id, 0, chunked(bytes))));
        expect(results.map(({ outcome }) => outcome).toSorted()).toEqual(['appended', 'wrong-offset']);
        await commit(id, both[results.findIndex(({ outcome }) => outcome === 'appended')] ?? Buffer.of());
      });

      test.each([3, 9 * MIB])(
        'whose source fails after %i bytes stands at a known offset and can go on',
        async (size) => {
          const bytes = randomBytes(size + 1000);
          const failure = new Error('the client is gone');
          const id = await blobs.uploads.start();
          await expect(blobs.uploads.append(id, 0, failing(bytes.subarray(0, size), failure))).rejects.toBe(failure);
          const offset = (await blobs.uploads.status(id))?.offset ?? -1;
          expect(offset).toBeGreaterThanOrEqual(0);
          expect(offset).toBeLessThanOrEqual(size);
          await blobs.uploads.append(id, offset, chunked(bytes.subarray(offset)));
          await commit(id, bytes);
        },
      );

      test('stops an append when its signal fires', async () => {
        const id = await blobs.uploads.start();
        const stop = new AbortController();
        const reason = new Error('stopped');
        const source = hanging(Buffer.from('some'), () => stop.abort(reason));
        await expect(blobs.uploads.append(id, 0, source, stop.signal)).rejects.toBe(reason);
        const offset = (await blobs.uploads.status(id))?.offset ?? -1;
        await blobs.uploads.append(id, offset, chunked(Buffer.from('some text').subarray(offset)));
        await commit(id, Buffer.from('some text'));
      });

      test.each([11, 11 * MIB])('of %i bytes with another digest is kept and can still be committed', async (size) => {
        const bytes = randomBytes(size);
        const id = await blobs.uploads.start();
        await blobs.uploads.append(id, 0, chunked(bytes));
        const refused = await blobs.uploads.commit(id, digestOf('other'));
        expect(refused).toEqual({ outcome: 'digest-mismatch', actual: digestOf(bytes) });
        expect(await blobs.uploads.status(id)).toMatchObject({ offset: size });
        await commit(id, bytes);
      });

      test.each([100, 11 * MIB])('of %i bytes is committed by sha512, announced or not', async (size) => {
        const bytes = randomBytes(size);
        for (const announced of ['sha512', 'sha256'] as const) {
          const id = await blobs.uploads.start(announced);
          await blobs.uploads.append(id, 0, chunked(bytes));
          const wrong = await blobs.uploads.commit(id, digestOf('other', 'sha512'));
          expect(wrong).toEqual({ outcome: 'digest-mismatch', actual: digestOf(bytes, 'sha512') });
          const result = await blobs.uploads.commit(id, digestOf(bytes, 'sha512'));
          expect(result).toMatchObject({ outcome: 'committed', blob: { digest: digestOf(bytes, 'sha512') } });
        }
      });

      test.each([1000, 7 * MIB])('goes on in another process after %i bytes', async (size) => {
        const bytes = randomBytes(size * 3);
        const id = await blobs.uploads.start();
        await blobs.uploads.append(id, 0, chunked(bytes.subarray(0, size)));
        const second = await subject.reopen();
        expect(await second.uploads.status(id)).toMatchObject({ offset: size });
        await second.uploads.append(id, size, chunked(bytes.subarray(size, 2 * size)));
        // Back in the first one, whose memory of the upload is now old.
        expect(await blobs.uploads.append(id, size, chunked(bytes))).toEqual({
          outcome: 'wrong-offset',
          offset: 2 * size,
        });
        await blobs.uploads.append(id, 2 * size, chunked(bytes.subarray(2 * size)));
        const third = await subject.reopen();
        const committed = await third.uploads.commit(id, digestOf(bytes));
        expect(committed).toMatchObject({ outcome: 'committed', blob: { sizeBytes: bytes.length } });
        expect((await read(keyOf(committed)))?.equals(bytes)).toBe(true);
      });

      test.each(['sha256', 'sha512'] as const)(
        'hashes with %s over any number of processes, cut anywhere',
        async (algorithm) => {
          const bytes = randomBytes(3 * MIB + 77);
          const cuts = [0, 1, 63, 64, 65, 127, 128, 4095, MIB - 1, MIB, MIB + 1, 2 * MIB + 129, bytes.length];
          const id = await blobs.uploads.start(algorithm);
          for (const [i, start] of cuts.slice(0, -1).entries()) {
            const process = await subject.reopen();
            await process.uploads.append(id, start, chunked(bytes.subarray(start, cuts[i + 1])));
          }
          const last = await subject.reopen();
          expect(await last.uploads.commit(id, digestOf(bytes, algorithm))).toMatchObject({ outcome: 'committed' });
        },
      );

      test('that is aborted is gone, and aborting again is fine', async () => {
        const id = await blobs.uploads.start();
        await blobs.uploads.append(id, 0, chunked(randomBytes(6 * MIB)));
        await blobs.uploads.abort(id);
        await blobs.uploads.abort(id);
        expect(await blobs.uploads.status(id)).toBeUndefined();
        expect(await blobs.uploads.append(id, undefined, chunked(Buffer.from('x')))).toEqual({ outcome: 'absent' });
      });

      test('that is aborted while it grows ends that append', async () => {
        const id = await blobs.uploads.start();
        let aborted: Promise<void> | undefined;
        const source = hanging(Buffer.from('some'), () => {
          aborted = blobs.uploads.abort(id);
        });
        const append = blobs.uploads.append(id, 0, source);
        await expect(append).rejects.toMatchObject({ code: 'UPLOAD_ABORTED' });
        await aborted;
        expect(await blobs.uploads.status(id)).toBeUndefined();
      });

      test('that nobody started is absent', async () => {
        for (const id of ['0'.repeat(40), '../../etc', '', 'x'.repeat(2000)]) {
          expect(await blobs.uploads.status(id)).toBeUndefined();
          expect(await blobs.uploads.append(id, 0, chunked(Buffer.from('x')))).toEqual({ outcome: 'absent' });
          expect(await blobs.uploads.commit(id, digestOf('x'))).toEqual({ outcome: 'absent' });
          await blobs.uploads.abort(id);
        }
      });

      test('is stale once it started before the given time', async () => {
        const id = await blobs.uploads.start();
        const startedMs = (await blobs.uploads.status(id))?.startedMs ?? 0;
        expect(await all(blobs.uploads.stale(startedMs))).not.toContain(id);
        expect(await all(blobs.uploads.stale(startedMs + 1))).toContain(id);
        await blobs.uploads.abort(id);
        expect(await all(blobs.uploads.stale(startedMs + 1))).not.toContain(id);
      });
    });

    test('what is stored hashes to its digest after a stream of odd chunks', async () => {
      const hash = createHash('sha256');
      const source = async function* (): ByteSource {
        for (let at = 0; at < 200; at++) {
          const chunk = randomBytes((at * 7919) % 100_003);
          hash.update(chunk);
          yield chunk;
        }
      };
      const blob = await blobs.put(source());
      expect(blob.digest).toBe(`sha256:${hash.digest('hex')}`);
      expect(digestOf((await read(blob.key)) ?? '')).toBe(blob.digest);
    });
  });
}

function keyOf(result: CommitResult): BlobKey {
  if (result.outcome !== 'committed') throw new Error(`not committed: ${result.outcome}`);
  return result.blob.key;
}

function chunked(bytes: Uint8Array, size = 64 * 1024): ByteSource {
  const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) =>
    bytes.subarray(at * size, (at + 1) * size),
  );
  return Readable.from(chunks, { objectMode: true });
}

async function* failing(bytes: Uint8Array, failure: Error): ByteSource {
  yield* chunked(bytes);
  throw failure;
}

/** Gives some bytes, calls back, and then nothing for ever. */
async function* hanging(bytes: Uint8Array, then: () => void): ByteSource {
  yield bytes;
  setImmediate(() => then());
  await new Promise<never>(() => {});
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}
