/**
 * Runs inputs of one target, and says in a file at which it is: its parent watches that.
 *   tsx fuzz-process.ts <target> <seed> <first> <count> <state file>
 */
import { openSync, writeSync } from 'node:fs';
import { CACHE_TARGETS } from './cache-targets.js';
import { LAYER_TARGETS } from './layer-targets.js';
import { Random } from './random.js';
import { TEXT_TARGETS } from './text-targets.js';

const [, , name = '', seed = '0', first = '0', count = '0', path = ''] = process.argv;
const target = [...TEXT_TARGETS, ...LAYER_TARGETS, ...CACHE_TARGETS].find((each) => each.name === name);
if (target === undefined) throw new Error(`no target ${name}`);
const state = openSync(path, 'w');
for (let input = Number(first); input < Number(first) + Number(count); input += 1) {
  writeSync(state, `${input}`.padEnd(16), 0);
  try {
    await target.run(new Random(Number(seed), input));
  } catch (error) {
    console.error(`${name}, seed ${seed}, input ${input}:`, error);
    process.exit(1);
  }
}
