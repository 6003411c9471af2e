/**
 * Runs schedules on the stores in memory, as fast as they go: `run.mjs <first seed> <count> [sabotage]`. Prints what
 * came of them as one line of JSON; stops at the first one that goes wrong. Bundled before it is run.
 */
import { MemoryBlobs, MemoryRecords } from './memory-stores.js';
import { SABOTAGES } from './sabotages.js';
import { countingIds, runSchedule, startClock, type World } from './schedule.js';

export interface RunReport {
  readonly schedules: number;
  readonly calls: number;
  readonly collected: Readonly<Record<string, number>>;
  readonly failed?: { readonly seed: number; readonly wrong: readonly string[] };
}

function memoryWorld(): World {
  const clock = startClock();
  const ids = countingIds();
  return { clock, ids, stores: { records: new MemoryRecords(clock), blobs: new MemoryBlobs({ clock, ids }) } };
}

async function run(first: number, count: number, sabotage?: string): Promise<RunReport> {
  const options = sabotage === undefined ? {} : { sabotage: SABOTAGES[sabotage] ?? {} };
  const collected: Record<string, number> = {};
  let calls = 0;
  for (let i = 0; i < count; i++) {
    const outcome = await runSchedule(first + i, memoryWorld(), options);
    calls += outcome.calls;
    for (const [kind, number] of Object.entries(outcome.collected)) {
      collected[kind] = (collected[kind] ?? 0) + (number as number);
    }
    if (outcome.wrong.length > 0) {
      return { schedules: i + 1, calls, collected, failed: { seed: first + i, wrong: outcome.wrong } };
    }
  }
  return { schedules: count, calls, collected };
}

const [first = '0', count = '0', sabotage] = process.argv.slice(2);
process.stdout.write(`${JSON.stringify(await run(Number(first), Number(count), sabotage))}\n`);
