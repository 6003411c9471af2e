/**
 * What a build fetches, from servers that stop in the midst of it: its time is over, or it is cancelled, at once. No
 * upload, folder or process stays; started again, it goes on with what had come whole.
 */
import { access, mkdir, mkdtemp, readdir, readlink, rm } from 'node:fs/promises';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ImageBuilder, RemoteImages, type RemoteSourcesOptions } from '../../lib/build/index.js';
import { requireTools } from '../host-tools.js';
import { type RunningRegistry, startTestRegistry } from '../protocol/registry/registry-server.js';
import { type BuildFixture, buildFixture, failure, type Files, textOf } from './fixture.js';
import { commit, git, startWebServer, type WebServer } from './remote-server.js';

const EGRESS = { allow: ['127.0.0.0/8'] };
const PLATFORM = { os: 'linux', architecture: 'amd64' };
/** What a server that stops has said of it by then. */
const HALF = 'half of it';

let place: string;
let f: BuildFixture;

beforeEach(async () => {
  place = await mkdtemp(join(tmpdir(), 'wharf-test-'));
  f = await buildFixture({ fetching: { workPlace: place, egress: EGRESS } });
});
afterEach(async () => {
  await f.close();
  await rm(place, { recursive: true, force: true });
});

/** On the same store, a builder that waits for nobody. */
async function buildImpatiently(files: Files): Promise<Awaited<ReturnType<typeof failure>>> {
  const { records, content, clock, ids } = f.store;
  const fetching: RemoteSourcesOptions = { workPlace: place, egress: EGRESS, timeoutMs: 1500 };
  const deps = { records, content, images: f.registry, indexes: f.indexes, clock, ids };
  const builder = new ImageBuilder(deps, { platform: PLATFORM, fetching });
  const call = { id: ids.ulid(), emit: () => undefined, signal: new AbortController().signal };
  return failure(builder.build({ context: await f.context(files), tags: ['app'] }, call));
}

async function expectNothingLeft(store: BuildFixture['store'] = f.store): Promise<void> {
  for (const folder of ['temp', 'uploads']) {
    const path = join(store.directory, 'store', folder);
    const isThere = await access(path).then(
      () => true,
      () => false,
    );
    if (isThere) expect(await readdir(path)).toEqual([]);
  }
  expect(await readdir(place)).toEqual([]);
  const numbers = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const folders = await Promise.all(numbers.map((pid) => readlink(`/proc/${pid}/cwd`).catch(() => '')));
  expect(folders.filter((cwd) => cwd.startsWith(`${place}/`))).toEqual([]);
}

describe('ADD of a file whose server stops half way', () => {
  let server: Server;
  let url: string;
  let isWell: boolean;
  let asked: string[];

  beforeEach(async () => {
    isWell = false;
    asked = [];
    server = createServer((request, response: ServerResponse) => {
      const { 'if-none-match': known } = request.headers;
      asked.push(`${request.url ?? ''}${known === undefined ? '' : ` unless ${known}`}`);
      if (request.url === '/well') {
        response.writeHead(known === '"1"' ? 304 : 200, { etag: '"1"' });
        response.end(known === '"1"' ? undefined : 'all of it');
        return;
      }
      response.writeHead(200, { 'content-length': String(2 * HALF.length) });
      if (isWell) response.end(HALF.repeat(2));
      else response.write(HALF);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  test('ends by its limit of time, and the next build asks whether what came whole has changed', async () => {
    const files = { Dockerfile: `FROM scratch\nADD ${url}/well /well\nADD ${url}/stuck /stuck\n` };
    const error = await buildImpatiently(files);
    expect(error).toMatchObject({ code: 'BUILD_REMOTE_TIMEOUT', details: { line: 3 } });
    expect(error.message).toContain('/stuck did not end within 1.5 s');
    await expectNothingLeft();
    isWell = true;
    const { result } = await f.build(files);
    const tree = await f.tree(result.digest);
    expect(await textOf(tree, 'stuck')).toBe(HALF.repeat(2));
    expect(await textOf(tree, 'well')).toBe('all of it');
    expect(asked.filter((each) => each.startsWith('/well'))).toEqual(['/well', '/well unless "1"']);
  });

  test('is nobody else’s: a build that was to have the same file fetches it whole', async () => {
    const files = { Dockerfile: `FROM scratch\nADD ${url}/stuck /stuck\n` };
    const cancelled = new AbortController();
    const context = await f.context(files);
    const call = { id: f.store.ids.ulid(), emit: () => undefined, signal: cancelled.signal };
    const first = failure(f.builder.build({ context, tags: ['app'] }, call));
    while (asked.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    cancelled.abort(new Error('cancelled'));
    expect((await first).message).toContain('cancelled');
    await expectNothingLeft();
    isWell = true;
    const { result } = await f.build(files);
    expect(await textOf(await f.tree(result.digest), 'stuck')).toBe(HALF.repeat(2));
  });
});

requireTools('git', 'prlimit').describe('ADD of a repository whose server stops', () => {
  let web: WebServer;
  let repositories: string;
  let stalled: ServerResponse[];

  beforeEach(async () => {
    repositories = await mkdtemp(join(tmpdir(), 'wharf-test-'));
    const directory = join(repositories, 'a.git');
    await mkdir(directory);
    git(directory, 'init', '-q', '-b', 'main', '.');
    await commit(directory, { file: 'of the repository' });
    web = await startWebServer(repositories);
    stalled = [];
  });
  afterEach(async () => {
    await web.close();
    await rm(repositories, { recursive: true, force: true });
  });

  test('ends by its limit of time with all that git started, and the next build has the files', async () => {
    const files = { Dockerfile: `FROM scratch\nADD ${web.url}/git/a.git /src\n` };
    web.stall('/git/a.git/git-upload-pack', stalled);
    const error = await buildImpatiently(files);
    expect(error).toMatchObject({ code: 'BUILD_REMOTE_TIMEOUT', details: { line: 2 } });
    expect(stalled.length).toBeGreaterThan(0);
    await expectNothingLeft();
    web.stall('/git/a.git/git-upload-pack', undefined);
    const { result } = await f.build(files);
    expect(await textOf(await f.tree(result.digest), 'src/file')).toBe('of the repository');
  });
});

describe('a base image whose registry stops', () => {
  let other: BuildFixture;
  let server: RunningRegistry;
  let home: BuildFixture;

  beforeEach(async () => {
    other = await buildFixture();
    await other.push('team/base:1', { 'etc/': {}, 'etc/name': 'base' });
    server = await startTestRegistry(other.store, { publicRepositories: ['*'] });
    home = await buildFixture({ remote: ({ content, clock }) => new RemoteImages({ content, clock }) });
  });
  afterEach(async () => {
    await home.close();
    await server.close();
    await other.close();
  });

  test.each([
    ['its manifest is looked for', /^HEAD .*\/manifests\/1$/],
    ['its manifest is fetched', /^GET .*\/manifests\/sha256/],
    ['its config is fetched', /^GET .*\/blobs\//],
  ])(
    'while %s lets a cancelled build go, and the next one goes on',
    async (_when, stops) => {
      const listeners = server.server.listeners('request') as ((...args: unknown[]) => void)[];
      const reached = new Promise<void>((resolve) => {
        server.server.removeAllListeners('request');
        server.server.on('request', (request, response) => {
          if (stops.test(`${request.method} ${request.url}`)) return resolve();
          for (const listener of listeners) listener(request, response);
        });
      });
      const files = { Dockerfile: `FROM ${server.host}/team/base:1\nCOPY a /a\n`, a: 'A' };
      const cancelled = new AbortController();
      const context = await home.context(files);
      const call = { id: home.store.ids.ulid(), emit: () => undefined, signal: cancelled.signal };
      const first = failure(home.builder.build({ context, tags: ['app'] }, call));
      await reached;
      cancelled.abort(new Error('cancelled'));
      expect((await first).message).toContain('cancelled');
      await expectNothingLeft(home.store);
      server.server.removeAllListeners('request');
      for (const listener of listeners) server.server.on('request', listener);
      const { result } = await home.build(files);
      expect(await textOf(await home.tree(result.digest), 'etc/name')).toBe('base');
      // Left to itself, the client gives up a manifest after a minute, and a config after five.
    },
    40_000,
  );
});
