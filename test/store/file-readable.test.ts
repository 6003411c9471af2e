/** Files as they are sent: the same bytes as by a stream, and never fewer without a word. */
import { mkdtemp, open, rm, truncate, writeFile } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { FileReadable, pour } from '../../lib/store/folder/file-readable-fs.js';

const bytes = randomBytes(1_000_003);
let folder: string;
let path: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wharf-file-readable-'));
  path = join(folder, 'file');
  await writeFile(path, bytes);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const part = async (start: number, end: number): Promise<FileReadable> =>
  new FileReadable(await open(path), start, end);

test.each([
  [0, bytes.length - 1],
  [0, 0],
  [17, 17 + 256 * 1024 - 1],
  [1, 256 * 1024 + 1],
  [bytes.length - 1, bytes.length - 1],
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
