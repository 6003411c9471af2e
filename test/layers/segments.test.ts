/** Layers compressed by segments: the same bytes whatever was there to be taken, and little work for a small change. */
import { createCipheriv, createHash } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type IndexedLayer, LayerSegmentStore, segmentsCoder, writeLayer, writeTar } from '../../lib/layers/index.js';
import type { LayerEntry, TarMember } from '../../lib/layers/index.js';
import type { SegmentSource } from '../../lib/layers/stored/segmented-gzip.js';
import { createTestStore, type TestStore } from '../fakes/embedded-store.js';

const CODER = segmentsCoder({}) ?? '';
let store: TestStore;
let segments: LayerSegmentStore;
beforeAll(async () => {
  store = await createTestStore();
  segments = new LayerSegmentStore(store);
});
afterAll(() => store.close());

/** So many bytes, different for each seed; quickly made and quickly compressed. */
function content(seed: number, sizeBytes: number): Buffer {
  return Buffer.alloc(sizeBytes, createHash('sha256').update(String(seed)).digest());
}

function members(files: ReadonlyMap<string, Buffer>, pieceBytes = 64 * 1024): TarMember[] {
  return [...files].map(([path, bytes]) => {
    const entry: LayerEntry = {
      ...{ path, type: 'file', mode: 0o644, uid: 0, gid: 0, mtimeSeconds: 1 },
      sizeBytes: bytes.length,
    };
    return { entry, body: pieces(bytes, pieceBytes) };
  });
}

async function* pieces(bytes: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

function folder(count: number, sizeBytes: number): Map<string, Buffer> {
  return new Map(
    Array.from({ length: count }, (_, i) => [`src/file-${String(i).padStart(4, '0')}.js`, content(i, sizeBytes)]),
  );
}

async function written(
  files: ReadonlyMap<string, Buffer>,
  known?: SegmentSource,
  pieceBytes?: number,
): Promise<IndexedLayer> {
  const { content: to } = store;
  return writeLayer(members(files, pieceBytes), { content: to, ...(known === undefined ? {} : { known }) });
}

async function keep(layer: IndexedLayer): Promise<SegmentSource & { close(): Promise<void> }> {
  if (layer.segments === undefined) throw new Error('it has no segments');
  await segments.put(layer.diffId, layer.segments);
  const open = await segments.open(layer.diffId, CODER);
  if (open === undefined) throw new Error('they are not known');
  return open;
}

/** Counts what could be taken. */
function counting(source: SegmentSource): SegmentSource & { hits: number; misses: number } {
  const counted = {
    hits: 0,
    misses: 0,
    has: (sha256: string) => {
      const has = source.has(sha256);
      counted[has ? 'hits' : 'misses'] += 1;
      return has;
    },
    read: (sha256: string) => source.read(sha256),
  };
  return counted;
}

describe('a layer in segments', () => {
  test('stores what cannot get smaller, and compresses what is around it', async () => {
    const random = (seed: number, sizeBytes: number): Buffer => {
      const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, seed), Buffer.alloc(16));
      return cipher.update(Buffer.alloc(sizeBytes));
    };
    const sizeOf = async (files: ReadonlyMap<string, Buffer>): Promise<number> => {
      const layer = await written(files);
      const blob = (await store.content.read(layer.descriptor.digest, 64 * 1024 * 1024)) ?? Buffer.alloc(0);
      const tar = gunzipSync(blob);
      expect(`sha256:${createHash('sha256').update(tar).digest('hex')}`).toBe(layer.diffId);
      expect((await written(files)).descriptor).toEqual(layer.descriptor);
      return blob.length;
    };
    const text = 'All happy families are alike; each unhappy family is unhappy in its own way.\n'.repeat(400);
    const pictures = Array.from({ length: 30 }, (_, i): [string, Buffer] => [
      `picture-${i}`,
      random(i, 20_000 + i * 7919),
    ]);
    const pictureBytes = pictures.reduce((sum, [, { length }]) => sum + length, 0);
    const alone = await sizeOf(new Map(pictures));
    expect(alone).toBeLessThan(pictureBytes * 1.003);
    const words = Array.from({ length: 30 }, (_, i): [string, Buffer] => [`words-${i}`, Buffer.from(text)]);
    const mixed = await sizeOf(new Map(pictures.flatMap((picture, i) => [picture, words[i] ?? picture])));
    expect(mixed - alone).toBeLessThan(words.length * text.length * 0.03);
    // Numbers of two bytes, of which one is random: half of them can be left out.
    const numbers = random(9, 400_000).map((byte, i) => (i % 2 === 0 ? byte : 0));
    expect(await sizeOf(new Map([['numbers', Buffer.from(numbers)]]))).toBeLessThan(numbers.length * 0.65);
  });

  test('is none of another that is written at the same time, or failed before', async () => {
    const broken = async function* (): AsyncGenerator<TarMember> {
      yield* members(folder(100, 30_000));
      throw new Error('the disk is gone');
    };
    const layers = Array.from(
      { length: 4 },
      (_, n) =>
        new Map(
          [...folder(150 + n, 20_000)].map(([path, bytes], i) => [path, i % 7 === 0 ? content(n, 30_000) : bytes]),
        ),
    );
    const alone: string[] = [];
    for (const files of layers) alone.push((await written(files)).diffId);
    const [failed, ...together] = await Promise.allSettled([
      writeLayer(broken(), { content: store.content }),
      ...layers.map((files) => written(files)),
    ]);
    expect(failed).toMatchObject({ status: 'rejected', reason: { message: 'the disk is gone' } });
    expect(together.map((each) => each.status === 'fulfilled' && each.value.diffId)).toEqual(alone);
    for (const [i, each] of together.entries()) {
      if (each.status !== 'fulfilled') continue;
      const { digest } = each.value.descriptor;
      const tar = gunzipSync((await store.content.read(digest, 64 * 1024 * 1024)) ?? Buffer.alloc(0));
      expect(`sha256:${createHash('sha256').update(tar).digest('hex')}`).toBe(alone[i]);
    }
  });

  test('is gzip of the tar', async () => {
    const files = folder(300, 20_000).set('large', content(7, 3_500_000));
    const layer = await written(files);
    const chunks: Uint8Array[] = [];
    for await (const chunk of writeTar(members(files))) chunks.push(chunk);
    const blob = (await store.content.read(layer.descriptor.digest, 1e9)) ?? Buffer.alloc(0);
    expect(gunzipSync(blob).equals(Buffer.concat(chunks))).toBe(true);
    expect(layer.segments?.segments.length).toBeGreaterThan(5);
  });

  test('is compressed anew only around a file that changed, was added or is gone', async () => {
    const files = folder(600, 20_000);
    const source = await keep(await written(files));
    for (const change of [
      () => files.set('src/file-0300.js', content(9999, 31_337)),
      () => files.set('src/file-0301.js', content(9998, 20_000)),
      () => files.delete('src/file-0100.js'),
    ]) {
      change();
      const counted = counting(source);
      const fresh = await written(files);
      const layer = await written(files, counted);
      expect(layer.descriptor).toEqual(fresh.descriptor);
      expect(counted.hits).toBeGreaterThan(0);
    }
    const counted = counting(source);
    await written(files, counted);
    expect(counted.misses).toBeLessThanOrEqual(4);
    expect(counted.hits).toBeGreaterThan(4);
    await source.close();
  });

  test('has the same bytes whatever is known, also when that is damaged or lies', async () => {
    const files = folder(200, 20_000);
    const layer = await written(files);
    const good = await keep(layer);
    const lying = { ...layer.segments, coder: CODER, blob: layer.segments?.blob ?? layer.descriptor };
    const moved = (layer.segments?.segments ?? []).map((segment) => ({ ...segment, offset: segment.offset + 1 }));
    await segments.put(layer.diffId, { ...lying, segments: moved });
    const bad = await segments.open(layer.diffId, CODER);
    for (const known of [good, bad, { has: () => true, read: async () => undefined }]) {
      expect((await written(files, known)).descriptor).toEqual(layer.descriptor);
    }
    await Promise.all([good.close(), bad?.close()]);
  });

  test('does not depend on how the bytes arrive', async () => {
    const files = folder(40, 60_000).set('large', content(3, 2_200_000));
    const layer = await written(files);
    for (const pieceBytes of [777, 1_000_003]) {
      expect((await written(files, undefined, pieceBytes)).descriptor).toEqual(layer.descriptor);
    }
  });

  test('made by another coder is not taken from', async () => {
    const layer = await written(folder(5, 1000));
    await keep(layer);
    expect(await segments.open(layer.diffId, segmentsCoder({ level: 9 }) ?? '')).toBeUndefined();
    expect(segmentsCoder({ level: 0 })).toBeUndefined();
    expect(segmentsCoder({ compression: 'zstd' })).toBeUndefined();
  });

  test('comes out the same from any earlier layer, for any files', async () => {
    const size = fc.oneof(fc.integer({ min: 0, max: 3000 }), fc.integer({ min: 200_000, max: 1_300_000 }));
    const some = fc.uniqueArray(fc.tuple(fc.integer({ min: 0, max: 30 }), size), {
      maxLength: 8,
      selector: ([n]) => n,
    });
    await fc.assert(
      fc.asyncProperty(some, some, async (before, after) => {
        const filesOf = (list: readonly (readonly [number, number])[]): Map<string, Buffer> =>
          new Map([...list].sort(([a], [b]) => a - b).map(([n, bytes]) => [`f${n}`, content(n, bytes)]));
        const source = await keep(await written(filesOf(before)));
        const [fresh, taken] = [await written(filesOf(after)), await written(filesOf(after), source)];
        await source.close();
        expect(taken.descriptor).toEqual(fresh.descriptor);
      }),
      { numRuns: 8, seed: 11 },
    );
  });
});
