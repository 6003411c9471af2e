/** What only the adapters on a disk can get wrong: a full disk, two processes on one folder, leftovers, expiry. */
import { execFile, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { digestOf } from '../../lib/oci/index.js';
import { openFsBlobs, type FsBlobStore } from '../../lib/store/folder/blob-store-fs.js';
import { systemClock } from '../../lib/store/system/clock-system.js';
import { processMark } from '../../lib/store/folder/durable-file-fs.js';
import { systemIds } from '../../lib/store/system/ids-system.js';
import type { ByteSource } from '../../lib/store/index.js';
import { openLmdbRecords } from '../../lib/store/folder/record-store-lmdb.js';
import { manualClock } from '../fakes/manual-clock.js';
import { requireTools } from '../host-tools.js';
import type { FullDiskReport } from './full-disk-writer.js';

const MIB = 1024 * 1024;
const deps = { clock: systemClock, ids: systemIds };
let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'wharf-folder-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

async function* source(...chunks: Uint8Array[]): ByteSource {
  yield* chunks;
}

async function sizes(blobs: FsBlobStore): Promise<number[]> {
  const all: number[] = [];
  for await (const blob of blobs.list()) all.push(blob.sizeBytes);
  return all;
}

requireTools('root', 'mount', 'umount').describe('a full disk', () => {
  beforeEach(() => {
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'wharf-test', directory]);
    expect(mounted.status).toBe(0);
  });
  afterEach(() => {
    spawnSync('umount', [directory]);
  });
  const full = { code: 'STORE_FULL', kind: 'unavailable' };

  test('refuses a put, leaves nothing of it, and serves what was there', async () => {
    const blobs = await openFsBlobs(directory, deps);
    const kept = await blobs.put(source(randomBytes(MIB)));
    await expect(blobs.put(source(...Array.from({ length: 16 }, () => randomBytes(MIB))))).rejects.toMatchObject(full);
    expect(await readdir(join(directory, 'temp'))).toEqual([]);
    expect(await sizes(blobs)).toEqual([MIB]);
    expect(await blobs.stat(kept.key)).toEqual({ sizeBytes: MIB });
    await blobs.put(source(randomBytes(MIB)));
  });

  test('stops an upload at a known offset, from where it goes on when there is room', async () => {
    const blobs = await openFsBlobs(directory, deps);
    const ballast = await blobs.put(source(randomBytes(5 * MIB)));
    const bytes = randomBytes(6 * MIB);
    const id = await blobs.uploads.start();
    await blobs.uploads.append(id, 0, source(bytes.subarray(0, MIB)));
    await expect(blobs.uploads.append(id, MIB, source(bytes.subarray(MIB)))).rejects.toMatchObject(full);
    const offset = (await blobs.uploads.status(id))?.offset ?? 0;
    expect(offset).toBeGreaterThanOrEqual(MIB);
    await blobs.delete(ballast.key);
    await blobs.uploads.append(id, offset, source(bytes.subarray(offset)));
    expect(await blobs.uploads.commit(id, digestOf(bytes))).toMatchObject({ outcome: 'committed' });
  });

  test('refuses a record, keeps those that were acknowledged, and takes more when there is room', async () => {
    await writeFile(join(directory, 'ballast'), randomBytes(4 * MIB));
    const args = ['--import', 'tsx', 'test/store/full-disk-writer.ts', directory];
    const { stdout } = await promisify(execFile)(process.execPath, args, { env: { ...process.env, NODE_OPTIONS: '' } });
    const report = JSON.parse(stdout) as FullDiskReport;
    expect(report.acknowledged).toBeGreaterThan(0);
    expect(report).toEqual({
      acknowledged: report.acknowledged,
      refusals: Array.from({ length: 11 }, () => 'STORE_FULL unavailable'),
      found: report.acknowledged,
      outcome: 'written',
      reopened: report.acknowledged + 1,
    });
  });
});

describe('a folder of blobs', () => {
  test('is swept of what processes that are gone were writing, not of what others write now', async () => {
    await mkdir(join(directory, 'temp'), { recursive: true });
    const alive = `${processMark(process.pid)}.01ALIVE`;
    // The same process id, but of a process that started at another time.
    for (const name of [alive, `${process.pid}-1.01REUSED`, '999999999-1.01GONE', 'strange']) {
      await writeFile(join(directory, 'temp', name), 'half');
    }
    await openFsBlobs(directory, deps);
    expect(await readdir(join(directory, 'temp'))).toEqual([alive]);
  });

  test('is swept of an upload that was committed but not tidied up', async () => {
    const blobs = await openFsBlobs(directory, deps);
    const [done, open] = [await blobs.uploads.start(), await blobs.uploads.start()];
    await blobs.uploads.append(done, 0, source(Buffer.from('hello')));
    await rm(join(directory, 'uploads', `${done}.data`));
    await writeFile(join(directory, 'uploads', `${'f'.repeat(40)}.data`), 'of no upload');
    await openFsBlobs(directory, deps);
    expect(await readdir(join(directory, 'uploads'))).toEqual([`${open}.data`]);
  });

  test('cuts an upload back to what was acknowledged, and outlives a journal line that was cut short', async () => {
    const first = await openFsBlobs(directory, deps);
    const id = await first.uploads.start();
    await first.uploads.append(id, 0, source(Buffer.from('hello ')));
    const path = join(directory, 'uploads', id);
    await writeFile(`${path}.data`, 'not acknowledged', { flag: 'a' });
    await writeFile(`${path}.log`, '\n{"offset":22', { flag: 'a' });
    const second = await openFsBlobs(directory, deps);
    expect(await second.uploads.status(id)).toMatchObject({ offset: 6 });
    expect(await second.uploads.append(id, 6, source(Buffer.from('world')))).toEqual({
      outcome: 'appended',
      offset: 11,
    });
    expect(await second.uploads.commit(id, digestOf('hello world'))).toMatchObject({ outcome: 'committed' });
  });

  test('lets nobody but its owner in', async () => {
    const blobs = await openFsBlobs(join(directory, 'store'), deps);
    const { key } = await blobs.put(source(Buffer.from('private')));
    expect((await stat(join(directory, 'store'))).mode & 0o077).toBe(0);
    expect((await stat(join(directory, 'store', key))).mode & 0o077).toBe(0);
  });
});

describe('a folder of records', () => {
  test('shows one opener what another has written, at once', async () => {
    const script = `
      import { open } from 'lmdb';
      const root = open({ path: process.argv[1], noSubdir: false, maxDbs: 4, keyEncoding: 'binary', encoding: 'string' });
      const rows = root.openDB({ name: 'records', keyEncoding: 'binary', encoding: 'string' });
      const key = Buffer.from('P\\0S');
      const row = JSON.parse(rows.get(key));
      await rows.put(key, JSON.stringify({ n: row.n + 1, v: { by: 'other' } }));
      await root.close();`;
    const records = await openLmdbRecords(directory, deps);
    const mine = await records.put({ partition: 'P', sort: 'S' }, { by: 'me' });
    const version = mine.outcome === 'written' ? mine.version + 1 : NaN;
    const other = spawnSync(process.execPath, ['--input-type=module', '-e', script, directory], {
      env: { ...process.env, NODE_OPTIONS: '' },
      encoding: 'utf8',
    });
    expect([other.status, other.stderr]).toEqual([0, '']);
    expect(await records.get({ partition: 'P', sort: 'S' })).toMatchObject({ value: { by: 'other' }, version });
    await records.close();
  });

  test('is swept of expired records, a limited number at a time, and of no others', async () => {
    const clock = manualClock();
    const records = await openLmdbRecords(directory, { clock });
    for (let at = 0; at < 10; at++) {
      const expiresAtMs = clock.nowMs() + (at < 7 ? 1_000 : 1_000_000);
      await records.put({ partition: 'P', sort: `${at}` }, {}, { expiresAtMs });
    }
    await records.put({ partition: 'P', sort: '0' }, {});
    expect(await records.sweepExpired()).toBe(0);
    clock.advance(1_000);
    expect([await records.sweepExpired(4), await records.sweepExpired(4), await records.sweepExpired(4)]).toEqual([
      4, 2, 0,
    ]);
    expect((await records.query('P')).records.map(({ sort }) => sort)).toEqual(['0', '7', '8', '9']);
    await records.close();
  });

  test('is kept free of expired records by writes alone', async () => {
    const clock = manualClock();
    const records = await openLmdbRecords(directory, { clock });
    for (let at = 0; at < 50; at++) {
      await records.put({ partition: 'P', sort: `${at}` }, {}, { expiresAtMs: clock.nowMs() + 10 });
      clock.advance(11);
    }
    expect(await records.sweepExpired()).toBeLessThanOrEqual(1);
    await records.close();
  });
});
