/** ADD of URLs and git repositories, from servers on loopback that the operator's option allows. */
import { createHash } from 'node:crypto';
import { chmod, mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { compress, writeTar } from '../../lib/layers/index.js';
import { requireTools } from '../host-tools.js';
import { buildFixture, type BuildFixture, type Built, failure, membersOf, textOf } from './fixture.js';
import { commit, COMMIT_TIME, git, startWebServer, type WebServer } from './remote-server.js';

const sha256 = (text: string | Buffer): string => createHash('sha256').update(text).digest('hex');

let f: BuildFixture;
let web: WebServer;
let repositories: string;
beforeAll(async () => {
  repositories = await mkdtemp(join(tmpdir(), 'wharf-repos-'));
});
afterAll(() => rm(repositories, { recursive: true, force: true }));
beforeEach(async () => {
  web = await startWebServer(repositories);
  f = await buildFixture({ fetching: { egress: { allow: ['127.0.0.0/8'] }, maxBytes: 100_000 } });
});
afterEach(async () => {
  await f.close();
  await web.close();
});

const add = (line: string, secrets: Readonly<Record<string, string>> = {}): Promise<Built> =>
  f.build({ Dockerfile: `FROM scratch\n${line}` }, {}, undefined, new Map(Object.entries(secrets)));
const entries = async ({ result }: Built): Promise<string[]> => {
  const listed = await f.layer(result.layers.at(-1)?.digest ?? ('' as never));
  return listed.map((e) => `${e.path} ${e.type} ${e.mode} ${e.mtime}${e.link === undefined ? '' : ` -> ${e.link}`}`);
};
const time = Date.parse('Mon, 06 May 2024 07:08:09 GMT') / 1000;
const dated = { 'last-modified': 'Mon, 06 May 2024 07:08:09 GMT' };

describe('ADD of a URL', () => {
  test('makes a file with mode 0600, the time the server says, and the name of the path', async () => {
    web.files.set('/a/b%20c.txt', { body: 'hello', headers: dated });
    web.files.set('/', { body: 'nameless' });
    expect(await entries(await add(`ADD ${web.url}/a/b%20c.txt?v=1#x /d/`))).toEqual([
      `d directory 755 0`,
      `d/b c.txt file 600 ${time}`,
    ]);
    const built = await add(`ADD --chmod=644 --chown=3:4 ${web.url}/a/b%20c.txt /name`);
    expect(await entries(built)).toEqual([`name file 644 ${time}`]);
    expect(await textOf(await f.tree(built.result.digest), 'name')).toBe('hello');
    expect(await entries(await add(`ADD ${web.url} /`))).toEqual(['__unnamed__ file 600 0']);
  });

  test('takes a name as it stands, also when it looks like a pattern', async () => {
    web.files.set('/%5Bx%5D*', { body: 'odd' });
    expect(await entries(await add(`ADD ${web.url}/%5Bx%5D* /`))).toEqual(['[x]* file 600 0']);
  });

  test('mixes with files of the context, and with other URLs', async () => {
    web.files.set('/one', { body: '1' });
    web.files.set('/two', { body: '' });
    const { result } = await f.build({
      Dockerfile: `FROM scratch\nADD ${web.url}/one three ${web.url}/two /d/`,
      three: '3',
    });
    const tree = await f.tree(result.digest);
    expect(await Promise.all(['one', 'two', 'three'].map((name) => textOf(tree, `d/${name}`)))).toEqual(['1', '', '3']);
  });

  test('asks again with the ETag, and finds the layer while the answer is "not modified"', async () => {
    web.files.set('/x', { body: 'first', etag: '"1"' });
    const first = await add(`ADD ${web.url}/x /`);
    const second = await add(`ADD ${web.url}/x /`);
    expect([first.result.stepsCached, second.result.stepsCached]).toEqual([0, 1]);
    expect(web.requests).toEqual(['GET /x', 'GET /x']);
    // Another ETag, the same content: nothing is made anew.
    web.files.set('/x', { body: 'first', etag: '"2"', headers: dated });
    expect((await add(`ADD ${web.url}/x /`)).result.stepsCached).toBe(1);
    web.files.set('/x', { body: 'other', etag: '"3"' });
    const changed = await add(`ADD ${web.url}/x /`);
    expect(changed.result.steps.map(({ cached, reason }) => [cached, reason])).toEqual([[false, 'x: content changed']]);
  });

  test('with a checksum asks once, and never again', async () => {
    web.files.set('/x', { body: 'pinned' });
    const line = `ADD --checksum=sha256:${sha256('pinned')} ${web.url}/x /`;
    await add(line);
    web.files.delete('/x');
    expect((await add(line)).result.stepsCached).toBe(1);
    await add(line.replace(/ .$/, ' /y/'));
    expect(web.requests).toEqual(['GET /x']);
  });

  test('does not hand out a blob of the store because somebody knows its checksum', async () => {
    const foreign = Buffer.from('of another tenant');
    await f.store.content.putBytes(foreign);
    const error = await failure(add(`ADD --checksum=sha256:${sha256(foreign)} ${web.url}/x /`));
    expect(error.code).toBe('BUILD_REMOTE_REFUSED');
  });

  test('fails with both checksums when they differ', async () => {
    web.files.set('/x', { body: 'evil' });
    const error = await failure(add(`ADD --checksum=sha256:${sha256('good')} ${web.url}/x /`));
    expect([error.code, error.details?.['line'], error.details?.['actual']]).toEqual([
      'BUILD_CHECKSUM_MISMATCH',
      2,
      `sha256:${sha256('evil')}`,
    ]);
  });

  test('leaves an archive packed, unless --unpack', async () => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of compress('gzip')(writeTar(membersOf({ inner: 'in' }, 7)))) chunks.push(chunk);
    web.files.set('/a.tgz', { body: Buffer.concat(chunks) });
    expect(await entries(await add(`ADD ${web.url}/a.tgz /`))).toEqual(['a.tgz file 600 0']);
    expect(await entries(await add(`ADD --unpack=true ${web.url}/a.tgz /`))).toEqual(['inner file 644 7']);
  });

  test('sends the secret of the host, to that host alone', async () => {
    const other = await startWebServer();
    try {
      other.files.set('/end', { body: 'end' });
      web.files.set('/x', { status: 302, headers: { location: `${other.url}/end` } });
      const host = `127.0.0.1:${web.port}`;
      await add(`ADD ${web.url}/x /`, { [`HTTP_AUTH_TOKEN_${host}`]: 'tok\n', HTTP_AUTH_TOKEN_example: 'no' });
      await add(`ADD ${web.url}/x /`, { [`HTTP_AUTH_HEADER_${host}`]: 'Basic abc' });
      expect(web.authorizations).toEqual(['Bearer tok', 'Basic abc']);
      expect(other.requests).toEqual(['GET /end', 'GET /end']);
    } finally {
      await other.close();
    }
  });

  test('says what the server said, how large is too large, and what takes too long', async () => {
    web.files.set('/no', { status: 403 });
    web.files.set('/big', { body: Buffer.alloc(100_001) });
    web.files.set('/loop', { status: 302, headers: { location: '/loop' } });
    const refused = await failure(add(`ADD ${web.url}/no?token=hidden /`));
    expect([refused.code, refused.hint]).toEqual([
      'BUILD_REMOTE_REFUSED',
      `give the build a secret HTTP_AUTH_TOKEN_127.0.0.1:${web.port} or HTTP_AUTH_HEADER_127.0.0.1:${web.port}`,
    ]);
    expect(refused.message).not.toContain('hidden');
    expect((await failure(add(`ADD ${web.url}/big /`))).code).toBe('BUILD_REMOTE_TOO_LARGE');
    expect((await failure(add(`ADD ${web.url}/loop /`))).message).toMatch(/more than 10 times/);
    const hasty = await buildFixture({ fetching: { egress: { allow: ['127.0.0.0/8'] }, timeoutMs: 30 } });
    // Headers come, the body never does.
    const slow = await import('node:http').then(({ createServer }) => createServer((_, r) => void r.write('x')));
    await new Promise<void>((resolve) => slow.listen(0, '127.0.0.1', resolve));
    const address = slow.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const late = await failure(hasty.build({ Dockerfile: `FROM scratch\nADD http://127.0.0.1:${port}/x /` }));
    expect(late.code).toBe('BUILD_REMOTE_TIMEOUT');
    slow.closeAllConnections();
    slow.close();
    await hasty.close();
  });
});

requireTools('git', 'prlimit').describe('ADD of a git repository', () => {
  let work: string;
  let first: string;
  let second: string;

  beforeAll(async () => {
    work = join(repositories, 'work');
    await mkdir(work);
    git(work, 'init', '-q', '-b', 'main');
    await symlink('a.txt', join(work, 'link'));
    first = await commit(work, { 'a.txt': 'one', 'docs/d.md': 'doc', 'docs/sub/e': 'e' });
    git(work, 'tag', '-a', 'v1', '-m', 'v1');
    git(work, 'branch', 'old');
    await commit(work, { run: '#!/bin/sh' });
    await chmod(join(work, 'run'), 0o755);
    second = await commit(work, { 'a.txt': 'two' });
    git(repositories, 'clone', '-q', '--bare', 'work', 'repo.git');
  });

  const url = (): string => `${web.url}/git/repo.git`;
  const text = async (line: string, path: string): Promise<string> =>
    textOf(await f.tree((await add(line)).result.digest), path);

  test('brings the files of the default branch, with the modes of git and the time of the commit', async () => {
    const built = await add(`ADD ${url()} /src`);
    expect((await entries(built)).slice(1)).toEqual([
      `src/a.txt file 644 ${COMMIT_TIME}`,
      `src/docs directory 755 ${COMMIT_TIME}`,
      `src/docs/d.md file 644 ${COMMIT_TIME}`,
      `src/docs/sub directory 755 ${COMMIT_TIME}`,
      `src/docs/sub/e file 644 ${COMMIT_TIME}`,
      `src/link symlink 777 ${COMMIT_TIME} -> a.txt`,
      `src/run file 755 ${COMMIT_TIME}`,
    ]);
    const again = await add(`ADD ${url()} /src`);
    expect(again.result.stepsCached).toBe(1);
  });

  test('takes a branch, a tag, a commit and a folder of it', async () => {
    expect(await text(`ADD ${url()}#old /`, 'a.txt')).toBe('one');
    expect(await text(`ADD ${url()}#v1 /`, 'a.txt')).toBe('one');
    expect(await text(`ADD ${url()}?tag=v1&subdir=docs/sub /`, 'e')).toBe('e');
    expect(await text(`ADD ${url()}#${first} /`, 'a.txt')).toBe('one');
    expect(await text(`ADD ${url()}#refs/heads/main:docs /`, 'd.md')).toBe('doc');
  });

  test('does not fetch a commit twice, and asks nothing for one that is named by its id', async () => {
    await add(`ADD ${url()}#${second} /x/`);
    const asked = web.requests.length;
    const again = await add(`ADD ${url()}#${second} /x/`);
    expect([again.result.stepsCached, web.requests.length]).toEqual([1, asked]);
    await add(`ADD ${url()} /x/`);
    expect(web.requests.slice(asked).filter((request) => request.startsWith('POST'))).toHaveLength(1);
  });

  test('checks the beginning of the commit', async () => {
    expect(await text(`ADD --checksum=${second.slice(0, 12)} ${url()}#main /`, 'a.txt')).toBe('two');
    const error = await failure(add(`ADD --checksum=${second.slice(0, 12)} ${url()}#old /`));
    expect([error.code, error.details?.['actual']]).toEqual(['BUILD_CHECKSUM_MISMATCH', first]);
  });

  test('keeps a repository that git can read, the same every time', async () => {
    const one = await add(`ADD --keep-git-dir=true ${url()} /src`);
    const other = await buildFixture({ fetching: { egress: { allow: ['127.0.0.0/8'] } } });
    const two = await other.build({ Dockerfile: `FROM scratch\nADD --keep-git-dir=true ${url()} /src` });
    expect(two.result.digest).toBe(one.result.digest);
    await other.close();
    const tree = await f.tree(one.result.digest);
    expect((await textOf(tree, 'src/.git/HEAD')).trim()).toBe(second);
    const out = await mkdtemp(join(repositories, 'out-'));
    for (const entry of tree.walk('src')) {
      const path = join(out, entry.path.slice(4));
      const { writeFile } = await import('node:fs/promises');
      if (entry.type === 'directory') await mkdir(path, { recursive: true });
      else if (entry.type === 'symlink') await symlink(entry.linkTarget ?? '', path);
      else {
        const chunks: Uint8Array[] = [];
        for await (const chunk of tree.readFile(entry.path)) chunks.push(chunk);
        await writeFile(path, Buffer.concat(chunks), { mode: entry.mode });
      }
    }
    expect(git(out, 'status', '--porcelain')).toBe('');
    expect(git(out, 'log', '--format=%H')).toContain(second);
  });

  test('follows a redirect of the repository, and gives the token to git', async () => {
    web.files.set('/git/moved.git/info/refs', (request) => ({
      status: 301,
      headers: { location: (request.url ?? '').replace('moved', 'repo') },
    }));
    const built = await add(`ADD ${web.url}/git/moved.git#old /`, { GIT_AUTH_TOKEN: 'tok' });
    expect(await textOf(await f.tree(built.result.digest), 'a.txt')).toBe('one');
    const basic = `basic ${Buffer.from('x-access-token:tok').toString('base64')}`;
    expect(new Set(web.authorizations)).toEqual(new Set([basic]));
    expect(web.authorizations.length).toBeGreaterThan(1);
  });

  test.each([
    ['#nothing', 'BUILD_GIT_REF_UNKNOWN'],
    ['#main:nowhere', 'BUILD_GIT_REF_UNKNOWN'],
    ['#main:link', 'BUILD_GIT_REF_UNKNOWN'],
    ['#--upload-pack=x', 'BUILD_REMOTE_INVALID'],
    ['#main..old', 'BUILD_REMOTE_INVALID'],
    ['?what=1', 'BUILD_REMOTE_INVALID'],
  ])('refuses %s', async (suffix, code) => {
    expect((await failure(add(`ADD ${url()}${suffix} /`))).code).toBe(code);
  });

  test('says so when the address is no repository', async () => {
    web.files.set('/plain.git/info/refs', { body: 'hello', headers: { 'content-type': 'text/plain' } });
    const error = await failure(add(`ADD ${web.url}/plain.git /`));
    expect([error.code, error.message]).toEqual([
      'BUILD_REMOTE_REFUSED',
      expect.stringContaining('answered with text/plain'),
    ]);
  });
});
