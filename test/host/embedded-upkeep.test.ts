/** Upkeep's own part: small rounds with pauses between, no end to it through failures, and layers beyond the budget. */
import { expect, test } from '@jest/globals';
import { setImmediate } from 'node:timers/promises';
import { EmbeddedUpkeep, type EmbeddedUpkeepDeps } from '../../lib/host/embedded/upkeep.js';
import { type Digest, digestOf } from '../../lib/oci/index.js';
import { silentLogger } from '../../lib/store/index.js';
import { manualClock } from '../fakes/manual-clock.js';

const nothing = { manifests: 0, links: 0, blobs: 0, blobBytes: 0, orphans: 0, uploads: 0, notes: 0 };
const OPTIONS = { stepsPerRound: 7, roundMs: 10, passMs: 1000, layerBytes: 100 };

function upkeep(change: Partial<EmbeddedUpkeepDeps>) {
  const clock = manualClock();
  const deps: EmbeddedUpkeepDeps = {
    collector: { round: async () => ({ finished: true, collected: nothing }) },
    layers: { list: async () => [], evict: async () => false },
    sweepExpired: async () => 0,
    clock,
    logger: silentLogger,
    ...change,
  };
  const started = new EmbeddedUpkeep(deps, OPTIONS);
  started.start();
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms);
    for (let turn = 0; turn < 20; turn++) await setImmediate();
  };
  return { clock, pass, stop: () => started.stop() };
}

test('works in rounds with pauses, then rests until the next pass, and stops between two', async () => {
  const rounds: number[] = [];
  const collector = {
    round: async (steps: number) => ({ finished: rounds.push(steps) % 3 === 0, collected: nothing }),
  };
  const { pass, stop } = upkeep({ collector });
  await pass(999);
  expect(rounds).toEqual([]);
  await pass(1);
  expect(rounds).toEqual([7]);
  await pass(10);
  await pass(10);
  expect(rounds).toHaveLength(3);
  await pass(10);
  expect(rounds).toHaveLength(3);
  await pass(1000);
  expect(rounds).toHaveLength(4);
  await stop();
  await pass(5000);
  expect(rounds).toHaveLength(4);
});

test('goes on after a failure', async () => {
  let tries = 0;
  const round = async (): Promise<never> => {
    tries += 1;
    throw new Error('the store is down');
  };
  const { pass, stop } = upkeep({ collector: { round } });
  await pass(1000);
  await pass(1000);
  await stop();
  expect(tries).toBe(2);
});

test('removes expired records until there are few', async () => {
  const counts = [1000, 1000, 3];
  const { pass, stop } = upkeep({ sweepExpired: async () => counts.shift() ?? 0 });
  await pass(1000);
  await pass(10);
  await pass(10);
  await stop();
  expect(counts).toEqual([]);
});

test('evicts the layers unused for longest until the rest fits, but none that is mounted', async () => {
  const layer = (name: string, usedMs: number) => ({ diffId: digestOf(name), name, sizeBytes: 60, usedMs });
  // "/proc" stands in every mount table; the others in none.
  const list = async () => [
    layer('no-mount-newest', 3),
    layer('/proc', 0),
    layer('no-mount-1', 1),
    layer('no-mount-2', 2),
  ];
  const evicted: Digest[] = [];
  const limits: number[] = [];
  const evict = async (diffId: Digest, unusedSinceMs: number): Promise<boolean> => {
    limits.push(unusedSinceMs);
    evicted.push(diffId);
    return true;
  };
  const { clock, pass, stop } = upkeep({ layers: { list, evict } });
  await pass(1000);
  // Mount tables are read from the real /proc.
  while (evicted.length < 3) await setImmediate();
  await stop();
  expect(evicted).toEqual(['no-mount-1', 'no-mount-2', 'no-mount-newest'].map((name) => digestOf(name)));
  expect(limits[0]).toBe(clock.nowMs() - 3_600_000);
});
