/** The order that placement walks: whatever numbers change, slots stand as sorting them would put them. */
import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { SlotOrder } from '../../lib/engine/placement/slot-order.js';

const small = fc.nat(9);
const change = fc.record({ slot: fc.nat(399), value: small, tasks: small, second: small });

const walked = ({ leaves }: SlotOrder, from = 0): number[] =>
  leaves.slice(from).flatMap(({ slots, size }) => [...slots.subarray(0, size)]);

describe('the order of slots', () => {
  test('is by number, tasks and slot after any changes, and each leaf knows what none of its slots exceeds', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 400 }), fc.array(change, { maxLength: 300 }), (size, changes) => {
        const [values, tasks, seconds] = [new Int32Array(size), new Int32Array(size), new Int32Array(size)];
        const order = new SlotOrder(values, tasks, seconds);
        for (const { slot: drawn, ...to } of changes) {
          const slot = drawn % size;
          order.takeOut(slot);
          [values[slot], tasks[slot], seconds[slot]] = [to.value, to.tasks, to.second];
          order.putBack(slot);
        }
        const key = (slot: number): number => (values[slot] ?? 0) * 100 + (tasks[slot] ?? 0);
        const sorted = [...values.keys()].sort((a, b) => key(a) - key(b) || a - b);
        expect(walked(order)).toEqual(sorted);
        for (const { slots, size: held, most } of order.leaves) {
          expect(Math.max(...slots.subarray(0, held).map((slot) => seconds[slot] ?? 0))).toBeLessThanOrEqual(most);
        }
        for (const value of [0, 3, 9, 10]) {
          const expected = sorted.filter((slot) => (values[slot] ?? 0) >= value);
          const found = walked(order, order.leafFrom(value));
          expect(found.slice(found.length - expected.length)).toEqual(expected);
          expect(found.length - expected.length).toBeLessThan(64);
        }
      }),
      { numRuns: 200 },
    );
  });

  test('holds one slot, and none', () => {
    const order = new SlotOrder(new Int32Array(1), new Int32Array(1), new Int32Array(1));
    order.takeOut(0);
    order.values[0] = 7;
    order.putBack(0);
    expect(walked(order)).toEqual([0]);
    expect(walked(new SlotOrder(new Int32Array(), new Int32Array(), new Int32Array()))).toEqual([]);
  });
});
