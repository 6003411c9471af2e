/** The life of a platform on one machine: stopped, killed and started again, and refusing what it must refuse. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { digestHex, digestOf } from '../../lib/oci/index.js';
import { requireTools } from '../host-tools.js';
import { PlatformProcess, runCommand } from './platform-process.js';

const host = requireTools('root', 'runc', 'conmon', 'bridge', 'ip', 'iptables', 'busybox', 'script');

interface TaskList {
  readonly tasks: readonly {
    readonly id: string;
    readonly containers: readonly { readonly ports: readonly { readonly host: number }[] }[];
  }[];
}

host.describe('a platform', () => {
  let platform: PlatformProcess;
  beforeAll(async () => {
    platform = await PlatformProcess.create();
    await platform.start();
    const pushed = await runCommand(process.execPath, ['--import', 'tsx', 'scripts/base-image.ts', platform.data]);
    if (pushed.exitCode !== 0) throw new Error(pushed.stderr);
    await platform.must('cluster', 'create', 'main', '--instances', '2');
  }, 90_000);
  afterAll(async () => {
    expect(await platform.remove()).toEqual([]);
  }, 120_000);

  async function tasks(): Promise<TaskList['tasks']> {
    const response = await platform.api('/v1/clusters/main/tasks');
    return ((await response.json()) as TaskList).tasks;
  }

  async function answers(): Promise<string[]> {
    const ports = (await tasks()).flatMap((task) => task.containers.flatMap((container) => container.ports));
    return Promise.all(
      ports.map(async ({ host: port }) => (await fetch(`http://127.0.0.1:${port}/release.txt`)).text()),
    );
  }

  /** The number and the command line of each container's supervisor, which is there as long as its container. */
  async function supervisors(): Promise<readonly string[]> {
    return (await platform.residue()).filter((line) => /^process \d+: \S*conmon /.test(line)).sort();
  }

  test('finds its images, services and running containers again, however it was ended', async () => {
    await platform.must('build', 'examples/hello', '-t', 'hello:1');
    await platform.must('deploy', 'hello', '--image', 'hello:1', '--count', '2');
    const before = (await tasks()).map((task) => task.id).sort();
    const processes = await supervisors();
    expect(processes).toHaveLength(2);
    for (const signal of ['SIGKILL', 'SIGINT', 'SIGTERM'] as const) {
      const ended = await platform.end(signal);
      expect(ended).toBe(signal === 'SIGKILL' ? 'SIGKILL' : 0);
      await platform.start();
      expect((await tasks()).map((task) => task.id).sort()).toEqual(before);
      expect(await supervisors()).toEqual(processes);
      expect(await answers()).toEqual(['release 1\n', 'release 1\n']);
      expect((await platform.must('images')).stdout).toContain('hello');
    }
  }, 180_000);

  test('takes away by `wharf down` what runs, also when its folder forgot what it had, and starts it again', async () => {
    expect(await platform.wharf('down')).toMatchObject({
      exitCode: 5,
      stderr: expect.stringContaining('IN_USE') as unknown,
    });
    for (const forgets of [false, true]) {
      const before = (await tasks()).map((task) => task.id);
      await platform.end('SIGINT');
      const left = await platform.residue();
      expect(left.filter((each) => each.startsWith('process'))).not.toEqual([]);
      const scope = readFileSync(join(platform.data, 'runtime/scope.json'), 'utf8');
      if (forgets) rmSync(join(platform.data, 'runtime/scope.json'));
      const down = await platform.must('down');
      expect(down.stdout).toMatch(/^2 containers taken away/);
      writeFileSync(join(platform.data, 'runtime/scope.json'), scope);
      expect(await platform.residue()).toEqual([]);
      await platform.start();
      await platform.must('deploy', 'hello', '--env', `FORGETS=${String(forgets)}`);
      expect(await answers()).toEqual(['release 1\n', 'release 1\n']);
      const after = (await tasks()).map((task) => task.id);
      expect(after.filter((id) => before.includes(id))).toEqual([]);
    }
    const nothing = await runCommand(process.execPath, ['bin/wharf.cjs', 'down', '--data', '/nowhere']);
    expect(nothing).toMatchObject({ exitCode: 4, stderr: expect.stringContaining('PLATFORM_NOT_FOUND') as unknown });
  }, 180_000);

  test('ends like any program when nobody reads what it says', async () => {
    const script = '{ "$0" bin/wharf.cjs ps --data "$1"; echo $? >&2; } | :';
    const unread = await runCommand('sh', ['-c', script, process.execPath, platform.data]);
    expect(unread.stderr).toBe('141\n');
  });

  test('goes on showing what a task writes while it is started again', async () => {
    const count = 'trap exit TERM; i=0; while test $i -lt 600; do echo $i; i=$((i+1)); sleep 0.1; done';
    const body = JSON.stringify({ image: 'busybox:1', command: ['sh', '-c', count] });
    const headers = { 'content-type': 'application/json' };
    const { id } = (await (
      await platform.api('/v1/clusters/main/tasks', { method: 'POST', headers, body })
    ).json()) as {
      id: string;
    };
    const args = ['bin/wharf.cjs', 'logs', id, '-f', '--data', platform.data];
    const follower = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let said = '';
    follower.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const ended = once(follower, 'close');
    const goesOn = async (): Promise<void> => {
      for (const before = said.length; said.length === before;) await once(follower.stdout, 'data');
    };
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      await goesOn();
      await platform.end(signal);
      await platform.start();
      await goesOn();
    }
    await platform.must('stop', id);
    expect(await ended).toEqual([0, null]);
    const lines = said.trimEnd().split('\n');
    expect(lines).toEqual(lines.map((_, i) => String(i)));
    expect((await platform.must('logs', id)).stdout).toBe(said);
  }, 60_000);

  test('runs a command in a running container and leaves with its exit code', async () => {
    const good = await platform.wharf('exec', 'hello', '--', 'sh', '-c', 'cat /proc/1/comm; echo aside >&2; exit 9');
    expect(good).toMatchObject({ exitCode: 9, stderr: 'aside\n' });
    expect(good.stdout).not.toBe('');
    expect(await platform.wharf('exec', 'hello', '--', '/bin/nope')).toMatchObject({ exitCode: 127 });
    expect((await platform.wharf('exec', '-t', 'hello', '--', 'sh')).stderr).toContain('NO_TERMINAL');
    // Keeps a terminal for its child, and leaves with the child's exit code.
    const inTerminal = `${process.execPath} bin/wharf.cjs exec --data ${platform.data} -it hello -- sh`;
    const typed = `printf 'tty; exit 9\\n' | script -qec '${inTerminal}' /dev/null`;
    const shell = await runCommand('sh', ['-c', typed]);
    expect(shell).toMatchObject({ exitCode: 9, stdout: expect.stringMatching(/^\/dev\/pts\/\d+\r$/m) as unknown });
    const refused = await platform.wharf('exec', '--container', 'other', 'hello', '--', 'true');
    expect(refused).toMatchObject({ exitCode: 4, stderr: expect.stringContaining('CONTAINER_NOT_FOUND') });
    const plain = await platform.api(`/v1/clusters/main/tasks/${(await tasks())[0]?.id ?? ''}/exec?command=true`, {
      method: 'POST',
    });
    expect(plain.status).toBe(400);
    expect(await plain.json()).toMatchObject({ code: 'UPGRADE_REQUIRED' });
  }, 60_000);

  test('refuses a second process on the same folder, by the id of the first', async () => {
    const second = await platform.wharf('up', '--listen', '127.0.0.1:0');
    expect(second.exitCode).toBe(5);
    expect(second.stderr).toMatch(/process \d+ runs a platform on/);
  }, 60_000);

  test('says that its port is taken, and ends', async () => {
    const listen = ['--listen', new URL(platform.ready?.url ?? '').host];
    for (const command of ['up', 'engine']) {
      const data = join(platform.folder, `second-${command}`);
      const second = await runCommand(process.execPath, ['bin/wharf.cjs', command, '--data', data, ...listen]);
      // A conflict; one that had to be killed would have ended otherwise.
      expect(second).toMatchObject({ exitCode: 5, stderr: expect.stringContaining('ADDRESS_IN_USE') as unknown });
    }
  }, 60_000);

  describe('when a build cannot be done, says why in one sentence with a stable code', () => {
    /** A context with this Dockerfile, built from the command line. */
    async function failedBuild(dockerfile: string): Promise<string> {
      const folder = join(platform.folder, `case-${digestHex(digestOf(dockerfile)).slice(0, 8)}`);
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, 'Dockerfile'), dockerfile);
      const { exitCode, stderr } = await platform.wharf('build', folder, '-t', 'bad', '--progress', 'plain');
      expect(exitCode).not.toBe(0);
      return stderr;
    }

    test.each([
      ['an unknown instruction', 'FROM busybox:1\nRUNN true\n', ['Dockerfile:2', 'RUNN', 'RUN']],
      ['an unknown base image', 'FROM nowhere:1\n', ['BUILD_BASE_UNKNOWN', 'nowhere:1', 'Dockerfile:1']],
      [
        'a missing source',
        'FROM busybox:1\nCOPY absent.txt /\n',
        ['BUILD_COPY_SOURCE_MISSING', 'absent.txt', 'Dockerfile:2'],
      ],
      [
        'a failing command',
        'FROM busybox:1\nRUN echo before; exit 7\n',
        ['BUILD_RUN_FAILED', '7', 'before', 'Dockerfile:2'],
      ],
    ])(
      '%s',
      async (_, dockerfile, parts) => {
        const said = await failedBuild(dockerfile);
        for (const part of parts) expect(said).toContain(part);
      },
      60_000,
    );
  });

  test('refuses a context that leaves its folder, by the name of the entry', async () => {
    const folder = join(platform.folder, 'escape');
    mkdirSync(folder, { recursive: true });
    for (const name of ['../outside', '/etc/absolute']) {
      const made = await runCommand('python3', ['-c', TAR_WITH, join(folder, 'bad.tar'), name]);
      expect(made.stderr).toBe('');
      const { exitCode, stdout } = await runCommand('curl', [
        ...['-s', '-T', join(folder, 'bad.tar'), '-X', 'POST'],
        ...['-H', `Authorization: Bearer ${platform.ready?.token}`, '-H', 'Content-Type: application/x-tar'],
        `${platform.ready?.url}/v1/builds?tag=bad`,
      ]);
      expect(exitCode).toBe(0);
      expect(stdout).toContain(name);
      expect(stdout).toMatch(/TAR_UNSAFE_PATH|CONTEXT_/);
    }
  }, 60_000);
});

/** Writes a tar with one entry of any name: no packer of ours would. */
const TAR_WITH = `
import io, sys, tarfile
with tarfile.open(sys.argv[1], 'w') as tar:
    for name, text in (('Dockerfile', b'FROM scratch\\nCOPY . /\\n'), (sys.argv[2], b'x')):
        info = tarfile.TarInfo(name); info.size = len(text)
        tar.addfile(info, io.BytesIO(text))
`;
