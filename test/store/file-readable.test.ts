/** Files as they are sent: the same bytes as by a stream, and never fewer without a word. */
import { mkdtemp, open, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { createHash, randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { FileReadable, pour, type Sharing } from '../../lib/store/folder/file-readable-fs.js';
import { SharedPieces, type TakenPiece } from '../../lib/store/folder/shared-pieces.js';

const bytes = randomBytes(5_000_003);
let folder: string;
let path: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wharf-file-readable-'));
  path = join(folder, 'file');
  await writeFile(path, bytes);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const part = async (start: number, end: number, sharing?: Sharing): Promise<FileReadable> =>
  new FileReadable(await open(path), start, end, sharing);

test.each([
  [0, bytes.length - 1],
  [0, 0],
  [17, 17 + 256 * 1024 - 1],
  [1, 256 * 1024 + 1],
  [bytes.length - 1, bytes.length - 1],
  [1_000_000, 3_200_000],
])('bytes %i to %i are poured, and streamed', async (start, end) => {
  const pieces: Buffer[] = [];
  await pour(await part(start, end), async (piece) => {
    // A slow taker: the memory of a piece is used again only afterwards.
    await setImmediate();
    pieces.push(Buffer.from(piece));
  });
  const wanted = bytes.subarray(start, end + 1);
  expect(Buffer.concat(pieces).equals(wanted)).toBe(true);
  expect((await buffer(await part(start, end))).equals(wanted)).toBe(true);
});

test('many at once, each with its part and its pace, get their bytes from little shared memory', async () => {
  const sharing = { pieces: new SharedPieces(5), name: 'file' };
  const parts = Array.from(
    { length: 24 },
    (_, i) => [i % 3 === 0 ? 0 : i * 131_072, bytes.length - 1 - i * 7777] as const,
  );
  const poured = await Promise.all(
    parts.map(async ([start, end], i) => {
      const pieces: Buffer[] = [];
      await pour(await part(start, end, sharing), async (piece) => {
        for (let turns = 0; turns <= i % 4; turns++) await setImmediate();
        pieces.push(Buffer.from(piece));
      });
      return Buffer.concat(pieces);
    }),
  );
  for (const [i, [start, end]] of parts.entries()) {
    expect(poured[i]?.equals(bytes.subarray(start, end + 1))).toBe(true);
  }
});

test('bytes that come from memory, and are taken at once, leave others a turn after each piece', async () => {
  const sharing = { pieces: new SharedPieces(5), name: 'file' };
  await pour(await part(0, bytes.length - 1, sharing), () => Promise.resolve());
  const stream = await part(0, bytes.length - 1, sharing);
  const over = new AbortController();
  let turns = 0;
  const other = async (): Promise<void> => {
    for (; !over.signal.aborted; turns++) await setImmediate();
  };
  const others = other();
  let taken = 0;
  let turnsBetween = 0;
  await pour(stream, () => {
    taken++;
    turnsBetween = turns;
    return Promise.resolve();
  });
  over.abort();
  await others;
  expect([taken, turnsBetween >= taken - 1]).toEqual([5, true]);
});

test('of a large file two pieces are sent before others get a turn', async () => {
  const sizeBytes = 18 * 1024 * 1024 + 5;
  await truncate(path, sizeBytes);
  const sharing = { pieces: new SharedPieces(24), name: 'file' };
  await pour(await part(0, sizeBytes - 1, sharing), () => Promise.resolve());
  const over = new AbortController();
  let turns = 0;
  const other = async (): Promise<void> => {
    for (; !over.signal.aborted; turns++) await setImmediate();
  };
  const others = other();
  const hash = createHash('sha256');
  const turnsBefore: number[] = [];
  await pour(await part(0, sizeBytes - 1, sharing), (piece) => {
    hash.update(piece);
    turnsBefore.push(turns);
    return Promise.resolve();
  });
  over.abort();
  await others;
  expect(hash.digest('hex')).toBe(
    createHash('sha256')
      .update(await readFile(path))
      .digest('hex'),
  );
  expect(turnsBefore.length).toBe(19);
  const pairs = turnsBefore.flatMap((turn, i) => (i % 2 === 1 ? [[turnsBefore[i - 1], turn]] : []));
  expect(pairs.map(([first, second]) => second === first)).toEqual(pairs.map(() => true));
  expect(pairs.slice(1).every(([first], i) => (first ?? 0) > (pairs[i]?.[1] ?? Infinity))).toBe(true);
});

test('a large file is read three pieces ahead while there is memory, and two while it is scarce', async () => {
  const sizeBytes = 18 * 1024 * 1024;
  await truncate(path, sizeBytes);
  const pieces = new SharedPieces(6);
  const [one, two] = await Promise.all(
    ['one', 'two'].map(async (name) => (await part(0, sizeBytes - 1, { pieces, name })).pieces()),
  );
  const first = one?.[Symbol.asyncIterator]();
  const second = two?.[Symbol.asyncIterator]();
  await first?.next();
  await second?.next();
  const take = (name: string): TakenPiece | undefined => pieces.take(name, (memory) => Promise.resolve(memory));
  expect([take('last') !== undefined, take('none') !== undefined]).toEqual([true, false]);
  await first?.return?.();
  await second?.return?.();
});

test('those who give up midway leave the memory to others', async () => {
  const sharing = { pieces: new SharedPieces(2), name: 'file' };
  for (let i = 0; i < 5; i++) {
    const stream = await part(0, bytes.length - 1, sharing);
    await expect(pour(stream, () => Promise.reject(new Error('gone')))).rejects.toThrow('gone');
  }
  const taken = sharing.pieces.take('another', () => Promise.resolve(Buffer.from('x')));
  expect(taken).toBeDefined();
});

test('a file that became shorter is an error, poured and streamed', async () => {
  const [poured, streamed] = [await part(0, bytes.length - 1), await part(0, bytes.length - 1)];
  await truncate(path, 600_000);
  await expect(pour(poured, () => Promise.resolve())).rejects.toThrow(/ends at 600000/);
  await expect(buffer(streamed)).rejects.toThrow(/ends at 600000/);
});

test('a taker that gives up closes the file', async () => {
  const stream = await part(0, bytes.length - 1);
  await expect(pour(stream, () => Promise.reject(new Error('gone')))).rejects.toThrow('gone');
  expect(stream.destroyed).toBe(true);
});

test('who reads alone gets the same bytes, and leaves none of them in shared memory', async () => {
  const memory = new SharedPieces(1);
  // Another reader has all of it, before and after.
  const other = memory.take('other', (own) => Promise.resolve(own));
  const read: Buffer[] = [];
  for await (const piece of (await part(17, bytes.length - 1, { pieces: memory, name: 'file' })).pieces(true)) {
    read.push(Buffer.from(piece));
  }
  expect(Buffer.concat(read).equals(bytes.subarray(17))).toBe(true);
  other?.done();
  const again = memory.take('other', () => Promise.reject(new Error('it was taken for something else')));
  expect(await again?.bytes).toBe(await other?.bytes);
  again?.done();
});
