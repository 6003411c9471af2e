/**
 * Writers are killed with SIGKILL at random moments. Afterwards everything that was acknowledged must be there, and
 * everything that is visible must be whole. (A kill keeps the page cache: this says nothing about a power failure.)
 */
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { build } from 'esbuild';
import * as fc from 'fast-check';
import { Digester, type Digest } from '../../lib/oci/index.js';
import { openFsBlobs, type FsBlobStore } from '../../lib/store/folder/blob-store-fs.js';
import { systemClock } from '../../lib/store/system/clock-system.js';
import { systemIds } from '../../lib/store/system/ids-system.js';
import { ContentStore } from '../../lib/store/index.js';
import { openLmdbRecords, type LmdbRecordStore } from '../../lib/store/folder/record-store-lmdb.js';

const KILLS = 100;
/** Writers on the folder at the same time: they must not take one another's temporary files for rubbish. */
const ABREAST = 4;
const LONGEST_MS = 100;

interface Acknowledged {
  readonly blob?: Digest;
  readonly upload?: string;
  readonly offset?: number;
  readonly counter?: string;
  readonly n?: number;
}

describe('writers killed at any moment', () => {
  const bundle = resolve(`node_modules/.cache/wharf-crash-writer-${process.pid}.mjs`);
  const deps = { clock: systemClock, ids: systemIds };
  const acknowledged: Acknowledged[] = [];
  let directory: string;
  let blobs: FsBlobStore;
  let records: LmdbRecordStore;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'wharf-crash-'));
    const entry = resolve('test/store/crash-writer.ts');
    await build({
      entryPoints: [entry],
      outfile: bundle,
      bundle: true,
      platform: 'node',
      format: 'esm',
      external: ['lmdb'],
    });
    const seed = Number(process.env['WHARF_TEST_SEED'] ?? randomInt(2 ** 31));
    const delays = fc.sample(fc.nat(LONGEST_MS), { seed, numRuns: KILLS });
    console.info(`crash.test.ts: seed ${seed}`);
    await Promise.all(
      Array.from({ length: ABREAST }, async () => {
        for (let delay = delays.pop(); delay !== undefined; delay = delays.pop()) {
          acknowledged.push(...(await runAndKill(bundle, directory, delay)));
        }
      }),
    );
    blobs = await openFsBlobs(directory, deps);
    records = await openLmdbRecords(join(directory, 'records'), deps);
  }, 180_000);

  afterAll(async () => {
    await records?.close();
    await rm(directory, { recursive: true, force: true });
    await rm(bundle, { force: true });
  });

  test('have done real work', () => {
    for (const kind of ['blob', 'upload', 'counter'] as const) {
      expect(acknowledged.filter((line) => line[kind] !== undefined).length).toBeGreaterThan(0);
    }
  });

  test('leave no visible blob that is not whole', async () => {
    let seen = 0;
    for await (const blob of blobs.list()) {
      const digester = new Digester();
      for await (const chunk of (await blobs.open(blob.key)) ?? []) digester.update(chunk as Buffer);
      expect(blob.key).toContain(digester.digest().slice('sha256:'.length));
      seen += 1;
    }
    expect(seen).toBeGreaterThan(0);
  });

  test('lose no blob that was acknowledged', async () => {
    const content = new ContentStore(blobs, records);
    for (const { blob } of acknowledged) {
      if (blob === undefined) continue;
      const info = await content.stat(blob);
      const stream = await content.open(blob);
      expect([info, stream]).not.toContain(undefined);
      stream?.destroy();
    }
  });

  test('lose no offset of an upload that was acknowledged', async () => {
    const offsets = new Map<string, number>();
    for (const { upload, offset } of acknowledged) {
      if (upload !== undefined) offsets.set(upload, Math.max(offset ?? 0, offsets.get(upload) ?? 0));
    }
    for (const [id, offset] of offsets) {
      expect((await blobs.uploads.status(id))?.offset).toBeGreaterThanOrEqual(offset);
    }
  });

  test('lose no record that was acknowledged, and write none by half', async () => {
    const counts = new Map<string, number>();
    for (const { counter, n } of acknowledged) {
      if (counter !== undefined) counts.set(counter, Math.max(n ?? 0, counts.get(counter) ?? 0));
    }
    for (const [partition, n] of counts) {
      const count = await records.get<{ n: number }>({ partition, sort: 'count' });
      expect(count?.value.n).toBeGreaterThanOrEqual(n);
      expect(await records.get({ partition, sort: `n#${count?.value.n}` })).toBeDefined();
      expect(await records.get({ partition, sort: `n#${(count?.value.n ?? 0) + 1}` })).toBeUndefined();
    }
  });

  test('leave no temporary file once the store is opened again', async () => {
    expect(await readdir(join(directory, 'temp'))).toEqual([]);
  });
});

/** Runs a writer until so long after it is ready, and gives what it said before it was killed. */
function runAndKill(bundle: string, directory: string, delayMs: number): Promise<Acknowledged[]> {
  return new Promise((done, fail) => {
    const writer = spawn(process.execPath, [bundle, directory], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    let output = '';
    writer.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (output === '') setTimeout(() => writer.kill('SIGKILL'), delayMs);
      output += text;
    });
    writer.on('error', fail).on('close', (_code, signal) => {
      if (signal !== 'SIGKILL') return fail(new Error(`the writer ended by itself: ${output.slice(-500)}`));
      // The last line may be cut short.
      const lines = output.slice(0, output.lastIndexOf('\n')).split('\n');
      done(lines.map((line) => JSON.parse(line) as Acknowledged));
    });
  });
}
