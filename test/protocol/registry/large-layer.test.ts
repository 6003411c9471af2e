/** A layer larger than the memory the registry may take goes in and out of it. 2 GiB by `npm run test:large-layer`. */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { PROCESS_TOKEN, type RegistryProcess, startRegistryProcess } from './registry-process.js';

const MIB = 1024 * 1024;
const LAYER_MIB = Number(process.env['WHARF_TEST_LAYER_MIB'] ?? 288);
const MOST_BYTES = 256 * MIB;
const REPOSITORY = 'large/layer';

let folder: string;
let registry: RegistryProcess;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wharf-large-layer-'));
  registry = await startRegistryProcess(folder);
});
afterAll(async () => {
  await registry.kill();
  await rm(folder, { recursive: true, force: true });
});

function begin(method: string, path: string): ClientRequest {
  const headers = { authorization: `Bearer ${PROCESS_TOKEN}` };
  return request(new URL(path, registry.url), { method, headers });
}

async function answer(sent: ClientRequest, status: number): Promise<IncomingMessage> {
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  if (response.statusCode !== status) throw new Error(`${sent.method} ${sent.path}: ${response.statusCode}`);
  return response;
}

async function drained(response: IncomingMessage): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of response) hash.update(chunk as Buffer);
  return `sha256:${hash.digest('hex')}`;
}

/** Different in each MiB, and made as fast as it can be sent. */
function* layer(block: Buffer): Generator<Buffer> {
  for (let i = 0; i < LAYER_MIB; i++) {
    const piece = Buffer.from(block);
    piece.writeUInt32BE(i);
    yield piece;
  }
}

test(
  `a layer of ${LAYER_MIB} MiB is pushed and pulled by a registry that takes less than 256`,
  async () => {
    const block = randomBytes(MIB);
    const hash = createHash('sha256');
    for (const piece of layer(block)) hash.update(piece);
    const digest = `sha256:${hash.digest('hex')}`;

    const started = await answer(begin('POST', `/v2/${REPOSITORY}/blobs/uploads/`).end(), 202);
    started.resume();
    const at = started.headers.location ?? '';
    // As docker sends it: one stream of unsaid length.
    const patch = begin('PATCH', at);
    const [patched] = await Promise.all([answer(patch, 202), pipeline(Readable.from(layer(block)), patch)]);
    patched.resume();
    expect(patched.headers['range']).toBe(`0-${LAYER_MIB * MIB - 1}`);
    const before = performance.now();
    (await answer(begin('PUT', `${at}?digest=${digest}`).end(), 201)).resume();
    const milliseconds = Math.round(performance.now() - before);
    expect(await drained(await answer(begin('GET', `/v2/${REPOSITORY}/blobs/${digest}`).end(), 200))).toBe(digest);

    const peakBytes = await registry.peakBytes();
    console.info(`large-layer.test.ts: peak ${Math.round(peakBytes / MIB)} MiB; the last PUT took ${milliseconds} ms`);
    expect(peakBytes).toBeLessThan(MOST_BYTES);
  },
  60_000 + LAYER_MIB * 500,
);
