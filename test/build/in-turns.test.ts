/** A walk over many entries lets others in between, and ends when its build does. */
import { expect, test } from '@jest/globals';
import { inTurns } from '../../lib/build/in-turns.js';

function* numbers(count: number): Generator<number> {
  for (let i = 0; i < count; i += 1) yield i;
}

test('what waits for its turn has it before the walk is over, and every entry is looked at once, in order', async () => {
  const seen: number[] = [];
  let seenAtTurn = -1;
  setImmediate(() => (seenAtTurn = seen.length));
  await inTurns(numbers(20_000), (entry) => seen.push(entry));
  expect(seen).toEqual([...numbers(20_000)]);
  expect(seenAtTurn).toBeGreaterThan(0);
  expect(seenAtTurn).toBeLessThan(20_000);
});

test('a cancelled walk stops at its next turn', async () => {
  const cancelled = new AbortController();
  let seen = 0;
  setImmediate(() => cancelled.abort(new Error('cancelled')));
  await expect(inTurns(numbers(20_000), () => (seen += 1), cancelled.signal)).rejects.toThrow('cancelled');
  expect(seen).toBeLessThan(20_000);
});

test('what is thrown on the way ends it', async () => {
  const fail = (entry: number): void => {
    if (entry === 7) throw new Error('at 7');
  };
  await expect(inTurns(numbers(10), fail)).rejects.toThrow('at 7');
});
