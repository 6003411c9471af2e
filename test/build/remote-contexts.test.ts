/** Contexts by address: repositories, tars and Dockerfiles of a server on loopback that the operator's option allows. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { BuildRequest } from '../../lib/build/index.js';
import { compress, writeTar } from '../../lib/layers/index.js';
import type { Digest } from '../../lib/oci/index.js';
import { requireTools } from '../host-tools.js';
import { buildFixture, type BuildFixture, type Built, failure, membersOf, textOf } from './fixture.js';
import { commit, COMMIT_TIME, git, startWebServer, type WebServer } from './remote-server.js';

let f: BuildFixture;
let web: WebServer;
let repositories: string;
beforeAll(async () => {
  repositories = await mkdtemp(join(tmpdir(), 'wharf-repos-'));
});
afterAll(() => rm(repositories, { recursive: true, force: true }));
beforeEach(async () => {
  web = await startWebServer(repositories);
  f = await buildFixture({ fetching: { egress: { allow: ['127.0.0.0/8'] }, maxBytes: 1_000_000 } });
  await f.push('base', { name: 'base' });
});
afterEach(async () => {
  await f.close();
  await web.close();
});

const build = (path: string, request: Partial<BuildRequest> = {}): Promise<Built> =>
  f.build({}, { context: { url: `${web.url}${path}` }, ...request });
const paths = async ({ result }: Built): Promise<string[]> =>
  [...(await f.tree(result.digest)).walk()].map((e) => e.path);

/** Served at `/git/<name>.git`. */
async function repository(name: string, files: Readonly<Record<string, string>>): Promise<void> {
  const work = join(repositories, name);
  await mkdir(work);
  git(work, 'init', '-q', '-b', 'main');
  await commit(work, files);
  git(repositories, 'clone', '-q', '--bare', name, `${name}.git`);
}

test('a tar is a context like one that was sent, with its ignore file', async () => {
  const files = {
    Dockerfile: 'FROM scratch\nCOPY . /',
    '.dockerignore': 'Dockerfile\n.dockerignore\nsecret',
    a: 'a',
    secret: 's',
  };
  const tar: Buffer[] = [];
  for await (const chunk of compress('gzip')(writeTar(membersOf(files)))) tar.push(Buffer.from(chunk));
  web.files.set('/context.tar.gz', { body: Buffer.concat(tar), etag: '"1"' });
  const built = await build('/context.tar.gz');
  expect(await paths(built)).toEqual(['a']);
  expect((await build('/context.tar.gz')).result).toMatchObject({ stepsCached: 1, digest: built.result.digest });
  expect(web.requests).toEqual(['GET /context.tar.gz', 'GET /context.tar.gz']);
});

test('what is no archive is a Dockerfile without a context', async () => {
  web.files.set('/Dockerfile', { body: 'FROM base\nCOPY <<EOF /made\nhere\nEOF\n' });
  expect(await textOf(await f.tree((await build('/Dockerfile')).result.digest), 'made')).toBe('here\n');
  web.files.set('/zeros', { body: Buffer.from('FROM\0') });
  expect((await failure(build('/zeros'))).code).toBe('CONTEXT_UNKNOWN_FORM');
  web.files.set('/empty', { body: 'FROM scratch\nCOPY a /' });
  expect((await failure(build('/empty'))).code).toBe('BUILD_COPY_SOURCE_MISSING');
});

test('SOURCE_DATE_EPOCH may be the time of a context, a named context, or a stage that is one ADD of a URL', async () => {
  const archive = async (time: number): Promise<Buffer> => {
    const chunks: Uint8Array[] = [];
    const files = { 'd/': { mtime: time + 50 }, old: { content: 'o', mtime: 5 }, foo: { content: 'bar', mtime: time } };
    for await (const chunk of writeTar(membersOf(files))) chunks.push(chunk);
    return Buffer.concat(chunks);
  };
  const head = 'ARG SOURCE_DATE_EPOCH=mysource\n';
  const asked = 'FROM scratch\nARG SOURCE_DATE_EPOCH\nLABEL e=$SOURCE_DATE_EPOCH\nCOPY foo /\n';
  const epoch = async (Dockerfile: string, request: Partial<BuildRequest> = {}): Promise<unknown> => {
    const { result, events } = await f.build({ Dockerfile, foo: '' }, request);
    const { created, config } = await f.config(result.imageId);
    const seconds = Date.parse(created ?? '') / 1000;
    const { e } = config?.Labels ?? {};
    expect(e === '' || Number(e) === seconds).toBe(true);
    return e === '' ? events.flatMap((event) => (event.type === 'warning' ? [event.message] : [])) : seconds;
  };
  web.files.set('/plain.tar', { body: await archive(1_700_000_402) });
  web.files.set('/dated.tar', {
    body: await archive(1_700_000_000),
    headers: { 'last-modified': 'Wed, 21 Oct 2015 07:28:00 GMT' },
  });
  web.files.set('/text', { body: 'no archive' });
  const stage = (file: string): string => `${head}FROM scratch AS mysource\nADD ${web.url}${file} /\n${asked}`;
  expect(await epoch(stage('/plain.tar'))).toBe(1_700_000_402);
  expect(await epoch(stage('/dated.tar'))).toBe(1_445_412_480);
  expect(await epoch(stage('/plain.tar'), { args: { SOURCE_DATE_EPOCH: '7' } })).toBe(7);
  expect(await epoch(stage('/text'))).toEqual([
    expect.stringContaining('SOURCE_DATE_EPOCH=mysource: that has no time'),
  ]);
  const named = (file: string) => ({ contexts: { mysource: { url: `${web.url}${file}` } } });
  expect(await epoch(head + asked, named('/plain.tar'))).toBe(1_700_000_402);
  expect(await epoch(head + asked, named('/dated.tar'))).toBe(1_445_412_480);
  const context = { context: { url: `${web.url}/plain.tar` }, args: { SOURCE_DATE_EPOCH: 'context' } };
  expect(await epoch('', { ...context, dockerfileText: asked })).toBe(1_700_000_402);

  const twice = await failure(epoch(stage('/text').replace(' /\n', ' /\nCOPY foo /\n')));
  expect([twice.code, twice.details?.['line']]).toEqual(['BUILD_EPOCH_INVALID', 1]);
});

test('a Dockerfile of the request goes before one of the context', async () => {
  const files = { Dockerfile: 'FROM nowhere', a: 'a' };
  const built = await f.build(files, { dockerfileText: 'FROM scratch\nCOPY a /b' });
  expect(await paths(built)).toEqual(['b']);
});

test('what may not be reached is refused, and an address is refused before a build is made of it', async () => {
  const strict = await buildFixture();
  const error = await failure(strict.build({}, { context: { url: `${web.url}/x.tar` } }));
  expect(error.code).toBe('BUILD_EGRESS_REFUSED');
  await strict.close();
  for (const url of ['ftp://example.com/x.tar', 'https://u:p@example.com/x.tar', 'git://example.com/a/b.git']) {
    const submitted = await failure(f.builds.submit({ context: { url }, tags: [] }));
    expect(submitted.code).toMatch(/^BUILD_(UNSUPPORTED_ADD_REMOTE|REMOTE_INVALID)$/);
    expect(submitted.message).toMatch(/^the context /);
  }
  expect(web.requests).toEqual([]);
});

requireTools('git', 'prlimit').describe('a repository', () => {
  test('is a context: a branch, a folder, with the time of its commit', async () => {
    await repository('app', { 'sub/Dockerfile': 'FROM scratch\nCOPY . /', 'sub/a': 'a', outside: 'x' });
    const url = '/git/app.git#main:sub';
    expect(await paths(await build(url))).toEqual(['Dockerfile', 'a']);
    const dated = await build(url, { args: { SOURCE_DATE_EPOCH: 'context' } });
    expect((await f.config(dated.result.imageId)).created).toBe(
      new Date(COMMIT_TIME * 1000).toISOString().replace('.000', ''),
    );
    expect(dated.events.filter((event) => event.type === 'warning')).toEqual([]);
  });

  test('and a tar bring files by name', async () => {
    await repository('tools', { 'bin/tool': 'tool' });
    const more: Buffer[] = [];
    for await (const chunk of writeTar(membersOf({ m: 'more' }))) more.push(Buffer.from(chunk));
    web.files.set('/more.tar', { body: Buffer.concat(more) });
    const Dockerfile = 'FROM scratch\nCOPY --from=tools bin/tool /\nCOPY --from=more m /';
    const contexts = { tools: { url: `${web.url}/git/tools.git` }, more: { url: `${web.url}/more.tar` } };
    expect(await paths(await f.build({ Dockerfile }, { contexts }))).toEqual(['m', 'tool']);
  });
});

test('a repository keeps its .git when a build argument says so', async () => {
  await repository('kept', { Dockerfile: 'FROM scratch\nCOPY . /' });
  const args = { BUILDKIT_CONTEXT_KEEP_GIT_DIR: '1' };
  expect(await paths(await build('/git/kept.git', { args }))).toContain('.git/HEAD');
  expect(await paths(await build('/git/kept.git'))).not.toContain('.git');
});

requireTools('git').describe('provenance of a repository', () => {
  test('names the commit, and nothing is missing in it', async () => {
    await repository('told', { Dockerfile: 'FROM scratch\nCOPY a /', a: 'a' });
    const { result } = await build('/git/told.git#main', { attestations: { provenance: {} } });
    const digest = result.platforms?.[0]?.attestations;
    const stored = digest === undefined ? undefined : await f.registry.manifest('app', { digest });
    const { layers } = JSON.parse(String(stored?.bytes)) as { layers: { digest: Digest }[] };
    const { predicate } = JSON.parse(String(await f.store.content.read(layers[0]?.digest ?? ('' as Digest))));
    const commitId = git(join(repositories, 'told'), 'rev-parse', 'HEAD').trim();
    const { externalParameters, resolvedDependencies } = predicate.buildDefinition;
    const uri = `${web.url}/git/told.git`;
    expect(resolvedDependencies).toEqual([{ uri, digest: { sha1: commitId } }]);
    expect(externalParameters).toEqual({
      configSource: { uri: `${uri}#main`, digest: { sha1: commitId }, path: 'Dockerfile' },
      request: { frontend: 'dockerfile.v0' },
    });
    expect(predicate.runDetails.metadata).toMatchObject({
      buildkit_hermetic: true,
      buildkit_completeness: { request: true, resolvedDependencies: true },
    });
  });
});
