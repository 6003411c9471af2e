/** Kill -9 while clients push: whatever was acknowledged is there afterwards, and what was interrupted goes on. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Digest, digestOf } from '../../../lib/oci/index.js';
import { bytesOf, SetBuilder } from './images.js';
import { PROCESS_TOKEN, type RegistryProcess, startRegistryProcess } from './registry-process.js';
import { location, Wire, withDigest } from './wire.js';

const KILLS = Number(process.env['WHARF_TEST_KILLS'] ?? 5);
const WRITERS = 4;
const CHUNK = 32 * 1024;
const REPOSITORY = 'crash/app';

/** What a writer was told, by which it can hold the registry to account. */
interface Ledger {
  readonly blobs: Map<Digest, Buffer>;
  readonly tags: Map<string, Digest>;
  /** Sessions that were cut off, with the bytes they are to hold. */
  readonly open: Map<string, Buffer>;
}

let folder: string;
let registry: RegistryProcess;
const ledger: Ledger = { blobs: new Map(), tags: new Map(), open: new Map() };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wharf-crash-'));
  registry = await startRegistryProcess(folder);
});
afterAll(async () => {
  await registry.kill();
  await rm(folder, { recursive: true, force: true });
});

const wireOf = (process: RegistryProcess): Wire =>
  new Wire({ url: process.url, tokens: { admin: PROCESS_TOKEN, deploy: '', read: '' } });

describe(`a registry that is killed ${KILLS} times`, () => {
  test('loses nothing it acknowledged, and lets every interrupted upload go on', async () => {
    for (let kill = 0; kill < KILLS; kill++) {
      const done = { acknowledged: 0 };
      const wire = wireOf(registry);
      // The moment of the kill is counted in answers, so that it falls into the midst of other writers' requests.
      const killAfter = 20 + ((kill * 37) % 41);
      let killed: Promise<void> | undefined;
      const writers = Array.from({ length: WRITERS }, (_, i) =>
        writeUntilKilled(wire, `${kill}/${i}`, done, () => {
          if (done.acknowledged === killAfter) killed = registry.kill();
        }),
      );
      await Promise.all(writers);
      await killed;
      registry = await startRegistryProcess(folder);
      await audit(wireOf(registry));
    }
    expect(ledger.blobs.size).toBeGreaterThan(KILLS);
    expect(ledger.tags.size).toBeGreaterThan(0);
  }, 120_000);
});

/** Pushes small images until the connection is refused; writes down what was acknowledged. */
async function writeUntilKilled(
  wire: Wire,
  name: string,
  done: { acknowledged: number },
  onAnswer: () => void,
): Promise<void> {
  const answered = (): void => {
    done.acknowledged += 1;
    onAnswer();
  };
  try {
    for (let i = 0; ; i++) {
      const set = new SetBuilder(`${name}/${i}`);
      set.image({}, [set.blob(bytesOf(`${name}/${i}`, 3 * CHUNK + i))]);
      for (const { digest, bytes } of set.blobs) {
        const at = await wire.start(REPOSITORY);
        ledger.open.set(at, bytes);
        for (let start = 0; start < bytes.length; start += CHUNK) {
          const body = bytes.subarray(start, start + CHUNK);
          await wire.send('PATCH', at, { headers: { 'content-range': `${start}-${start + body.length - 1}` }, body });
          answered();
        }
        const put = await wire.send('PUT', withDigest(at, digest));
        if (put.status !== 201) throw new Error(`a blob was answered with ${put.status}: ${put.bytes.toString()}`);
        ledger.blobs.set(digest, bytes);
        ledger.open.delete(at);
        answered();
      }
      const [image] = set.manifests;
      if (image === undefined) throw new Error('no manifest');
      const tag = `t-${name.replace('/', '-')}-${i}`;
      const put = await wire.put(REPOSITORY, tag, image);
      if (put.status !== 201) throw new Error(`a manifest was answered with ${put.status}: ${put.bytes.toString()}`);
      ledger.tags.set(tag, image.digest);
      answered();
    }
  } catch (error) {
    // fetch reports every lost connection as a TypeError of its own realm; anything else is a real failure.
    if (!((error as Error).name === 'TypeError')) throw error;
  }
}

async function audit(wire: Wire): Promise<void> {
  for (const [digest, bytes] of ledger.blobs) {
    const got = await wire.send('GET', `/v2/${REPOSITORY}/blobs/${digest}`);
    expect([digest, got.status, got.bytes.equals(bytes)]).toEqual([digest, 200, true]);
  }
  for (const [tag, digest] of ledger.tags) {
    const got = await wire.send('GET', `/v2/${REPOSITORY}/manifests/${tag}`);
    expect([tag, got.status, digestOf(got.bytes)]).toEqual([tag, 200, digest]);
  }
  for (const [at, bytes] of ledger.open) {
    ledger.open.delete(at);
    const status = await wire.send('GET', at);
    // The kill may have come after the commit and before its answer: then the blob is there, or is sent again.
    if (status.status === 404) continue;
    const held = Number(/^0-(\d+)$/.exec(status.headers.get('range') ?? '')?.[1]);
    const offset = held === 0 ? 0 : held + 1;
    const next = await wire.send('PUT', withDigest(location(status), digestOf(bytes)), {
      body: bytes.subarray(offset),
      headers: offset < bytes.length ? { 'content-range': `${offset}-${bytes.length - 1}` } : {},
    });
    expect([at, next.status]).toEqual([at, 201]);
    ledger.blobs.set(digestOf(bytes), bytes);
  }
}
