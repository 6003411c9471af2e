import { access, readdir, readFile, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import {
  type ContainerSpec,
  hostResidue,
  mountOverlay,
  Runc,
  type RunResult,
  unmountOverlay,
} from '../../lib/runtime/index.js';
import { requireTools } from '../host-tools.js';
import { type RuntimeFixture, runtimeFixture } from './runtime-fixture.js';

requireTools('root', 'runc', 'mount').describe('a build step', () => {
  let fixture: RuntimeFixture;
  let runc: Runc;
  beforeAll(async () => {
    fixture = await runtimeFixture();
    runc = await Runc.open(fixture);
  });
  afterAll(() => fixture.close());

  const run = async (
    spec: ContainerSpec,
    signal?: AbortSignal,
  ): Promise<RunResult & { stdout: string; stderr: string }> => {
    const output = { stdout: '', stderr: '' };
    const onOutput = (stream: 'stdout' | 'stderr', chunk: Buffer): void => {
      output[stream] += chunk.toString();
    };
    const result = await runc.run(spec, { onOutput, ...(signal === undefined ? {} : { signal }) });
    return { ...result, ...output };
  };

  test('hands over output, stream by stream, and the exit code', async () => {
    const spec = await fixture.container('step-output', 'echo out; echo err >&2; exit 7');
    await expect(run(spec)).resolves.toEqual({ exitCode: 7, outOfMemory: false, stdout: 'out\n', stderr: 'err\n' });
  });

  test('reports a process ended by a signal as 128 and its number', async () => {
    const spec = await fixture.container('step-signal', 'sh -c "kill -TERM \\$\\$"; exit $?');
    expect((await run(spec)).exitCode).toBe(143);
  });

  test('runs as the user of its image, with that user’s groups and home', async () => {
    const spec = await fixture.container('step-user', 'id; echo $HOME; grep CapEff /proc/self/status');
    const { stdout } = await run({ ...spec, process: { ...spec.process, user: 'app' } });
    expect(stdout).toContain('uid=1000(app) gid=1000(app) groups=29(audio),1000(app)');
    expect(stdout).toContain('/home/app\n');
    expect(stdout).toMatch(/CapEff:\s+0000000000000000/);
  });

  test('sees no path of the host, only its own processes, and an interface lo', async () => {
    const script = 'cat /proc/self/mountinfo; ls /proc | grep -c "^[0-9]"; ls /sys/class/net; ls /';
    const { stdout } = await run(await fixture.container('step-view', script));
    expect(stdout).not.toContain(fixture.directory);
    expect(stdout).not.toContain('/run/wharf');
    expect(stdout).toMatch(/\nlo\n/);
    expect(stdout).not.toContain('eth0');
    expect(Number(/^(\d+)$/m.exec(stdout)?.[1])).toBeLessThan(6);
  });

  test('may not mount, load modules or see raw devices', async () => {
    const script =
      'mount -t tmpfs none /tmp && echo mounted; ls /dev | grep -c "^[sv]d"; echo x > /proc/sysrq-trigger && echo wrote';
    const { stdout } = await run(await fixture.container('step-locked', script));
    expect(stdout).not.toContain('mounted');
    expect(stdout).not.toContain('wrote');
    expect(stdout).toMatch(/^0$/m);
  });

  test('leaves in the upper folder what it changed, and of mount points those that every root has', async () => {
    const spec = await fixture.container('step-upper', 'echo new > /tmp/file; rm /www/index.html');
    const root = join(fixture.scope.directory, 'roots', 'step-upper');
    const before = new Date('2001-02-03T04:05:06Z');
    await utimes(join(root, 'rootfs', 'etc'), before, before);
    await run(spec);
    const left = await readdir(join(root, 'upper'), { recursive: true });
    expect(left.sort()).toEqual(['dev', 'etc', 'proc', 'sys', 'tmp', 'tmp/file', 'www', 'www/index.html']);
    expect((await stat(join(root, 'upper', 'www/index.html'))).isCharacterDevice()).toBe(true);
    expect((await stat(join(root, 'upper', 'etc'))).mtime).toEqual(before);
    await expect(access(join(root, 'rootfs', 'etc', 'hosts'))).rejects.toThrow('ENOENT');
  });

  test('is told from a program that is missing', async () => {
    const spec = await fixture.container('step-missing', '');
    const missing = { ...spec, process: { ...spec.process, args: ['/bin/nope'] } };
    await expect(run(missing)).rejects.toMatchObject({
      code: 'CONTAINER_START_FAILED',
      message: 'exec: "/bin/nope": stat /bin/nope: no such file or directory',
    });
  });

  test('that takes more memory than its limit is killed, and the reason is known', async () => {
    const spec = await fixture.container('step-memory', 'dd if=/dev/zero of=/dev/null bs=200M count=1', {
      limits: { memoryBytes: 32 * 1024 * 1024 },
    });
    await expect(run(spec)).resolves.toMatchObject({ exitCode: 137, outOfMemory: true });
  });

  test('that is aborted dies with all its children', async () => {
    const abort = new AbortController();
    const spec = await fixture.container('step-abort', 'trap "" TERM; sleep 1000 & echo ready; sleep 1000');
    const running = runc.run(spec, {
      signal: abort.signal,
      onOutput: () => abort.abort(new Error('the client went away')),
    });
    await expect(running).rejects.toThrow('the client went away');
    const residue = await hostResidue(fixture.scope);
    expect(residue.filter((line) => !/^(mount|folder)/.test(line))).toEqual([]);
  });

  test('can have a root without anything to write to', async () => {
    const target = join(fixture.scope.directory, 'roots/plain/rootfs');
    const layer = 'layers/a';
    await mountOverlay({ directory: fixture.scope.directory, lowers: [layer], target });
    await expect(readFile(join(target, 'etc/passwd'), 'utf8')).resolves.toContain('app:');
    await expect(utimes(join(target, 'etc'), 0, 0)).rejects.toThrow('EROFS');
    await unmountOverlay(target);
    await unmountOverlay(target);
    await expect(readdir(target)).resolves.toEqual([]);
  });

  test('refuses more layers than the kernel takes, and names that would change the mount', async () => {
    const { directory } = fixture.scope;
    const many = Array.from({ length: 900 }, (_, i) => `layers/${i}`);
    await expect(mountOverlay({ directory, lowers: many, target: 'roots/many' })).rejects.toMatchObject({
      code: 'OVERLAY_TOO_MANY_LAYERS',
    });
    await expect(
      mountOverlay({ directory, lowers: ['layers/a', 'b,upperdir=/etc'], target: 'roots/x' }),
    ).rejects.toMatchObject({
      code: 'OVERLAY_NAME_INVALID',
    });
  });
});
