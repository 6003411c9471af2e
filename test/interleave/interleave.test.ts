/** Pushes, mounts, HEADs, deletes, retags and a collector, interleaved at every store call. */
import { randomInt } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import type { RecordKey, RecordStore } from '../../lib/store/index.js';
import { manualClock } from '../fakes/manual-clock.js';
import { openCloudStore, openEmbeddedStore } from '../protocol/registry/stores.js';
import { MemoryBlobs, MemoryRecords } from './memory-stores.js';
import { countingIds, runSchedule, type ScheduleOptions, startClock, type World } from './schedule.js';

const SCHEDULES = Number(process.env['WHARF_TEST_SCHEDULES'] ?? 2000);
const SEED = Number(process.env['WHARF_TEST_SEED'] ?? randomInt(2 ** 31));

/** Schedules within which every sabotage is noticed. */
const ENOUGH = 3000;

function memoryWorld(): World {
  const clock = startClock();
  const ids = countingIds();
  return { clock, ids, stores: { records: new MemoryRecords(clock), blobs: new MemoryBlobs({ clock, ids }) } };
}

describe('any interleaving of clients and the collector', () => {
  test(`keeps every promise, in ${SCHEDULES} schedules`, async () => {
    console.info(`interleave.test.ts: seed ${SEED}`);
    let calls = 0;
    const collected = { manifests: 0, links: 0, blobs: 0, orphans: 0, uploads: 0 };
    for (let i = 0; i < SCHEDULES; i++) {
      const outcome = await runSchedule(SEED + i, memoryWorld());
      expect({ seed: SEED + i, wrong: outcome.wrong }).toEqual({ seed: SEED + i, wrong: [] });
      calls += outcome.calls;
      for (const kind of Object.keys(collected) as (keyof typeof collected)[]) {
        collected[kind] += outcome.collected[kind];
      }
    }
    console.info(`interleave.test.ts: ${calls} store calls; collected ${JSON.stringify(collected)}`);
    for (const count of Object.values(collected)) expect(count).toBeGreaterThan(0);
  }, 7_200_000);

  test.each([
    ['a folder and lmdb', openEmbeddedStore, 6],
    ['S3 and DynamoDB', openCloudStore, 2],
  ] as const)(
    'keeps every promise on %s',
    async (_name, open, schedules) => {
      for (let i = 0; i < schedules; i++) {
        // Ahead of the machine's clock, by which these stores date their bytes.
        const clock = manualClock(Date.now() + 60_000);
        const store = await open({ clock });
        try {
          const stores = { records: store.records, blobs: store.content.blobs };
          const outcome = await runSchedule(SEED + i, { clock, ids: store.ids, stores }, { phases: 2 });
          expect({ seed: SEED + i, wrong: outcome.wrong }).toEqual({ seed: SEED + i, wrong: [] });
        } finally {
          await store.close();
        }
      }
    },
    120_000,
  );
});

const isLink = (key: RecordKey): boolean => key.sort.startsWith('LINK#');
const written = { outcome: 'written', version: 1 } as const;

/** Each breaks one rule of those that keep a push and the collector apart. */
const SABOTAGES: Readonly<Record<string, NonNullable<ScheduleOptions['sabotage']>>> = {
  'a manifest does not say what it names': {
    registry: (store) => ({
      ...bound(store),
      put: async (key, value, options) => (key.sort.startsWith('EDGE#') ? written : store.put(key, value, options)),
    }),
  },
  'a link that is asked for is not revived': {
    registry: (store) => ({
      ...bound(store),
      put: async (key, value, options) =>
        isLink(key) && options?.expect !== undefined ? written : store.put(key, value, options),
    }),
  },
  'a repository does not say that it holds a blob': {
    registry: (store) => ({
      ...bound(store),
      put: async (key, value, options) => (key.sort.startsWith('BY#REPO#') ? written : store.put(key, value, options)),
    }),
  },
  'the collector deletes whatever became of what it chose': {
    collector: (store) => ({ ...bound(store), delete: async (key) => store.delete(key) }),
  },
  'the collector marks links without a condition': {
    collector: (store) => ({
      ...bound(store),
      put: async (key, value, options) => (isLink(key) ? store.put(key, value) : store.put(key, value, options)),
      delete: async (key) => store.delete(key),
    }),
  },
  'the collector does not see edges': {
    collector: (store) => ({
      ...bound(store),
      query: async (partition, options) =>
        options?.prefix?.startsWith('EDGE#sha') === true ? { records: [] } : store.query(partition, options),
    }),
  },
};

describe('the oracle notices when', () => {
  test.each(Object.entries(SABOTAGES))(
    '%s',
    async (_name, sabotage) => {
      for (let i = 0; i < ENOUGH; i++) {
        const outcome = await runSchedule(SEED + i, memoryWorld(), { sabotage });
        if (outcome.wrong.length > 0) return;
      }
      throw new Error(`nothing was noticed in ${ENOUGH} schedules from seed ${SEED}`);
    },
    300_000,
  );
});

function bound(store: RecordStore): RecordStore {
  return {
    get: (key) => store.get(key),
    put: (key, value, options) => store.put(key, value, options),
    delete: (key, options) => store.delete(key, options),
    query: (partition, options) => store.query(partition, options),
    transact: (writes) => store.transact(writes),
  };
}
