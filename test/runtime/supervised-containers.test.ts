import { execFileSync, spawn } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { OCI_RUNTIMES, type OciRuntime, scopePaths, SupervisedContainers } from '../../lib/runtime/index.js';
import { takeControllersFromV2 } from '../cgroup-controllers.js';
import { requireTools } from '../host-tools.js';
import { type RuntimeFixture, runtimeFixture } from './runtime-fixture.js';

for (const ociRuntime of OCI_RUNTIMES) {
  const host = requireTools('root', ociRuntime, 'conmon', 'mount');
  host.describe(`a supervised container of ${ociRuntime}`, () => suite(ociRuntime));
}

function suite(ociRuntime: OciRuntime): void {
  let fixture: RuntimeFixture;
  let containers: SupervisedContainers;
  let id = '';
  let giveBack = (): Promise<void> => Promise.resolve();
  beforeAll(async () => {
    if (ociRuntime === 'crun') giveBack = await takeControllersFromV2();
    fixture = await runtimeFixture();
    containers = new SupervisedContainers(fixture, { ociRuntime });
  });
  afterEach(() => containers.delete(id));
  afterAll(async () => {
    containers.close();
    await fixture.close();
    await giveBack();
  });

  const start = async (name: string, script: string, more = {}): Promise<void> => {
    id = name;
    await containers.create(await fixture.container(name, script, more));
    await containers.start(name);
  };
  const lines = async (name: string): Promise<string[]> => {
    const read: string[] = [];
    for await (const line of containers.log(name, { ended: () => true })) read.push(`${line.stream} ${line.text}`);
    return read;
  };
  /** Resolves when the container has written this line. */
  const wrote = async (name: string, text: string): Promise<void> => {
    for await (const line of containers.log(name, { follow: true, ended: () => false })) if (line.text === text) return;
  };

  test('does nothing before it is started, then logs and leaves its exit code', async () => {
    id = 'sup-life';
    await containers.create(await fixture.container(id, 'echo out; echo err >&2; exit 9'));
    await expect(containers.state(id)).resolves.toMatchObject({ status: 'created' });
    await expect(lines(id)).resolves.toEqual([]);
    await containers.start(id);
    await expect(containers.waitExit(id)).resolves.toMatchObject({ exitCode: 9 });
    await expect(containers.state(id)).resolves.toMatchObject({ status: 'exited', exit: { exitCode: 9 } });
    expect((await lines(id)).sort()).toEqual(['stderr err', 'stdout out']);
  });

  test('is started once, however many start it at the same time', async () => {
    id = 'sup-once';
    await containers.create(await fixture.container(id, 'echo begun; while ! test -e /tmp/go; do sleep 0.05; done'));
    const starts = await Promise.allSettled([containers.start(id), containers.start(id), containers.start(id)]);
    expect(starts.map(({ status }) => status)).toContain('fulfilled');
    await wrote(id, 'begun');
    await expect(containers.state(id)).resolves.toMatchObject({ status: 'running' });
    await expect(lines(id)).resolves.toEqual(['stdout begun']);
  });

  const ofRunc = ociRuntime === 'runc' ? test : undefined;
  ofRunc?.('runs, also where whoever started it was killed before its pipe was taken away', async () => {
    await start('sup-pipe', 'echo begun; while ! test -e /tmp/go; do sleep 0.05; done');
    await wrote(id, 'begun');
    execFileSync('mkfifo', [join(scopePaths.runtimeRoot(fixture.scope, 'runc'), id, 'exec.fifo')]);
    await expect(containers.state(id)).resolves.toMatchObject({ status: 'running' });
    await containers.delete(id);
    await expect(lines(id)).resolves.toEqual(['stdout begun']);
  });

  test('cannot be started once it has been killed before it ran', async () => {
    id = 'sup-late';
    await containers.create(await fixture.container(id, 'echo ran'));
    await containers.kill(id, 'SIGKILL');
    await containers.waitExit(id);
    await expect(containers.start(id)).rejects.toMatchObject({ code: 'CONTAINER_START_FAILED' });
    await expect(lines(id)).resolves.toEqual([]);
  });

  test('keeps log and exit code when it is deleted, until it is forgotten', async () => {
    await start('sup-forget', 'echo bye');
    await containers.waitExit(id);
    await containers.delete(id);
    await expect(lines(id)).resolves.toEqual(['stdout bye']);
    await containers.forget(id);
    await expect(lines(id)).resolves.toEqual([]);
    await expect(containers.state(id)).resolves.toEqual({ status: 'absent' });
  });

  test('gets the signal that is sent', async () => {
    await start('sup-signal', 'trap "echo got; exit 3" USR1; echo ready; while true; do sleep 0.05; done');
    await wrote(id, 'ready');
    await expect(containers.kill(id, 'SIGUSR1')).resolves.toBe(true);
    await expect(containers.waitExit(id)).resolves.toMatchObject({ exitCode: 3 });
    await expect(containers.kill(id, 'SIGUSR1')).resolves.toBe(false);
  });

  test('outlives the process that made it, and another finds its end', async () => {
    id = 'sup-outlive';
    const spec = await fixture.container(id, 'echo begun; while ! test -e /tmp/go; do sleep 0.05; done; exit 5');
    const child = spawn(process.execPath, ['--import', 'tsx', join('test', 'runtime', 'start-and-hang.ts')], {
      env: {
        ...process.env,
        NODE_OPTIONS: '',
        WHARF_SPEC: JSON.stringify(spec),
        WHARF_SCOPE: fixture.scope.directory,
        WHARF_OCI_RUNTIME: ociRuntime,
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = new Promise((resolve) => child.once('exit', (_, signal) => resolve(signal)));
    await new Promise((resolve) => child.stdout.once('data', resolve));
    child.kill('SIGKILL');
    await expect(ended).resolves.toBe('SIGKILL');
    await expect(containers.state(id)).resolves.toMatchObject({ status: 'running' });
    await containers.exec(id, ['/bin/touch', '/tmp/go'], { timeoutMs: 5000 });
    await expect(containers.waitExit(id)).resolves.toMatchObject({ exitCode: 5 });
    await expect(lines(id)).resolves.toEqual(['stdout begun']);
  });

  test('runs a command inside, and kills it when it takes too long', async () => {
    await start('sup-exec', 'sleep 1000', {
      process: { args: ['/bin/sleep', '1000'], env: ['A=b'], cwd: '/tmp', user: 'app' },
    });
    await expect(
      containers.exec(id, ['/bin/sh', '-c', 'echo $A $PWD; id -u; exit 4'], { timeoutMs: 10_000 }),
    ).resolves.toMatchObject({
      exitCode: 4,
      output: 'b /tmp\n1000\n',
      timedOut: false,
    });
    await expect(containers.exec(id, ['/bin/sleep', '1000'], { timeoutMs: 100 })).resolves.toMatchObject({
      timedOut: true,
    });
  });

  test('that takes more memory than its limit is killed, and the reason is known', async () => {
    await start('sup-memory', 'dd if=/dev/zero of=/dev/null bs=200M count=1', {
      limits: { memoryBytes: 32 * 1024 * 1024 },
    });
    await expect(containers.waitExit(id)).resolves.toMatchObject({ exitCode: 137 });
    await expect(containers.ranOutOfMemory(id)).resolves.toBe(true);
  });

  test('whose supervisor is killed is ended too, with no exit code claimed', async () => {
    await start('sup-orphan', 'echo ready; sleep 1000');
    await wrote(id, 'ready');
    const pid = Number(await readFile(join(scopePaths.supervisedBundle(fixture.scope, id), 'conmon.pid'), 'utf8'));
    process.kill(pid, 'SIGKILL');
    expect((await containers.waitExit(id)).exitCode).toBeUndefined();
  });

  test('is removed also where its runtime was killed before it had written down what it made', async () => {
    id = 'sup-half';
    const folder = join(scopePaths.runtimeRoot(fixture.scope, ociRuntime), id);
    await mkdir(folder, { recursive: true });
    for (const file of ['state.json', 'status']) await writeFile(join(folder, file), '{"id":');
    expect(await containers.list()).toContain(id);
    await containers.delete(id);
    expect(await containers.list()).not.toContain(id);
  });

  test('leaves nothing when it cannot be made', async () => {
    id = 'sup-missing';
    const spec = await fixture.container(id, '');
    await expect(
      containers.create({ ...spec, process: { ...spec.process, args: ['/bin/nope'] } }),
    ).rejects.toMatchObject({
      code: 'CONTAINER_START_FAILED',
      message: expect.stringMatching(/no such file/i),
    });
    await expect(containers.state(id)).resolves.toEqual({ status: 'absent' });
    await expect(containers.list()).resolves.toEqual([]);
  });
}
