/** Repositories over ssh, from a server of our own: by ADD, as contexts, and as submodules; with the build's key alone. */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { sshValues } from '../../lib/build/build-ssh.js';
import { contextAddress } from '../../lib/build/context/fetched-contexts.js';
import { besideRepository, sshAddress } from '../../lib/build/fetch/git-address.js';
import { parseRemote } from '../../lib/build/fetch/remote-source.js';
import { requireTools } from '../host-tools.js';
import { refusalOf } from '../refusal.js';
import { buildFixture, type BuildFixture, type Built, failure } from './fixture.js';
import { commit, COMMIT_TIME, git } from './remote-server.js';
import { agentsBelow, newKey } from './ssh-agents.js';
import { type SshServer, startSshServer } from './ssh-server.js';

describe('an address over ssh', () => {
  test.each([
    ['git@example.com:team/app.git', 'example.com', 22],
    ['me@host_1:app', 'host_1', 22],
    ['ssh://git@example.com/team/app', 'example.com', 22],
    ['ssh://example.com:2222/app.git', 'example.com', 2222],
    ['ssh://git@[fd00::1]:2222/app', 'fd00::1', 2222],
  ])('%s', (url, host, port) => {
    expect(sshAddress(url)).toEqual({ host, port });
    expect(parseRemote(`${url}?submodules=false#v1:docs`, {})).toEqual({
      kind: 'git',
      url,
      ref: 'v1',
      subfolder: 'docs',
      keepGitFolder: false,
      skipSubmodules: true,
    });
  });

  test.each([
    'git@-oProxyCommand=x:app',
    'git@host$(x):app',
    '-x@example.com:app',
    'ssh://git:word@example.com/app',
    'ssh://example.com:99999/app',
    'ssh://example.com',
  ])('%s is refused', (word) => {
    const { code, message, hint } = refusalOf(() => parseRemote(word, {}));
    expect(code).toBe('BUILD_REMOTE_INVALID');
    expect(message + hint).not.toContain('word@');
  });

  test('is found beside another one', () => {
    expect(besideRepository('../lib.git', 'git@example.com:team/app.git')).toBe('git@example.com:team/lib.git');
    expect(besideRepository('../../x/lib', 'git@example.com:app')).toBe('git@example.com:x/lib');
    expect(besideRepository('./sub', 'ssh://example.com:22/app.git/')).toBe('ssh://example.com:22/app.git/sub');
    expect(besideRepository('../lib.git', 'https://example.com/team/app.git')).toBe('https://example.com/team/lib.git');
  });
});

test.each([
  ['github.com/moby/buildkit', 'https://github.com/moby/buildkit.git', '', ''],
  ['github.com/moby/buildkit.git#v0.1:docs', 'https://github.com/moby/buildkit.git', 'v0.1', 'docs'],
  ['github.com/moby/buildkit/#main', 'https://github.com/moby/buildkit.git', 'main', ''],
])('the context %s is a repository', (url, repository, ref, subfolder) => {
  expect(contextAddress({ url })).toMatchObject({ kind: 'git', url: repository, ref, subfolder });
});

requireTools('root', 'git', 'prlimit', 'ssh', 'ssh-agent', 'setpriv', 'dropbear', 'unshare').describe(
  'git over ssh',
  () => {
    let folder: string;
    let temporary: string;
    let key: Buffer;
    let server: SshServer;
    let f: BuildFixture;
    let lib: string;

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'wharf-git-ssh-'));
      temporary = join(folder, 'tmp');
      await mkdir(temporary);
      key = await newKey(folder);
      server = await startSshServer(key);
      lib = await repository('lib', { l: 'lib' });
      await repository('app', {
        Dockerfile: 'FROM scratch\nCOPY a /a\n',
        a: 'of app',
        'docs/Dockerfile': 'FROM scratch\nCOPY d /d\n',
        'docs/d': 'of docs',
      });
    });
    afterAll(async () => {
      await server.close();
      await rm(folder, { recursive: true, force: true });
    });
    beforeEach(async () => {
      process.env['TMPDIR'] = temporary;
      f = await buildFixture({ fetching: { egress: { allow: ['127.0.0.0/8'] } } });
    });
    afterEach(async () => {
      await f.close();
      delete process.env['TMPDIR'];
      expect(await readdir(temporary)).toEqual([]);
      expect(await agentsBelow(temporary)).toEqual([]);
    });

    async function repository(name: string, files: Readonly<Record<string, string>>): Promise<string> {
      const work = join(folder, name);
      await mkdir(work);
      git(work, 'init', '-q', '-b', 'main');
      await commit(work, files);
      git(folder, 'clone', '-q', '--bare', name, `${name}.git`);
      return git(work, 'rev-parse', 'HEAD');
    }

    const url = (path: string): string => `ssh://root@127.0.0.1:${server.port}${folder}/${path}`;
    /** As a worker finds them. */
    const given = (keys: readonly Buffer[], others: Readonly<Record<string, string>> = {}): Map<string, string> => {
      const ssh = keys.length === 0 ? new Map<string, Uint8Array>() : sshValues(new Map([['default', keys]]));
      return new Map([
        ...[...ssh].map(([name, value]) => [name, String(Buffer.from(value))] as const),
        ...Object.entries(others),
      ]);
    };
    const add = (word: string, secrets = given([key])): Promise<Built> =>
      f.build({ Dockerfile: `FROM scratch\nADD ${word} /` }, {}, undefined, secrets);
    const files = async ({ result }: Built): Promise<string[]> =>
      [...(await f.tree(result.digest)).walk()].map(({ path }) => path);

    test('brings files by ADD, and is a context, with the time of the commit', async () => {
      const built = await add(`${url('app.git')}#main:docs`);
      expect(await files(built)).toEqual(['Dockerfile', 'd']);
      const [layer] = built.result.layers;
      expect((await f.layer(layer?.digest ?? ('' as never))).every(({ mtime }) => mtime === COMMIT_TIME)).toBe(true);
      for (const [address, found] of [
        [url('app.git'), ['a']],
        [`${url('app.git')}#:docs`, ['d']],
      ] as const) {
        expect(await files(await f.build({}, { context: { url: address } }, undefined, given([key])))).toEqual(found);
      }
    });

    test('takes a submodule from the same server, by a relative address', async () => {
      const work = join(folder, 'whole');
      await mkdir(work);
      git(work, 'init', '-q', '-b', 'main');
      await commit(work, { own: 'x', '.gitmodules': '[submodule "lib"]\n\tpath = lib\n\turl = ../lib.git\n' });
      git(work, 'update-index', '--add', '--cacheinfo', `160000,${lib},lib`);
      git(work, 'commit', '-q', '-m', 'a submodule');
      expect(await files(await add(url('whole')))).toEqual(['.gitmodules', 'lib', 'lib/l', 'own']);
    });

    test('goes to a server whose key is known, and to no other that says it is that one', async () => {
      expect(await files(await add(url('lib.git'), given([key], { SSH_KNOWN_HOSTS: server.knownHost })))).toEqual([
        'l',
      ]);
      const other = server.knownHost.replace(
        /\S+$/m,
        'AAAAC3NzaC1lZDI1NTE5AAAAIDlrdHRGuYYkr2vWm8oGrJJvVj6+e1YSEy4rFQ1mMDMH',
      );
      const refused = await failure(
        add(`${url('lib.git')}?mtime=commit#main`, given([key], { SSH_KNOWN_HOSTS: other })),
      );
      expect([refused.code, refused.message]).toEqual(['BUILD_GIT_FAILED', expect.stringMatching(/host key/i)]);
    });

    test('uses no key but those of the build', async () => {
      const without = await failure(add(url('app.git'), given([])));
      expect([without.code, without.details?.['line'], without.details?.['column']]).toEqual([
        'BUILD_SSH_MISSING',
        2,
        5,
      ]);
      await mkdir(join(folder, 'other'), { recursive: true });
      const stranger = await failure(add(url('app.git'), given([await newKey(join(folder, 'other'))])));
      expect([stranger.code, stranger.message]).toEqual([
        'BUILD_GIT_FAILED',
        expect.stringMatching(/permission denied/i),
      ]);
      expect(existsSync('/root/.ssh/authorized_keys') && server.log().includes('Bad owner')).toBe(false);
    });

    test('asks no address that is closed to builds', async () => {
      await f.close();
      f = await buildFixture();
      expect((await failure(add(url('app.git')))).code).toBe('BUILD_EGRESS_REFUSED');
    });
  },
);
