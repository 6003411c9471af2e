/** Pushes, mounts, HEADs, deletes, retags and a collector, interleaved at every store call. */
import { execFile } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { build } from 'esbuild';
import { openCloudStore, openEmbeddedStore } from '../protocol/registry/stores.js';
import { datedBy } from './dated-blobs.js';
import type { RunReport } from './run.js';
import { SABOTAGES } from './sabotages.js';
import { runSchedule, startClock } from './schedule.js';

const SCHEDULES = Number(process.env['WHARF_TEST_SCHEDULES'] ?? 2000);
const SEED = Number(process.env['WHARF_TEST_SEED'] ?? randomInt(2 ** 31));
const PROCESSES = 2;
/** Schedules within which every sabotage is noticed, from the seed where looking for it begins. */
const ENOUGH = 8000;
/** The rarest ones show in one schedule of thousands; looking from 1 finds them too, later. */
const LOOK_FROM: Readonly<Record<string, number>> = {
  'the collector deletes whatever became of what it chose': 3600,
  'the collector marks links without a condition': 3600,
};

const bundle = resolve(`node_modules/.cache/wharf-interleave-${process.pid}.mjs`);

beforeAll(async () => {
  console.info(`interleave.test.ts: seed ${SEED}`);
  const entryPoints = [resolve('test/interleave/run.ts')];
  await build({ entryPoints, outfile: bundle, bundle: true, platform: 'node', format: 'esm' });
});
afterAll(() => rm(bundle, { force: true }));

async function run(first: number, count: number, ...sabotage: readonly string[]): Promise<RunReport> {
  const env = { ...process.env, NODE_OPTIONS: '' };
  const ran = await promisify(execFile)(process.execPath, [bundle, String(first), String(count), ...sabotage], { env });
  return JSON.parse(ran.stdout) as RunReport;
}

describe('any interleaving of clients and the collector', () => {
  test(`keeps every promise, in ${SCHEDULES} schedules`, async () => {
    const each = Math.ceil(SCHEDULES / PROCESSES);
    const reports = await Promise.all(Array.from({ length: PROCESSES }, (_, i) => run(SEED + i * each, each)));
    for (const { failed } of reports) expect(failed).toBeUndefined();
    const calls = reports.reduce((sum, report) => sum + report.calls, 0);
    console.info(`interleave.test.ts: ${calls} store calls; collected ${JSON.stringify(reports[0]?.collected)} by one`);
    for (const kind of ['manifests', 'links', 'blobs', 'orphans', 'uploads']) {
      expect(reports.reduce((sum, { collected }) => sum + (collected[kind] ?? 0), 0)).toBeGreaterThan(0);
    }
  }, 7_200_000);

  // A deletion decided on one record took away another one that had been pushed meanwhile: found in 98,932 schedules.
  test.each([700041543, 700087506, 700093380])('keeps every promise in schedule %i', async (seed) => {
    expect((await run(seed, 1)).failed).toBeUndefined();
  });

  test.each([
    ['a folder and lmdb', openEmbeddedStore, 6],
    ['S3 and DynamoDB', openCloudStore, 2],
  ] as const)(
    'keeps every promise on %s',
    async (_name, open, schedules) => {
      for (let i = 0; i < schedules; i++) {
        const clock = startClock();
        const store = await open({ clock });
        try {
          const stores = { records: store.records, blobs: datedBy(clock, store.content.blobs) };
          const outcome = await runSchedule(SEED + i, { clock, ids: store.ids, stores }, { phases: 2 });
          expect({ seed: SEED + i, wrong: outcome.wrong }).toEqual({ seed: SEED + i, wrong: [] });
        } finally {
          await store.close();
        }
      }
    },
    300_000,
  );
});

describe('the oracle notices when', () => {
  test.each(Object.keys(SABOTAGES))(
    '%s',
    async (name) => {
      const { failed } = await run(LOOK_FROM[name] ?? 1, ENOUGH, name);
      expect(failed?.wrong.length).toBeGreaterThan(0);
    },
    300_000,
  );
});
