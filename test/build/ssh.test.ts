/** `RUN --mount=type=ssh`: a command uses a key it never sees, by an agent that is gone when it has ended. */
import { execFileSync, spawnSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type BuildEvent, BuildSecrets } from '../../lib/build/index.js';
import { startSshAgent } from '../../lib/build/sandbox/ssh-agent.js';
import type { HostScope } from '../../lib/runtime/index.js';
import { RecordsSecretStore } from '../../lib/store/records/secret-store-records.js';
import { requireTools } from '../host-tools.js';
import { BuilderHost } from './builder-host.js';
import { type BuildFixture, type Built, busyboxFiles, failure, type Spec } from './fixture.js';
import { agentsBelow } from './ssh-agents.js';

requireTools('root', 'runc', 'ssh-agent', 'ssh-keygen', 'setpriv').describe('RUN with an ssh agent', () => {
  let f: BuildFixture;
  let host: BuilderHost;
  let directory: string;
  let scope: HostScope;
  let kept: BuildSecrets;

  beforeAll(async () => {
    host = await BuilderHost.open();
    ({ directory, scope } = host);
    f = await host.builder();
    kept = new BuildSecrets(new RecordsSecretStore(f.store.records, { key: Buffer.alloc(32, 1) }));
    await f.push('ssh', { ...(await busyboxFiles()), ...(await programs('/usr/bin/ssh-add', '/usr/bin/ssh-keygen')) });
  });
  afterAll(() => host.close());

  /** A new key. @returns its path; the public one lies at `<path>.pub` */
  const keyFile = (name: string, ...options: string[]): string => {
    const path = join(directory, name);
    execFileSync('ssh-keygen', [
      '-q',
      '-N',
      '',
      '-C',
      name,
      '-f',
      path,
      ...(options.length > 0 ? options : ['-t', 'ed25519']),
    ]);
    return path;
  };
  /** The keys as a worker finds them. */
  const given = async (keys: Readonly<Record<string, readonly string[]>>): Promise<ReadonlyMap<string, Uint8Array>> => {
    const read = await Promise.all(
      Object.entries(keys).map(
        async ([id, paths]) => [id, await Promise.all(paths.map((path) => readFile(path)))] as const,
      ),
    );
    const build = f.store.ids.ulid();
    await kept.put(build, new Map(), new Map(read));
    const values = await kept.get(build);
    await kept.delete(build);
    return values;
  };
  const run = async (lines: string, keys: Readonly<Record<string, readonly string[]>> = {}): Promise<Built> => {
    const events: BuildEvent[] = [];
    const call = {
      id: f.store.ids.ulid(),
      emit: (event: BuildEvent) => void events.push(event),
      signal: new AbortController().signal,
      secrets: await given(keys),
    };
    const result = await f.builder.build(
      { context: await f.context({ Dockerfile: `FROM ssh\n${lines}` }), tags: ['app'] },
      call,
    );
    if ('kind' in result) throw new Error('no image');
    return { result, events };
  };
  const output = ({ events }: Built): string =>
    events.map((event) => (event.type === 'step-output' ? event.text : '')).join('');

  test('lists and signs with the keys that were given, without the key in the sandbox', async () => {
    const key = keyFile('deploy');
    const rsa = keyFile('old', '-t', 'rsa', '-b', '2048', '-m', 'PEM');
    const publicKey = (await readFile(`${key}.pub`, 'utf8')).trim();
    const built = await run(
      `COPY <<EOF /key.pub\n${publicKey}\nEOF
RUN --network=none --mount=type=ssh echo "$SSH_AUTH_SOCK"; stat -c '%a %u' $SSH_AUTH_SOCK; ssh-add -l | wc -l; \\
    echo data > /data; ssh-keygen -q -Y sign -n file -f /key.pub /data; grep -rl PRIVATE /proc/self/environ /run /root /tmp 2>/dev/null; true`,
      { default: [key, rsa] },
    );
    expect(output(built)).toBe('/run/buildkit/ssh_agent.0\n600 0\n2\n');
    const signature = join(directory, 'data.sig');
    const layer = await f.layer(built.result.layers.at(-1)?.digest ?? ('' as never));
    expect(layer.map(({ path }) => path)).toEqual(['data', 'data.sig']);
    await writeFile(signature, layer.at(-1)?.content ?? '');
    const verified = spawnSync('ssh-keygen', ['-Y', 'check-novalidate', '-n', 'file', '-s', signature], {
      input: 'data\n',
    });
    expect(verified.stdout.toString()).toMatch(/^Good "file" signature with ED25519 key/);
  });

  test('gives the socket to the user it is for, by the id and at the place the mount says', async () => {
    const key = keyFile('other');
    const built = await run(
      `USER app
RUN --network=none --mount=type=ssh,id=git,target=/tmp/agent,uid=1000,gid=1000,mode=0600 \\
    stat -c '%a %u:%g' /tmp/agent; SSH_AUTH_SOCK=/tmp/agent ssh-add -L | cut -d' ' -f3 2>/dev/null || ssh-add -L | wc -l`,
      { git: [key] },
    );
    expect(output(built)).toContain('600 1000:1000\n');
    const refused = await run(
      `USER app
RUN --network=none --mount=type=ssh,id=git ssh-add -l >/dev/null 2>&1 || echo "root's agent does not answer"`,
      { git: [key] },
    );
    expect(output(refused)).toBe("root's agent does not answer\n");
  });

  test('does without an agent that is not given, and fails at the line when it is required', async () => {
    expect(output(await run('RUN --network=none --mount=type=ssh echo "[$SSH_AUTH_SOCK]"'))).toBe(
      '[/run/buildkit/ssh_agent.0]\n',
    );
    const error = await failure(run('RUN --mount=type=ssh,id=git,required true'));
    expect([error.code, error.details?.['line']]).toEqual(['BUILD_SSH_MISSING', 2]);
    expect(error.hint).toContain('--ssh git=');
  });

  test('has the id in the key, and never the keys', async () => {
    const line = (id: string): string => `RUN --network=none --mount=type=ssh,id=${id} : > /cached`;
    await run(line('one'), { one: [keyFile('a')] });
    expect((await run(line('one'), { one: [keyFile('b')] })).result.stepsCached).toBe(1);
    expect((await run(line('two'), { two: [keyFile('c')] })).result.stepsCached).toBe(0);
  });

  test('has an agent of its own while it runs', async () => {
    const before = agentsBelow(scope.directory);
    const key = await readFile(keyFile('running'));
    const agent = await startSshAgent({
      directory: join(directory, 'agent'),
      keys: [key],
      mode: 0o600,
      uid: 0,
      gid: 0,
    });
    expect([await before, await agentsBelow(directory)]).toMatchObject([[], { length: 1 }]);
    await agent.stop();
    expect(await agentsBelow(directory)).toEqual([]);
  });

  test('leaves no agent behind, however the command ended', async () => {
    const key = keyFile('last');
    await failure(run('RUN --network=none --mount=type=ssh exit 3', { default: [key] }));
    expect(await agentsBelow(scope.directory)).toEqual([]);
  });

  describe('refuses before anything is kept', () => {
    test.each([
      ['a key with a passphrase', ['-t', 'ed25519', '-N', 'a phrase'], /passphrase/],
      ['an old key with a passphrase', ['-t', 'rsa', '-b', '2048', '-m', 'PEM', '-N', 'a phrase'], /passphrase/],
    ])('%s', async (name, options, message) => {
      const path = join(directory, name.replaceAll(' ', '-'));
      execFileSync('ssh-keygen', ['-q', '-C', 'x', '-f', path, ...options]);
      const error = await failure(given({ default: [path] }));
      expect(error.code).toBe('BUILD_SSH_KEY_INVALID');
      expect(error.message).toMatch(message);
    });

    test('a public key, what is no key, and an id that is none', async () => {
      const path = keyFile('public');
      expect((await failure(given({ default: [`${path}.pub`] }))).message).toMatch(/public key/);
      expect((await failure(given({ default: ['/etc/hostname'] }))).message).toMatch(/no private key/);
      expect((await failure(given({ 'a\nb': [path] }))).code).toBe('BUILD_SSH_KEY_INVALID');
      expect(await kept.builds()).toEqual([]);
    });
  });
});

/** Programs of this machine with the libraries they need. */
async function programs(...paths: readonly string[]): Promise<Record<string, Spec>> {
  const found = execFileSync('ldd', [...paths]).toString();
  const libraries = [...found.matchAll(/(\/\S+) \(0x/g)].map(([, path = '']) => path);
  const files: Record<string, Spec> = { 'usr/': {}, 'usr/bin/': {}, 'bin/cut': { symlink: 'busybox' } };
  for (const path of new Set([...paths, ...libraries])) {
    const name = path.startsWith('/usr/bin') ? `bin/${path.slice(path.lastIndexOf('/') + 1)}` : path.slice(1);
    for (let at = name.indexOf('/'); at > 0; at = name.indexOf('/', at + 1)) files[`${name.slice(0, at)}/`] ??= {};
    files[name] = { content: await readFile(path), mode: 0o755 };
  }
  return files;
}
