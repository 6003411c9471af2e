/** ADD of repositories with others in them: found as git finds them, and trusted as little as they deserve. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { requireTools } from '../host-tools.js';
import { buildFixture, type BuildFixture, failure } from './fixture.js';
import { commit, COMMIT_TIME, git, startWebServer, type WebServer } from './remote-server.js';

requireTools('git', 'prlimit').describe('ADD of a repository with submodules', () => {
  let f: BuildFixture;
  let web: WebServer;
  let other: WebServer;
  let repositories: string;
  let lib: string;
  beforeAll(async () => {
    repositories = await mkdtemp(join(tmpdir(), 'wharf-submodules-'));
    const deep = await repository('deep', { d: 'deep' });
    lib = await repository('lib', { 'src/l': 'lib' }, [['vendor/deep', '../deep.git', deep]]);
  });
  afterAll(() => rm(repositories, { recursive: true, force: true }));
  beforeEach(async () => {
    web = await startWebServer(repositories);
    other = await startWebServer(repositories);
    f = await buildFixture({ fetching: { egress: { allow: ['127.0.0.0/8'] }, maxBytes: 1_000_000 } });
  });
  afterEach(async () => {
    await f.close();
    await web.close();
    await other.close();
  });

  type Link = readonly [path: string, url: string | undefined, commit: string];

  /** Served at `/git/<name>.git`. @returns its commit */
  async function repository(
    name: string,
    files: Readonly<Record<string, string>>,
    links: readonly Link[] = [],
  ): Promise<string> {
    const work = join(repositories, name);
    await mkdir(work);
    git(work, 'init', '-q', '-b', 'main');
    const sections = links.flatMap(([path, url]) =>
      url === undefined ? [] : [`[submodule "of ${path}"]\n\tpath = ${path}\n\turl = ${url}\n`],
    );
    await commit(work, { ...files, ...(sections.length === 0 ? {} : { '.gitmodules': sections.join('') }) });
    for (const [path, , id] of links) git(work, 'update-index', '--add', '--cacheinfo', `160000,${id},${path}`);
    if (links.length > 0) git(work, 'commit', '-q', '-m', 'submodules');
    git(repositories, 'clone', '-q', '--bare', name, `${name}.git`);
    return git(work, 'rev-parse', 'HEAD').trim();
  }

  const listing = async (word: string, secrets: Readonly<Record<string, string>> = {}): Promise<string[]> => {
    const Dockerfile = `FROM scratch\nADD ${word} /`;
    const { result } = await f.build({ Dockerfile }, {}, undefined, new Map(Object.entries(secrets)));
    const listed = await f.layer(result.layers.at(-1)?.digest ?? ('' as never));
    expect(new Set(listed.map(({ mtime }) => mtime))).toEqual(new Set([COMMIT_TIME]));
    return listed.map(({ path, type, content }) => (type === 'file' ? `${path}: ${content}` : path));
  };

  test('takes them along, those in them too, by relative and by whole addresses', async () => {
    await repository('app', { a: 'a', z: 'z' }, [
      ['libs/one', '../lib.git', lib],
      ['libs/two', `${other.url}/git/lib.git`, lib],
    ]);
    const found = await listing(`${web.url}/git/app.git`);
    const inLib = (at: string): string[] => [
      at,
      expect.stringMatching(`^${at}/.gitmodules: `) as unknown as string,
      `${at}/src`,
      `${at}/src/l: lib`,
      `${at}/vendor`,
      `${at}/vendor/deep`,
      `${at}/vendor/deep/d: deep`,
    ];
    expect(found.slice(1)).toEqual(['a: a', 'libs', ...inLib('libs/one'), ...inLib('libs/two'), 'z: z']);
    expect(await listing(`${web.url}/git/app.git#main:libs`)).toEqual(
      found.slice(3, -1).map((line) => (typeof line === 'string' ? line.replace('libs/', '') : line)),
    );
    // As git leaves them: empty.
    const without = await listing(`${web.url}/git/app.git?submodules=false`);
    expect(without.slice(1)).toEqual(['a: a', 'libs', 'libs/one', 'libs/two', 'z: z']);
  });

  test('sends a token for no host in particular to the named host only', async () => {
    await repository('tokens', { a: 'a' }, [
      ['here', '../deep.git', git(join(repositories, 'deep'), 'rev-parse', 'HEAD').trim()],
      ['there', `${other.url}/git/lib.git`, lib],
    ]);
    await listing(`${web.url}/git/tokens.git`, { GIT_AUTH_TOKEN: 'tok' });
    expect(web.authorizations.length).toBeGreaterThan(1);
    expect(other.authorizations).toEqual([]);
    const own = await buildFixture({ fetching: { egress: { allow: ['127.0.0.0/8'] } } });
    const secrets = new Map([[`GIT_AUTH_TOKEN.127.0.0.1:${other.port}`, 'own']]);
    await own.build({ Dockerfile: `FROM scratch\nADD ${web.url}/git/tokens.git /` }, {}, undefined, secrets);
    expect(other.authorizations.length).toBeGreaterThan(0);
    await own.close();
  });

  test.each<[string, string | undefined, string]>([
    ['over-ssh', 'git@example.com:a/b.git', 'BUILD_SSH_MISSING'],
    ['file', 'file:///etc', 'BUILD_UNSUPPORTED_ADD_REMOTE'],
    ['guarded', 'http://10.0.0.1/x.git', 'BUILD_EGRESS_REFUSED'],
    ['with-password', 'https://u:p@127.0.0.1/x.git', 'BUILD_REMOTE_INVALID'],
    ['no-url', undefined, 'BUILD_GIT_SUBMODULE'],
  ])('refuses one that is %s', async (name, url, code) => {
    await repository(name, { a: 'a' }, [['lib', url, lib]]);
    const error = await failure(listing(`${web.url}/git/${name}.git`));
    expect([error.code, error.details?.['line']]).toEqual([code, 2]);
  });

  test('follows no chain without end', async () => {
    let last = await repository('chain-0', { n: '0' });
    for (let n = 1; n <= 6; n += 1)
      last = await repository(`chain-${n}`, { n: `${n}` }, [['x', `../chain-${n - 1}.git`, last]]);
    const error = await failure(listing(`${web.url}/git/chain-6.git`));
    expect(error.code).toBe('BUILD_GIT_SUBMODULE');
    expect(error.message).toContain('6 deep');
  });
});
