import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { digestHex, digestOf } from '../../lib/oci/index.js';
import { openFsBlobs } from '../../lib/store/folder/blob-store-fs.js';
import { systemClock } from '../../lib/store/system/clock-system.js';
import { systemIds } from '../../lib/store/system/ids-system.js';
import type { ByteSource } from '../../lib/store/index.js';
import { startWriteThreads, ThreadHash } from '../../lib/store/write-threads.js';

const KIB = 1024;

describe('a thread that writes uploads', () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'wharf-threads-'));
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  test('is there before it is needed, and started once', () => {
    const running = (): number => readdirSync('/proc/self/task').length;
    const before = running();
    startWriteThreads();
    const after = running();
    startWriteThreads();
    expect([after >= before + 2, running()]).toEqual([true, after]);
  });

  test.each([true, false])('takes the memory of chunks that are handed over, and no other: %j', async (handsOver) => {
    const blobs = await openFsBlobs(directory, { clock: systemClock, ids: systemIds });
    // Memory of their own, as a connection gives it; and a part of a larger piece, which others may need.
    const chunks = Array.from({ length: 20 }, () => new Uint8Array(randomBytes(64 * KIB)));
    const shared = randomBytes(100 * KIB);
    const all = Buffer.concat([...chunks, shared.subarray(0, 70 * KIB)]);
    const source = async function* (): ByteSource {
      yield* chunks;
      yield shared.subarray(0, 70 * KIB);
    };
    const id = await blobs.uploads.start();
    await blobs.uploads.append(id, 0, source(), undefined, { handsOver });
    expect(chunks.map(({ length }) => length)).toEqual(chunks.map(() => (handsOver ? 0 : 64 * KIB)));
    expect(shared.subarray(0, 70 * KIB).equals(all.subarray(-70 * KIB))).toBe(true);
    const result = await blobs.uploads.commit(id, digestOf(all));
    expect(result).toMatchObject({ outcome: 'committed', blob: { sizeBytes: all.length } });
    const key = result.outcome === 'committed' ? result.blob.key : '';
    expect((await readFile(join(directory, key))).equals(all)).toBe(true);
  });

  test.each(['sha256', 'sha512'] as const)('hashes with %s what it has written so far', async (algorithm) => {
    const file = await open(join(directory, algorithm), 'w+');
    const hash = new ThreadHash(algorithm);
    const parts = [randomBytes(1000), randomBytes(1), randomBytes(300 * KIB)];
    let at = 0;
    for (const part of parts) {
      await hash.write(file.fd, [part], at, false);
      at += part.length;
      const sofar = Buffer.concat(parts).subarray(0, at);
      expect(await hash.digest()).toBe(digestOf(sofar, algorithm));
      expect(hash.sizeBytes).toBe(at);
      expect((await readFile(join(directory, algorithm))).equals(sofar)).toBe(true);
    }
    hash.drop();
    await file.close();
  });

  test('hashes bytes of shared memory where they lie: each part, and all so far', async () => {
    const hash = new ThreadHash('sha256');
    const all = Buffer.alloc(2 * KIB * KIB);
    for (let at = 0; at < all.length; at += 512 * KIB) {
      const part = new Uint8Array(new SharedArrayBuffer(512 * KIB));
      part.set(randomBytes(part.length));
      all.set(part, at);
      const sofar = all.subarray(0, at + part.length);
      expect(await hash.take(part)).toEqual({ sha256: digestHex(digestOf(part)), crc: crc32(sofar) });
      expect(await hash.digest()).toBe(digestOf(sofar));
      expect(hash.sizeBytes).toBe(sofar.length);
    }
    hash.drop();
  });

  test('passes on what the system says of a write that fails, and goes on with others', async () => {
    const file = await open('/dev/full', 'r+');
    await expect(new ThreadHash('sha256').write(file.fd, [randomBytes(10)], 0, false)).rejects.toMatchObject({
      code: 'ENOSPC',
      syscall: 'write',
    });
    await file.close();
    const other = await open(join(directory, 'other'), 'w+');
    const hash = new ThreadHash('sha256');
    await hash.write(other.fd, [Buffer.from('hello')], 0, false);
    expect(await hash.digest()).toBe(digestOf('hello'));
    await other.close();
  });
});
