/** Those who pull slowly, or go away: they cost no memory, hold nobody up, and leave no file open. */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, readlink, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { PROCESS_TOKEN, type RegistryProcess, startRegistryProcess } from './registry-process.js';

const MIB = 1024 * 1024;
const LAYER_BYTES = 48 * MIB;
const READERS = 60;
const headers = { authorization: `Bearer ${PROCESS_TOKEN}` };

let folder: string;
let registry: RegistryProcess;
let path: string;
let digest: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wharf-downloads-'));
  registry = await startRegistryProcess(folder);
  const layer = randomBytes(LAYER_BYTES);
  digest = digestOf(layer);
  path = `/v2/slow/readers/blobs/${digest}`;
  const started = await fetch(`${registry.url}/v2/slow/readers/blobs/uploads/`, { method: 'POST', headers });
  const at = new URL(`${started.headers.get('location')}?digest=${digest}`, registry.url);
  expect((await fetch(at, { method: 'PUT', headers, body: layer })).status).toBe(201);
});
afterAll(async () => {
  await registry.kill();
  await rm(folder, { recursive: true, force: true });
});

const digestOf = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** Has asked for the layer, and reads no more than what comes first. */
async function stuckReader(): Promise<Socket> {
  const [host, port] = registry.host.split(':');
  const socket = connect({ host, port: Number(port) });
  socket.on('error', () => {});
  socket.write(`GET ${path} HTTP/1.1\r\nhost: ${registry.host}\r\nauthorization: ${headers.authorization}\r\n\r\n`);
  await once(socket, 'data');
  socket.pause();
  return socket;
}

async function openBlobs(): Promise<number> {
  const names = await readdir(`/proc/${registry.pid}/fd`);
  const files = await Promise.all(names.map((name) => readlink(`/proc/${registry.pid}/fd/${name}`).catch(() => '')));
  return files.filter((file) => file.startsWith(folder) && file.includes('/blobs/')).length;
}

test(`${READERS} who stop reading take no memory from the registry and hold nobody up; gone, they leave no file open`, async () => {
  const stuck = await Promise.all(Array.from({ length: READERS }, stuckReader));
  expect(await openBlobs()).toBe(READERS);
  const pulled = await fetch(`${registry.url}${path}`, { headers });
  expect(digestOf(new Uint8Array(await pulled.arrayBuffer()))).toBe(digest);
  expect(await registry.peakBytes()).toBeLessThan(256 * MIB);

  for (const socket of stuck) socket.destroy();
  while ((await openBlobs()) > 0) await delay(20);
  const again = await fetch(`${registry.url}${path}`, { headers: { ...headers, range: `bytes=${MIB}-${MIB + 99}` } });
  expect((await again.arrayBuffer()).byteLength).toBe(100);
});
