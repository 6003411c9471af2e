/** Columns that grow by pieces. */
import { expect, test } from '@jest/globals';
import { array, assert, double, integer, nat, oneof, property, tuple } from 'fast-check';
import { ByteRuns, Column, inPiece } from '../../lib/layers/tree/column.js';

test('a number is read where it was put, and zero everywhere else', () => {
  const number = oneof(nat(2 ** 9), nat(2 ** 17), integer({ min: 2 ** 30, max: 2 ** 33 }), double({ noNaN: true }));
  const puts = array(tuple(integer({ min: 0, max: 20_000 }), number), { maxLength: 80 });
  assert(
    property(puts, (numbers) => {
      const column = new Column();
      const wanted = new Map<number, number>();
      for (const [row, value] of numbers) {
        column.put(row, value);
        wanted.set(row, value);
      }
      for (const [row, value] of wanted) {
        // Whether a zero has a sign depends on its neighbours: + 0 takes it away.
        expect(column.at(row) + 0).toBe(value + 0);
        expect(column.at(row + 1) + 0).toBe((wanted.get(row + 1) ?? 0) + 0);
      }
    }),
    {
      numRuns: 300,
      examples: [
        [[[0, -0]]],
        [
          [
            [0, -0],
            [1, 0.5],
          ],
        ],
      ],
    },
  );
});

test('a run of bytes stays where it is while others come, and is never cut', () => {
  const runs = new ByteRuns();
  const lengths = [0, 1, 500, 65_536, 40_000, 40_000, 3, 65_000, 600];
  const starts = lengths.map((length, i) => {
    const start = runs.reserve(length);
    runs.piece(start).fill(i + 1, inPiece(start), inPiece(start) + length);
    return start;
  });
  for (const [i, length] of lengths.entries()) {
    const start = starts[i] ?? 0;
    const bytes = runs.piece(start).subarray(inPiece(start), inPiece(start) + length);
    expect(bytes).toHaveLength(length);
    expect(bytes.every((byte) => byte === i + 1)).toBe(true);
  }
  expect(() => runs.reserve(65_537)).toThrow(RangeError);
});
