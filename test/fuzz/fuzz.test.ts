/** A small part of `npm run fuzz`, the same at every run. */
import { expect, test } from '@jest/globals';
import { CACHE_TARGETS } from './cache-targets.js';
import { LAYER_TARGETS } from './layer-targets.js';
import { Random } from './random.js';
import { expectThat, settle } from './target.js';
import { TEXT_TARGETS } from './text-targets.js';

const INPUTS = 6000;
const SEED = 20_261_127;

test.each([...TEXT_TARGETS, ...LAYER_TARGETS, ...CACHE_TARGETS].map((target) => [target.name, target] as const))(
  '%s: whatever comes is taken or refused by name',
  async (_, target) => {
    const inputs = Math.round(INPUTS * target.share);
    for (let input = 0; input < inputs; input += 1) {
      try {
        await target.run(new Random(SEED, input));
      } catch (error) {
        throw new Error(`input ${input} of ${target.name}`, { cause: error });
      }
    }
    expect(inputs).toBeGreaterThan(0);
  },
);

test('what is found is not taken for a refusal', () => {
  expect(() => settle(() => expectThat(false, 'broken'))).toThrow('broken');
  expect(() =>
    settle(() => {
      throw new TypeError('ours');
    }),
  ).toThrow('ours');
});
