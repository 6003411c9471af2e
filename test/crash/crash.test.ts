/**
 * Kill -9 of a registry while clients push, commit and delete and the collector collects. Between two lives hours or
 * days pass, so that leases, graces and histories run out. Afterwards: nothing acknowledged is lost, nothing is corrupt,
 * and when everything is deleted, nothing is left. (A kill keeps the page cache: this says nothing of a power failure.)
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { randomInt } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { build } from 'esbuild';
import { Collector } from '../../lib/registry/collector/index.js';
import { Registry, verifyRegistry } from '../../lib/registry/index.js';
import { openFsBlobs } from '../../lib/store/folder/blob-store-fs.js';
import { systemIds } from '../../lib/store/system/ids-system.js';
import { ContentStore } from '../../lib/store/index.js';
import { openLmdbRecords } from '../../lib/store/folder/record-store-lmdb.js';
import { RecordsSecretStore } from '../../lib/store/records/secret-store-records.js';
import { residue, violations } from '../interleave/oracle.js';
import { Random } from '../interleave/random.js';
import { clockAhead } from './clock-ahead.js';
import { CRASH_REPOSITORIES, type Told, Writer } from './writer.js';

const KILLS = Number(process.env['WHARF_TEST_KILLS'] ?? 100);
const SEED = Number(process.env['WHARF_TEST_SEED'] ?? randomInt(2 ** 31));
/** Folders, each with a server that is killed again and again. */
const ABREAST = 2;
const WRITERS = 3;
/** Of one life. */
const MOST_ANSWERS = 40;
const TOKEN = 'a-token-for-the-crash-test';
const HOUR = 3_600_000;
const JUMPS = [0, HOUR, 2 * HOUR, 3 * HOUR, 25 * HOUR];
/** Within it what was pushed without a tag must be there; less than the collector's grace. */
const GRACE_MS = 6 * 24 * HOUR;

const bundle = resolve(`node_modules/.cache/wharf-crash-server-${process.pid}.mjs`);

beforeAll(async () => {
  const entryPoints = [resolve('test/crash/server.ts')];
  const banner = { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" };
  const external = ['lmdb'];
  await build({ entryPoints, outfile: bundle, bundle: true, platform: 'node', format: 'esm', external, banner });
});
afterAll(() => rm(bundle, { force: true }));

describe(`a registry that is killed ${KILLS} times at any moment`, () => {
  test('loses nothing, corrupts nothing, leaves nothing', async () => {
    console.info(`crash.test.ts: seed ${SEED}`);
    const each = Math.ceil(KILLS / ABREAST);
    const lives = await Promise.all(Array.from({ length: ABREAST }, (_, i) => liveAndDie(SEED + i, each)));
    const sum = (of: keyof Lives): number => lives.reduce((total, one) => total + one[of], 0);
    console.info(`crash.test.ts: ${each * ABREAST} kills, ${sum('answers')} answers, ${sum('collected')} collected`);
    expect(sum('answers')).toBeGreaterThan(KILLS);
    expect(sum('collected')).toBeGreaterThan(0);
  }, 3_600_000);
});

interface Lives {
  answers: number;
  collected: number;
}

async function liveAndDie(seed: number, kills: number): Promise<Lives> {
  const random = new Random(seed);
  const folder = await mkdtemp(join(tmpdir(), 'wharf-crash-'));
  const lives: Lives = { answers: 0, collected: 0 };
  const told: Told = { tags: new Map(), manifests: new Map(), onAnswer: () => {} };
  const writers = Array.from({ length: WRITERS }, (_, i) => new Writer(`w${i}`, new Random(seed * 10 + i), told));
  let ahead = 0;
  try {
    for (let kill = 0; kill < kills; kill++) {
      // Counted in answers, so that it falls into the midst of work however slow the machine is.
      const killAfter = 1 + random.below(MOST_ANSWERS);
      const delayMs = random.below(8);
      lives.collected += await oneLife(
        folder,
        ahead,
        (kill) => {
          let left = killAfter;
          told.onAnswer = () => {
            lives.answers += 1;
            if (--left === 0) setTimeout(kill, delayMs);
          };
        },
        writers,
      );
      ahead += random.pick(JUMPS);
      // Looked at now and then, so that a loss is found near its cause.
      if (kill % 10 === 9 || kill === kills - 1) await audit(folder, ahead, told);
    }
    await expectNoResidue(folder, ahead);
    return lives;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** @returns how much was collected in it */
async function oneLife(
  folder: string,
  ahead: number,
  arrange: (kill: () => void) => void,
  writers: readonly Writer[],
): Promise<number> {
  const server = spawn(process.execPath, [bundle, folder, TOKEN, String(ahead)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  const exited = once(server, 'exit');
  const lines = createInterface(server.stdout)[Symbol.asyncIterator]();
  const host = (await lines.next()).value as string | undefined;
  if (host === undefined) throw new Error('the server did not start');
  const clock = clockAhead(ahead);
  arrange(() => server.kill('SIGKILL'));
  try {
    await Promise.all(writers.map((writer) => writer.writeUntilDead(`http://${host}`, TOKEN, () => clock.nowMs())));
  } finally {
    server.kill('SIGKILL');
  }
  const [, signal] = (await exited) as [number | null, string | null];
  expect(signal).toBe('SIGKILL');
  let collected = 0;
  for (let line = await lines.next(); line.done !== true; line = await lines.next()) collected += Number(line.value);
  return collected;
}

/** Opens the store as a restarted server would. */
async function opened<T>(folder: string, ahead: number, work: (parts: Awaited<ReturnType<typeof open>>) => Promise<T>) {
  const parts = await open(folder, ahead);
  try {
    return await work(parts);
  } finally {
    await parts.records.close();
  }
}

async function open(folder: string, ahead: number) {
  const clock = clockAhead(ahead);
  const records = await openLmdbRecords(join(folder, 'records'), { clock });
  const blobs = await openFsBlobs(folder, { clock, ids: systemIds });
  const content = new ContentStore(blobs, records, clock);
  const secrets = new RecordsSecretStore(records, { key: Buffer.alloc(32, 7) });
  const registry = new Registry({ records, content, clock, ids: systemIds, secrets });
  return { clock, records, blobs, content, registry };
}

async function audit(folder: string, ahead: number, told: Told): Promise<void> {
  await opened(folder, ahead, async ({ clock, records, blobs, content, registry }) => {
    const wrong = [...(await violations({ records, blobs }, CRASH_REPOSITORIES))];
    for (const [name, { digest, isOpen }] of told.tags) {
      const [repository = '', tag = ''] = name.split(':');
      const found = await registry.tagList.resolve(repository, tag);
      if (!isOpen && found !== digest) wrong.push(`${name} is ${found}, and was told to be ${digest}`);
    }
    for (const [name, { digest, isOpen, atMs }] of told.manifests) {
      if (isOpen) continue;
      const [repository = ''] = name.split('@');
      const found = await records.get({
        partition: `REPO#${repository}`,
        sort: `MAN#${name.slice(repository.length + 1)}`,
      });
      if (digest === undefined && found !== undefined) wrong.push(`${name} was deleted and is there`);
      if (digest !== undefined && found === undefined && clock.nowMs() - atMs < GRACE_MS) wrong.push(`${name} is lost`);
    }
    for await (const event of verifyRegistry({ records, content })) {
      if (event.type === 'problem') wrong.push(event.message);
    }
    expect(wrong).toEqual([]);
  });
}

async function expectNoResidue(folder: string, ahead: number): Promise<void> {
  await opened(folder, ahead, async ({ registry }) => {
    for (const repository of CRASH_REPOSITORIES) {
      for (const { tag } of (await registry.tags(repository)) ?? []) await registry.deleteTag(repository, tag);
    }
  });
  for (let quiet = 0; quiet < 6; quiet++) {
    await opened(folder, ahead + 100 * 24 * HOUR + quiet * 3 * HOUR, async ({ records, content, clock }) => {
      await new Collector({ records, content, clock }).pass();
      while ((await records.sweepExpired()) > 0);
    });
  }
  await opened(folder, ahead + 101 * 24 * HOUR, async ({ records, blobs }) => {
    expect(await residue({ records, blobs }, CRASH_REPOSITORIES)).toEqual([]);
  });
  expect(await readdir(join(folder, 'temp'))).toEqual([]);
  expect(await readdir(join(folder, 'uploads'))).toEqual([]);
}
