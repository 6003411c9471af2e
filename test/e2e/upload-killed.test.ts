/**
 * Kill -9 of a platform while a context comes in: as a tar, as a list of files, as the contents of that list. After the
 * next start nothing half written lies there but what its client may go on with, and the next build works.
 */
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { type ClientRequest, request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { encodeContextManifest, type ManifestEntry } from '../../lib/layers/index.js';
import { requireTools } from '../host-tools.js';
import { PlatformProcess } from './platform-process.js';

const LIST_TYPE = 'application/vnd.wharf.context.v1+jsonl';
const BYTES = 'application/octet-stream';
const HALF = Buffer.alloc(3_000_000, 'half');
/** Of it; the rest may lie in a buffer. */
const ENOUGH = 1_000_000;
const CONTENT = Buffer.concat([HALF, HALF]);
const DOCKERFILE = Buffer.from('FROM scratch\nCOPY large /\n');

requireTools('root', 'runc', 'bridge').describe('a platform that is killed while a context comes in', () => {
  let platform: PlatformProcess;
  let folder: string;
  const below = (name: string): string => join(platform.data, 'store', name);

  beforeAll(async () => {
    platform = await PlatformProcess.create();
    await platform.start();
    folder = join(platform.folder, 'app');
    mkdirSync(folder);
    writeFileSync(join(folder, 'Dockerfile'), DOCKERFILE);
    writeFileSync(join(folder, 'large'), CONTENT);
  }, 60_000);
  afterAll(async () => {
    expect(await platform.remove()).toEqual([]);
  }, 60_000);

  /** Begins a request, and kills the platform when so much of its body is on the disk. */
  const killAmid = async (method: string, path: string, type: string, body: Buffer): Promise<void> => {
    const headers = { authorization: `Bearer ${platform.ready?.token}`, 'content-type': type };
    const sent: ClientRequest = request(`${platform.ready?.url}${path}`, { method, headers });
    const answers: (number | undefined)[] = [];
    sent.once('response', ({ statusCode }) => answers.push(statusCode));
    const broken = once(sent, 'error');
    sent.write(body);
    while ((await writtenBytes()) < ENOUGH && answers.length === 0) await delay(5);
    expect(await platform.end('SIGKILL')).toBe('SIGKILL');
    await broken;
    expect(answers).toEqual([]);
    await platform.start();
  };
  /** Of what is on its way. */
  const writtenBytes = async (): Promise<number> => {
    const paths = await Promise.all(
      ['temp', 'uploads'].map(async (name) => (await readdir(below(name))).map((file) => join(below(name), file))),
    );
    const sizes = await Promise.all(paths.flat().map(async (path) => (await stat(path)).size));
    return sizes.reduce((sum, size) => sum + size, 0);
  };
  const expectBuilds = async (): Promise<void> => {
    const { stdout } = await platform.must('build', folder, '-t', 'app', '--no-cache', '--json');
    expect(stdout).toMatch(/sha256:[0-9a-f]{64}/);
    expect([await readdir(below('temp')), await readdir(below('uploads'))]).toEqual([[], []]);
    expect((await readdir(join(platform.data, 'runtime', 'builds')).catch(() => [])).length).toBe(0);
  };

  test.each([
    ['a build with its context as a tar', '/v1/builds?tag=app', 'application/x-tar'],
    ['a context as a list of files', '/v1/contexts?name=app', LIST_TYPE],
  ])(
    '%s leaves nothing, and the next build works',
    async (_, path, type) => {
      await killAmid('POST', path, type, HALF);
      expect([await readdir(below('temp')), await readdir(below('uploads'))]).toEqual([[], []]);
      const { builds } = (await (await platform.api('/v1/builds')).json()) as { builds: { status: string }[] };
      expect(builds.filter(({ status }) => status !== 'succeeded')).toEqual([]);
      await expectBuilds();
    },
    60_000,
  );

  test('contents of a list are gone on with from what was acknowledged', async () => {
    const other = Buffer.from(CONTENT).reverse();
    const entries = [fileOf('Dockerfile', DOCKERFILE), fileOf('other', other)];
    const list = Buffer.concat([...encodeContextManifest(entries)]);
    const headers = { 'content-type': LIST_TYPE };
    const offered = await platform.api('/v1/contexts?name=other', { method: 'POST', headers, body: list });
    const { upload } = (await offered.json()) as { upload: string };
    const path = `/v1/contexts/${upload}`;
    const rest = Buffer.concat([DOCKERFILE, other]).subarray(HALF.length / 2);
    const first = Buffer.concat([DOCKERFILE, other]).subarray(0, HALF.length / 2);
    const offset = first.length;
    expect(await (await platform.api(path, { method: 'PUT', body: first })).json()).toEqual({ offset });
    await killAmid('PUT', `${path}?offset=${offset}`, BYTES, rest.subarray(0, HALF.length));
    expect((await platform.api(`${path}?offset=${offset}`, { method: 'PUT', body: rest })).status).toBe(201);
    await expectBuilds();
  }, 60_000);
});

function fileOf(path: string, content: Buffer): ManifestEntry {
  const sha256 = createHash('sha256').update(content).digest('hex');
  const at = { mode: 0o644, uid: 0, gid: 0, mtimeSeconds: 0 };
  return { path, type: 'file', ...at, sizeBytes: content.length, sha256 };
}
