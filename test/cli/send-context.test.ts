/** A folder on its way to the platform: what is read, what is sent, and what happens when it changes meanwhile. */
import { mkdir, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { SentContexts } from '../../lib/build/index.js';
import { listContext } from '../../lib/cli/send-context.js';
import { systemClock } from '../../lib/store/clock-system.js';
import { textOf } from '../build/fixture.js';
import { type CliFixture, createCliFixture, type Ran } from './cli-fixture.js';

let cli: CliFixture;
let app: string;
const HOUR_AGO = new Date(Date.now() - 3_600_000);

beforeAll(async () => {
  cli = await createCliFixture();
  app = join(cli.folder, 'app');
});
afterAll(() => cli.close());

beforeEach(async () => {
  await rm(app, { recursive: true, force: true });
  await mkdir(app);
  await file('Dockerfile', 'FROM scratch\n');
});

async function file(path: string, text: string): Promise<void> {
  await writeFile(join(app, path), text);
  await utimes(join(app, path), HOUR_AGO, HOUR_AGO);
}

interface Request {
  readonly path: string;
  readonly bytes: number;
}

/** Builds, and says which requests brought the context. */
async function built(change: Parameters<CliFixture['run']>[1] = {}): Promise<{ ran: Ran; requests: Request[] }> {
  const { builds } = cli.api;
  const before = builds.submitted.length;
  const requests: Request[] = [];
  const real = globalThis.fetch;
  globalThis.fetch = async (input, init) => {
    const { pathname } = new URL(input instanceof Request ? input.url : input);
    const counted = { path: `${init?.method ?? 'GET'} ${pathname.replace(/[0-9a-f]{40}/, '…')}`, bytes: 0 };
    if (pathname.startsWith('/v1/contexts')) requests.push(counted);
    const body = init?.body as AsyncIterable<Uint8Array> | undefined;
    const counting = async function* (source: AsyncIterable<Uint8Array>) {
      for await (const chunk of source) {
        counted.bytes += chunk.length;
        yield chunk;
      }
    };
    const isStream = body !== undefined && body !== null && typeof body !== 'string';
    return real(
      input,
      isStream ? { ...init, body: counting(body) as unknown as NonNullable<RequestInit['body']> } : init,
    );
  };
  try {
    const env = { XDG_CACHE_HOME: join(cli.folder, 'cache') };
    const running = cli.run(['build', 'app', '-t', 'web:1'], { env, ...change });
    await Promise.race([running, cli.api.base.until('it was submitted', () => builds.submitted.length > before)]);
    const [started] = (await builds.list({ limit: 1 })).builds;
    if (builds.submitted.length > before) builds.tell(started?.id ?? '', { type: 'finished', status: 'cancelled' });
    return { ran: await running, requests };
  } finally {
    globalThis.fetch = real;
  }
}

async function sentText(path: string): Promise<string> {
  const { context } = cli.api.builds.submitted.at(-1) ?? {};
  if (typeof context !== 'string') throw new Error('nothing was submitted');
  const { store } = cli.api.base;
  const [record] = (await store.records.query(`CONTEXT#${context}`)).records;
  const { tree } = await new SentContexts(store).open(context, record?.sort.replace('OF#', '') ?? '');
  return textOf(tree, path);
}

/** As if the files had been there for long. */
const LATER = { ...systemClock, nowMs: () => Date.now() + 60_000 };
const FORGED = '0'.repeat(64);

async function memoryIn(cache: string): Promise<string> {
  const [name = ''] = await readdir(join(cache, 'wharf', 'files'));
  return join(cache, 'wharf', 'files', name);
}

/** Puts a wrong hash for `a` into what is remembered. */
async function forge(cache: string): Promise<void> {
  const memory = await memoryIn(cache);
  const { files, format } = JSON.parse(await readFile(memory, 'utf8')) as { files: string[][]; format: string };
  const wrong = files.map((line) => (line[0] === 'a' ? [...line.slice(0, -1), FORGED] : line));
  await writeFile(memory, JSON.stringify({ format, files: wrong }));
}

describe('a folder', () => {
  test('is sent once; then only what changed, and nothing when nothing did', async () => {
    await file('a', 'first');
    await file('b', 'second file');
    const list = { path: 'POST /v1/contexts', bytes: expect.any(Number) };
    expect((await built()).requests).toEqual([list, { path: 'PUT /v1/contexts/…', bytes: 13 + 5 + 11 }]);
    expect((await built()).requests).toEqual([]);
    await file('b', 'changed');
    expect((await built()).requests).toEqual([list, { path: 'PUT /v1/contexts/…', bytes: 7 }]);
    expect([await sentText('a'), await sentText('b')]).toEqual(['first', 'changed']);
    // Renamed, with another mode: nothing but the list.
    await rm(join(app, 'a'));
    await file('c', 'first');
    expect((await built()).requests).toEqual([list]);
    expect(await sentText('c')).toBe('first');
  });

  test('is not read again where size, times and inode are as they were', async () => {
    await file('a', 'content');
    const env = { HOME: join(cli.folder, 'home') };
    const deps = { cwd: cli.folder, env, clock: LATER };
    const shaOf = (): string | undefined =>
      listContext(deps, 'app').files.find(({ entry }) => entry.path === 'a')?.entry.sha256;
    const real = shaOf();
    // A wrong hash in the memory shows that the file was not read.
    await forge(join(cli.folder, 'home', '.cache'));
    expect(shaOf()).toBe(FORGED);
    await utimes(join(app, 'a'), HOUR_AGO, new Date(HOUR_AGO.getTime() + 1));
    expect(shaOf()).toBe(real);
    await writeFile(await memoryIn(join(cli.folder, 'home', '.cache')), 'damaged');
    expect(shaOf()).toBe(real);
  });

  test('whose remembered hashes are wrong is read again', async () => {
    await file('a', 'content');
    const env = { XDG_CACHE_HOME: join(cli.folder, 'wrong') };
    listContext({ cwd: cli.folder, env, clock: LATER }, 'app');
    await forge(join(cli.folder, 'wrong'));
    const { requests } = await built({ env });
    expect(requests.map(({ path }) => path.split(' ')[0])).toEqual(['POST', 'PUT', 'POST', 'PUT']);
    expect(await sentText('a')).toBe('content');
  });
});
