/**
 * Power failures at every write of the folder store, over a file system that forgets what was not synced: whatever was
 * acknowledged is there afterwards, what is visible is whole, and nothing is left over. Each kind of sync is left out
 * once, to see that it is missed.
 */
import { randomInt } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { type Digest, digestOf } from '../../lib/oci/index.js';
import { type FsBlobStore, openFsBlobs } from '../../lib/store/folder/blob-store-fs.js';
import { systemIds } from '../../lib/store/system/ids-system.js';
import { type ByteSource, ContentStore, type RecordStore } from '../../lib/store/index.js';
import { ForgetfulFiles, type Sabotage } from '../fakes/forgetful-files.js';
import { manualClock } from '../fakes/manual-clock.js';
import { MemoryRecords } from '../interleave/memory-stores.js';
import { Random } from '../interleave/random.js';

const SEED = Number(process.env['WHARF_TEST_SEED'] ?? randomInt(2 ** 31));
/** Fates of what was not synced, for each moment. The first: all of it is lost. */
const FATES = Number(process.env['WHARF_TEST_FATES'] ?? 3);
const FOLDER = '/data/store';
const deps = { clock: manualClock(), ids: systemIds };

interface Told {
  readonly blobs: Map<Digest, Buffer>;
  /** By upload: bytes it was said to hold. */
  readonly uploads: Map<string, Buffer>;
}

async function* source(...parts: readonly Buffer[]): ByteSource {
  yield* parts;
}

/** What clients do, side by side; writes down each answer the moment it comes. */
async function work(blobs: FsBlobStore, records: RecordStore, told: Told): Promise<void> {
  const content = new ContentStore(blobs, records, deps.clock);
  const { uploads } = blobs;
  const text = (name: string): Buffer => Buffer.from(`${name} `.repeat(20));
  const commit = async (id: string, bytes: Buffer): Promise<void> => {
    const result = await uploads.commit(id, digestOf(bytes));
    if (result.outcome !== 'committed') throw new Error(result.outcome);
    await content.adopt(result.blob);
    told.uploads.delete(id);
    told.blobs.set(digestOf(bytes), bytes);
  };
  const put = async (name: string): Promise<void> => {
    await content.put(source(text(name)));
    told.blobs.set(digestOf(text(name)), text(name));
  };
  const chunks = async (name: string, ends: boolean): Promise<void> => {
    const id = await uploads.start();
    let held = Buffer.alloc(0);
    for (const part of [text(name), text('more')]) {
      await uploads.append(id, held.length, source(part));
      held = Buffer.concat([held, part]);
      told.uploads.set(id, held);
    }
    if (ends) await commit(id, held);
  };
  const whole = async (bytes: Buffer): Promise<void> => {
    const id = await uploads.start();
    if (bytes.length > 0) await uploads.append(id, 0, source(bytes), undefined, { last: true });
    await commit(id, bytes);
  };
  const mistaken = async (): Promise<void> => {
    const id = await uploads.start();
    await uploads.append(id, 0, source(text('mistaken')), undefined, { last: true });
    const { outcome } = await uploads.commit(id, digestOf('other'));
    expect(outcome).toBe('digest-mismatch');
    told.uploads.set(id, text('mistaken'));
  };
  const given = async (): Promise<void> => {
    const id = await uploads.start();
    await uploads.append(id, 0, source(text('given up')));
    await uploads.abort(id);
  };
  await Promise.all([put('a'), put('b'), chunks('c', true), chunks('d', false), whole(text('e'))]);
  await Promise.all([put('b'), whole(Buffer.alloc(0)), mistaken(), given(), chunks('f', true)]);
}

/** What is wrong with the store after the failure. */
async function complaints(blobs: FsBlobStore, files: ForgetfulFiles, records: RecordStore, told: Told) {
  const wrong: string[] = [];
  const content = new ContentStore(blobs, records, deps.clock);
  for (const [digest, bytes] of told.blobs) {
    const found = await content.read(digest).catch(() => undefined);
    if (found?.equals(bytes) !== true) wrong.push(`blob ${bytes.toString().slice(0, 8)} is lost`);
  }
  for (const [id, held] of told.uploads) {
    const offset = (await blobs.uploads.status(id))?.offset ?? -1;
    // A commit that was not answered may have happened.
    if (offset < 0 && (await visible(blobs, digestOf(held)))) continue;
    if (offset < held.length) wrong.push(`upload of ${held.length} stands at ${offset}`);
    else if (offset === held.length) {
      const more = Buffer.from('and on');
      await blobs.uploads.append(id, offset, source(more));
      const result = await blobs.uploads.commit(id, digestOf(Buffer.concat([held, more])));
      if (result.outcome !== 'committed') wrong.push(`upload does not go on: ${result.outcome}`);
    }
  }
  for await (const { key, digest } of blobs.list()) {
    const chunks: Buffer[] = [];
    for await (const chunk of (await blobs.open(key)) ?? []) chunks.push(chunk as Buffer);
    if (digestOf(Buffer.concat(chunks)) !== digest) wrong.push(`${key} is not whole`);
  }
  for await (const id of blobs.uploads.stale(Infinity)) await blobs.uploads.abort(id);
  for (const name of ['temp', 'uploads']) {
    const left = await files.readdir(`${FOLDER}/${name}`);
    if (left.length > 0) wrong.push(`${name} still has ${left.length} files`);
  }
  return wrong;
}

async function visible(blobs: FsBlobStore, digest: Digest): Promise<boolean> {
  for await (const blob of blobs.list()) if (blob.digest === digest) return true;
  return false;
}

/** Temporary files bear the name of the process that wrote them, which here is still alive. */
async function endProcess(files: ForgetfulFiles): Promise<void> {
  const temp = `${FOLDER}/temp`;
  for (const name of await files.readdir(temp).catch(() => []))
    await files.rename(`${temp}/${name}`, `${temp}/1-1.${name}`);
}

/** Fails at every operation, in turn; gives what was wrong the first time something was, and how often it was tried. */
async function failEverywhere(sabotage: Sabotage = {}): Promise<{ moments: number; wrong: readonly string[] }> {
  for (let moment = 1; ; moment++) {
    const files = new ForgetfulFiles(sabotage);
    const records = new MemoryRecords(deps.clock);
    const told: Told = { blobs: new Map(), uploads: new Map() };
    const death = files.death(moment);
    const life = openFsBlobs(FOLDER, deps, files).then((blobs) => work(blobs, records, told));
    const isOver = await Promise.race([death.then(() => false), life.then(() => true)]);
    for (let fate = 0; fate < FATES; fate++) {
      const random = new Random(SEED + moment * FATES + fate);
      const left = files.afterPowerFailure(fate === 0 ? undefined : () => random.next());
      await endProcess(left);
      const copy: Told = { blobs: new Map(told.blobs), uploads: new Map(told.uploads) };
      // Records are what they were: whatever they acknowledged is there.
      const wrong = await complaints(await openFsBlobs(FOLDER, deps, left), left, records, copy);
      if (wrong.length > 0) return { moments: moment, wrong: wrong.map((each) => `at ${moment}.${fate}: ${each}`) };
    }
    if (isOver) return { moments: moment, wrong: [] };
  }
}

describe(`a power failure at any write, seed ${SEED}`, () => {
  test('loses nothing that was acknowledged, shows nothing half, leaves nothing', async () => {
    const { moments, wrong } = await failEverywhere();
    console.info(`power-failure.test.ts: seed ${SEED}, ${moments} moments, ${FATES} fates each`);
    expect(wrong).toEqual([]);
    expect(moments).toBeGreaterThan(80);
  }, 120_000);

  test.each<[string, Sabotage]>([
    ['the bytes of a file', { skipsFileSync: true }],
    ['the names in a folder', { skipsFolderSync: true }],
    ['the lines of a journal', { skipsSyncedWrites: true }],
  ])(
    'would be noticed if a sync of %s were left out',
    async (_, sabotage) => {
      expect((await failEverywhere(sabotage)).wrong.length).toBeGreaterThan(0);
    },
    60_000,
  );
});
