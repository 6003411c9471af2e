import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from '@jest/globals';
import { compress, decompress, type ReadableCompression, sniffCompression, writeTar } from '../../lib/layers/index.js';
import { requireTools } from '../host-tools.js';
import { bytesOf, collect, file } from './members.js';

const text = Buffer.from(Array.from({ length: 20_000 }, (_, i) => `line ${i * 7919}\n`).join(''));

describe('gzip', () => {
  test.each([0, 1, 6, 9])(
    'level %i gives back the bytes and has a header without time, name or system',
    async (level) => {
      const blob = await collect(compress('gzip', level)(bytesOf(text)));
      expect(gunzipSync(blob).equals(text)).toBe(true);
      expect(blob.subarray(0, 10).toString('hex')).toBe(`1f8b080000000000${{ 1: '04', 9: '02' }[level] ?? '00'}ff`);
      expect((await collect(decompress(bytesOf(blob), 'gzip'))).equals(text)).toBe(true);
    },
  );

  test('the result does not depend on how the bytes arrive', async () => {
    const pieces: Buffer[] = [];
    for (let at = 0; at < text.length; at += 777) pieces.push(text.subarray(at, at + 777));
    for (const level of [0, 6]) {
      const whole = await collect(compress('gzip', level)(bytesOf(text)));
      expect((await collect(compress('gzip', level)(bytesOf(...pieces)))).equals(whole)).toBe(true);
    }
  });

  test('an unknown level is refused', () => {
    expect(() => compress('gzip', 10)).toThrow(expect.objectContaining({ code: 'COMPRESSION_LEVEL' }));
  });

  test('members that follow one another are read as one', async () => {
    const part = (bytes: string): Promise<Buffer> => collect(compress('gzip')(bytesOf(bytes)));
    const joined = bytesOf(await part('one '), await part('two'));
    expect((await collect(decompress(joined, 'gzip'))).toString()).toBe('one two');
  });

  test.each([
    ['cut short', (blob: Buffer) => blob.subarray(0, -20)],
    [
      'with a flipped byte',
      (blob: Buffer) => Buffer.concat([blob.subarray(0, 500), Buffer.of(~(blob[500] ?? 0)), blob.subarray(501)]),
    ],
    ['with a wrong checksum', (blob: Buffer) => Buffer.concat([blob.subarray(0, -8), Buffer.alloc(8)])],
  ])('a blob %s is refused', async (_name, damage) => {
    const blob = await collect(compress('gzip')(bytesOf(text)));
    await expect(collect(decompress(bytesOf(damage(blob)), 'gzip'))).rejects.toMatchObject({
      code: 'COMPRESSION_INVALID',
    });
  });

  test('an error of the source passes as it is, in both directions', async () => {
    const failing = async function* (): AsyncGenerator<Uint8Array> {
      yield Buffer.from('1f8b0800', 'hex');
      throw new Error('the disk is gone');
    };
    await expect(collect(compress('gzip')(failing()))).rejects.toThrow('the disk is gone');
    await expect(collect(decompress(failing(), 'gzip'))).rejects.toThrow('the disk is gone');
  });
});

requireTools('zstd').describe('zstd', () => {
  const zstd = (bytes: Buffer, ...options: string[]): Buffer =>
    execFileSync('zstd', ['-c', ...options], { input: bytes });

  test.each([
    ['text', text],
    ['nothing', Buffer.alloc(0)],
    ['one byte', Buffer.from('x')],
    ['what cannot be compressed', randomBytes(500_000)],
    ['20 MB of zeros, a few hundred bytes compressed', Buffer.alloc(20_000_000)],
  ])('%s is read, whatever the pieces', async (_name, bytes) => {
    for (const options of [[], ['-1', '--no-check'], ['-19']]) {
      const blob = zstd(bytes, ...options);
      const pieces: Buffer[] = [];
      for (let at = 0; at < blob.length; at += 999) pieces.push(blob.subarray(at, at + 999));
      const read = await collect(decompress(bytesOf(...pieces), 'zstd'));
      expect(read.equals(bytes)).toBe(true);
    }
  });

  test('frames that follow one another, and skippable ones, are read as one', async () => {
    const skippable = Buffer.concat([Buffer.from('502a4d1803000000', 'hex'), Buffer.from('abc')]);
    const joined = Buffer.concat([zstd(Buffer.from('one ')), skippable, zstd(Buffer.from('two'))]);
    expect((await collect(decompress(bytesOf(joined), 'sniff'))).toString()).toBe('one two');
  });

  test('a frame that is cut short is refused', async () => {
    const blob = zstd(text);
    await expect(collect(decompress(bytesOf(blob.subarray(0, -9)), 'zstd'))).rejects.toMatchObject({
      code: 'COMPRESSION_INVALID',
    });
    await expect(collect(decompress(bytesOf('nonsense'), 'zstd'))).rejects.toMatchObject({
      code: 'COMPRESSION_INVALID',
    });
  });

  test('a bomb is stopped by its ratio', async () => {
    const bomb = zstd(Buffer.alloc(50_000_000));
    await expect(collect(decompress(bytesOf(bomb), 'zstd', { maxRatio: 100 }))).rejects.toMatchObject({
      code: 'COMPRESSION_BOMB',
    });
  });

  test.each([
    ['nothing', Buffer.alloc(0), undefined],
    ['one byte', Buffer.from('x'), 3],
    ['text', text, 19],
    ['more than one block holds', randomBytes(9_000_000), 1],
  ])('%s is written as zstd and we ourselves read it', async (_name, bytes, level) => {
    const blob = await collect(compress('zstd', level)(bytesOf(bytes)));
    expect(execFileSync('zstd', ['-dc'], { input: blob, maxBuffer: 2 ** 26 }).equals(bytes)).toBe(true);
    expect((await collect(decompress(bytesOf(blob), 'sniff'))).equals(bytes)).toBe(true);
  });

  test('what is written does not depend on how the bytes arrive, and a higher level is smaller', async () => {
    const bytes = Buffer.concat(Array.from({ length: 12 }, () => text));
    const pieces: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += 70_001) pieces.push(bytes.subarray(at, at + 70_001));
    const whole = await collect(compress('zstd', 3)(bytesOf(bytes)));
    expect((await collect(compress('zstd', 3)(bytesOf(...pieces)))).equals(whole)).toBe(true);
    expect((await collect(compress('zstd', 15)(bytesOf(bytes)))).length).toBeLessThan(whole.length);
  });

  test('an error of the source passes as it is', async () => {
    const failing = async function* (): AsyncGenerator<Uint8Array> {
      yield Buffer.alloc(5_000_000);
      throw new Error('the disk is gone');
    };
    await expect(collect(compress('zstd')(failing()))).rejects.toThrow('the disk is gone');
  });

  test.each([0, 23, 1.5])('level %d is refused', (level) => {
    expect(() => compress('zstd', level)).toThrow(expect.objectContaining({ code: 'COMPRESSION_LEVEL' }));
  });
});

describe('limits of unpacking', () => {
  test('a gzip bomb is stopped by its ratio and by its size, before it is unpacked', async () => {
    const bomb = await collect(compress('gzip', 9)(bytesOf(Buffer.alloc(30_000_000))));
    await expect(collect(decompress(bytesOf(bomb), 'sniff', { maxRatio: 100 }))).rejects.toMatchObject({
      code: 'COMPRESSION_BOMB',
      kind: 'too-large',
    });
    await expect(collect(decompress(bytesOf(bomb), 'gzip', { maxBytes: 1_000_000 }))).rejects.toMatchObject({
      code: 'COMPRESSION_BOMB',
    });
    expect(await collect(decompress(bytesOf(bomb), 'gzip'))).toHaveLength(30_000_000);
  });
});

describe('telling compressions apart', () => {
  test('a tar, old or new, is no compression; text and nothing are unknown', async () => {
    const tar = await collect(writeTar([file('a', 'x')]));
    const old = Buffer.from(tar.subarray(0, 512));
    old.fill(0, 257, 265);
    expect(sniffCompression(tar)).toBe('none');
    expect(sniffCompression(Buffer.alloc(1024))).toBe('none');
    expect(sniffCompression(old)).toBeUndefined();
    expect(sniffCompression(Buffer.from('#!/bin/sh\n'.repeat(100)))).toBeUndefined();
    expect(sniffCompression(Buffer.alloc(0))).toBeUndefined();
    await expect(collect(decompress(bytesOf('just text'), 'sniff'))).rejects.toMatchObject({
      code: 'COMPRESSION_UNKNOWN',
    });
  });

  requireTools('gzip', 'bzip2', 'xz').describe('with the programs of the host', () => {
    test.each<ReadableCompression>(['gzip', 'bzip2', 'xz'])('%s is known by its first bytes and read', async (kind) => {
      const tar = await collect(writeTar([file('a', text)]));
      const blob = execFileSync(kind, ['-c'], { input: tar, maxBuffer: 1e8 });
      expect(sniffCompression(blob.subarray(0, 512))).toBe(kind);
      expect((await collect(decompress(bytesOf(blob), 'sniff'))).equals(tar)).toBe(true);
    });

    test.each(['bzip2', 'xz'] as const)('%s that is damaged is refused with what the program said', async (kind) => {
      const blob = execFileSync(kind, ['-c'], { input: text });
      await expect(collect(decompress(bytesOf(blob.subarray(0, -10)), kind))).rejects.toMatchObject({
        code: 'COMPRESSION_INVALID',
        message: expect.stringContaining(kind),
      });
    });
  });
});

test('60 MB pass through compression and back without being held', async () => {
  const block = randomBytes(64 * 1024);
  const hash = createHash('sha256');
  const source = async function* (): AsyncGenerator<Uint8Array> {
    for (let i = 0; i < 960; i += 1) {
      hash.update(block);
      yield block;
    }
  };
  const back = createHash('sha256');
  let largest = 0;
  for await (const chunk of decompress(compress('gzip', 1)(source()), 'gzip')) {
    back.update(chunk);
    largest = Math.max(largest, chunk.length);
  }
  expect(back.digest('hex')).toBe(hash.digest('hex'));
  expect(largest).toBeLessThanOrEqual(1024 * 1024);
});
