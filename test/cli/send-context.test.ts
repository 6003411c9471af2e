/** A folder on its way to the platform: what is read, what is sent, and what happens when it changes meanwhile. */
import { chmod, link, mkdir, readdir, readFile, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { SentContexts } from '../../lib/build/index.js';
import { type FoundContext, findContext } from '../../lib/cli/send-context.js';
import { type HttpCall, httpCall } from '../../lib/client/index.js';
import { digestOf } from '../../lib/oci/index.js';
import { systemClock } from '../../lib/store/system/clock-system.js';
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
  const http: HttpCall = (url, request) => {
    const { pathname } = url;
    const counted = { path: `${request.method} ${pathname.replace(/[0-9a-f]{40}/, '…')}`, bytes: 0 };
    if (pathname.startsWith('/v1/contexts')) requests.push(counted);
    const { body } = request;
    if (typeof body !== 'object') return httpCall(url, request);
    const counting = async function* (): AsyncGenerator<Uint8Array> {
      for await (const chunk of body) {
        counted.bytes += chunk.length;
        yield chunk;
      }
    };
    return httpCall(url, { ...request, body: counting() });
  };
  const env = { XDG_CACHE_HOME: join(cli.folder, 'cache') };
  const running = cli.run(['build', 'app', '-t', 'web:1'], { env, http, ...change });
  await Promise.race([running, cli.api.base.until('it was submitted', () => builds.submitted.length > before)]);
  const [started] = (await builds.list({ limit: 1 })).builds;
  if (builds.submitted.length > before) builds.tell(started?.id ?? '', { type: 'finished', status: 'cancelled' });
  return { ran: await running, requests };
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

/** Puts another text into what is remembered, in the place of this one. */
async function forge(cache: string, real: string, wrong: string): Promise<void> {
  const memory = await memoryIn(cache);
  const text = await readFile(memory, 'latin1');
  expect(text).toContain(real);
  await writeFile(memory, text.replaceAll(real, wrong), 'latin1');
}

const sha256 = (text: string): string => digestOf(Buffer.from(text)).slice('sha256:'.length);

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
      findContext(deps, 'app')
        .list()
        .files.find(({ entry }) => entry.path === 'a')?.entry.sha256;
    const real = shaOf();
    expect(real).toBe(sha256('content'));
    // A wrong hash in the memory shows that the file was not read.
    await forge(join(cli.folder, 'home', '.cache'), sha256('content'), FORGED);
    expect(shaOf()).toBe(FORGED);
    await utimes(join(app, 'a'), HOUR_AGO, new Date(HOUR_AGO.getTime() + 1));
    expect(shaOf()).toBe(real);
    await writeFile(await memoryIn(join(cli.folder, 'home', '.cache')), 'damaged');
    expect(shaOf()).toBe(real);
  });

  test('in which nothing changed is not listed again; whatever changes, it is', async () => {
    await file('a', 'content');
    await file('b', 'other');
    const cache = join(cli.folder, 'whole');
    const found = (clock = LATER): FoundContext => {
      return findContext({ cwd: cli.folder, env: { XDG_CACHE_HOME: cache }, clock }, 'app');
    };
    const { digest } = found();
    const forged = `sha256:${FORGED}`;
    // A wrong digest in the memory shows that it was taken from there.
    await forge(cache, digest, forged);
    expect(found().digest).toBe(forged);
    expect(found().list().digest).toBe(digest);
    const changes: Record<string, () => Promise<unknown>> = {
      mode: () => chmod(join(app, 'a'), 0o755),
      time: () => utimes(join(app, 'a'), HOUR_AGO, new Date(HOUR_AGO.getTime() + 5000)),
      inode: async () => {
        await file('c', 'content');
        await rename(join(app, 'c'), join(app, 'a'));
      },
      more: () => file('d', 'new'),
      less: () => rm(join(app, 'd')),
      renamed: () => rename(join(app, 'b'), join(app, 'e')),
      link: () => symlink('a', join(app, 'link')),
      'hard link': () => link(join(app, 'a'), join(app, 'z')),
    };
    for (const [what, change] of Object.entries(changes)) {
      await rm(cache, { recursive: true });
      await forge(cache, found().digest, forged);
      await change();
      expect({ what, isRemembered: found().digest === forged }).toEqual({ what, isRemembered: false });
    }
    // What was written just now may change again in the same moment.
    await rm(cache, { recursive: true });
    const fresh = found(systemClock).digest;
    expect(await readFile(await memoryIn(cache), 'latin1')).not.toContain(fresh);
  });

  test('whose remembered hashes are wrong is read again', async () => {
    await file('a', 'content');
    const env = { XDG_CACHE_HOME: join(cli.folder, 'wrong') };
    findContext({ cwd: cli.folder, env, clock: LATER }, 'app');
    await forge(join(cli.folder, 'wrong'), sha256('content'), FORGED);
    const { requests } = await built({ env });
    expect(requests.map(({ path }) => path.split(' ')[0])).toEqual(['POST', 'PUT', 'POST', 'PUT']);
    expect(await sentText('a')).toBe('content');
    // Of a digest that nobody has the list is made and sent.
    findContext({ cwd: cli.folder, env, clock: LATER }, 'app');
    await forge(join(cli.folder, 'wrong'), cli.api.builds.submitted.at(-1)?.context as string, `sha256:${FORGED}`);
    expect((await built({ env })).requests.map(({ path }) => path.split(' ')[0])).toEqual(['POST']);
  });
});
