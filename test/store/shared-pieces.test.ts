/** Memory of what is sent: read once for all who want it, never changed under a reader, and never more than was allowed. */
import { setImmediate } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { SharedPieces, type TakenPiece } from '../../lib/store/folder/shared-pieces.js';

interface Reader {
  readonly reads: string[];
  readonly take: (pieces: SharedPieces, place: string) => TakenPiece | undefined;
}

/** Fills memory with one byte and counts. */
function reader(): Reader {
  const reads: string[] = [];
  return {
    reads,
    take: (pieces, place) =>
      pieces.take(place, async (memory) => {
        reads.push(place);
        await setImmediate();
        return memory.fill(place).subarray(0, 4);
      }),
  };
}

const text = async (piece: TakenPiece | undefined): Promise<string> =>
  Buffer.from((await piece?.bytes) ?? []).toString();

test('a place is read once for all who take it, at once or afterwards', async () => {
  const [pieces, { reads, take }] = [new SharedPieces(2), reader()];
  const [one, two] = [take(pieces, 'aaaa'), take(pieces, 'aaaa')];
  expect([await text(one), await text(two)]).toEqual(['aaaa', 'aaaa']);
  one?.done();
  two?.done();
  expect(await text(take(pieces, 'aaaa'))).toBe('aaaa');
  expect(reads).toEqual(['aaaa']);
});

test('what is in use stays; of the rest, what was asked for longest ago makes room', async () => {
  const [pieces, { reads, take }] = [new SharedPieces(3), reader()];
  const held = take(pieces, 'aaaa');
  for (const place of ['bbbb', 'cccc', 'bbbb', 'dddd', 'bbbb', 'cccc']) {
    const piece = take(pieces, place);
    expect(await text(piece)).toBe(place);
    piece?.done();
  }
  expect(await text(held)).toBe('aaaa');
  expect(reads).toEqual(['aaaa', 'bbbb', 'cccc', 'dddd', 'cccc']);
});

test('while all memory is in use there is none, and a place that is here can be had', async () => {
  const [pieces, { take }] = [new SharedPieces(1), reader()];
  const held = take(pieces, 'aaaa');
  expect(take(pieces, 'bbbb')).toBeUndefined();
  const again = take(pieces, 'aaaa');
  held?.done();
  expect(take(pieces, 'bbbb')).toBeUndefined();
  again?.done();
  expect(await text(take(pieces, 'bbbb'))).toBe('bbbb');
});

test('memory is scarce when more than half of it is in use, however many use a piece', async () => {
  const [pieces, { take }] = [new SharedPieces(2), reader()];
  const held = [take(pieces, 'aaaa'), take(pieces, 'aaaa'), take(pieces, 'aaaa')];
  expect(pieces.isScarce).toBe(false);
  const other = take(pieces, 'bbbb');
  expect(pieces.isScarce).toBe(true);
  other?.done();
  expect(pieces.isScarce).toBe(false);
  await Promise.all(held.map((piece) => text(piece)));
});

test('a read that fails fails for all who wait for it; the next one reads again, into the same memory', async () => {
  const pieces = new SharedPieces(1);
  const failing = (): TakenPiece | undefined => pieces.take('aaaa', () => Promise.reject(new Error('EIO')));
  const [one, two] = [failing(), failing()];
  await expect(one?.bytes).rejects.toThrow('EIO');
  await expect(two?.bytes).rejects.toThrow('EIO');
  one?.done();
  two?.done();
  expect(await text(reader().take(pieces, 'aaaa'))).toBe('aaaa');
});
