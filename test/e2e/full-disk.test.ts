/** A disk without room: what is acknowledged is kept, what fills it can be ended, and the platform comes back. */
import { mkdirSync, rmSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import {
  ECSClient,
  RegisterTaskDefinitionCommand,
  RunTaskCommand,
  StopTaskCommand,
  waitUntilTasksRunning,
  waitUntilTasksStopped,
} from '@aws-sdk/client-ecs';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { digestOf } from '../../lib/oci/index.js';
import { requireTools } from '../host-tools.js';
import { PlatformProcess, runCommand } from './platform-process.js';

const KEYS = { accessKeyId: 'any', secretAccessKey: 'any' };
const SOON = { maxWaitTime: 60, minDelay: 1, maxDelay: 1 };

requireTools('root', 'runc', 'conmon', 'bridge', 'ip', 'iptables', 'mount').describe('a full disk', () => {
  let platform: PlatformProcess;
  let disk: string;
  beforeAll(async () => {
    platform = await PlatformProcess.create();
    disk = join(platform.folder, 'small-disk');
    mkdirSync(disk);
    const mounted = await runCommand('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', disk]);
    if (mounted.exitCode !== 0) throw new Error(mounted.stderr);
  });
  afterAll(async () => {
    await runCommand('umount', [disk]);
    expect(await platform.remove()).toEqual([]);
  }, 60_000);

  test('is told as 503, and loses nothing that was acknowledged', async () => {
    const full = await PlatformProcess.create(join(disk, 'data'));
    try {
      await full.start();
      const push = (bytes: Buffer): Promise<Response> =>
        full.api('/v2/app/blobs/uploads/', { method: 'POST' }).then((started) =>
          fetch(`${new URL(started.headers.get('location') ?? '', full.ready?.url).href}?digest=${digestOf(bytes)}`, {
            method: 'PUT',
            body: bytes,
            headers: { authorization: `Bearer ${full.ready?.token}` },
          }),
        );
      const statuses: number[] = [];
      const kept: Buffer[] = [];
      for (let i = 0; i < 12 && !statuses.includes(503); i += 1) {
        const bytes = Buffer.alloc(4 * 1024 * 1024, `blob ${i}`);
        const response = await push(bytes).catch(() => undefined);
        statuses.push(response?.status ?? 0);
        if (response?.status === 201) kept.push(bytes);
      }
      expect(statuses).toContain(201);
      expect(statuses.at(-1)).toBe(503);
      for (const bytes of kept) {
        const response = await full.api(`/v2/app/blobs/${digestOf(bytes)}`);
        expect(Buffer.from(await response.arrayBuffer()).equals(bytes)).toBe(true);
      }
    } finally {
      expect(await full.remove()).toEqual([]);
      rmSync(join(disk, 'data'), { recursive: true });
    }
  }, 120_000);

  test('does not keep the task that fills it from being ended, nor a platform that was killed on it from coming back', async () => {
    const full = await PlatformProcess.create(join(disk, 'data'));
    const { ecs } = await full.start();
    const client = new ECSClient({ endpoint: ecs, region: 'us-east-1', credentials: KEYS, maxAttempts: 1 });
    const cluster = 'main';
    const define = (family: string, command: readonly string[]): Promise<unknown> => {
      const container = { name: 'app', image: 'busybox:1', memory: 32, stopTimeout: 2, command: [...command] };
      return client.send(new RegisterTaskDefinitionCommand({ family, containerDefinitions: [container] }));
    };
    const run = async (taskDefinition: string): Promise<string> => {
      const { tasks } = await client.send(new RunTaskCommand({ cluster, taskDefinition }));
      return tasks?.[0]?.taskArn ?? '';
    };
    const filled = async (): Promise<void> => {
      for (const end = performance.now() + 30_000; (await statfs(disk)).bavail > 0; await delay(50)) {
        if (performance.now() > end) throw new Error('the disk is never full');
      }
    };
    try {
      const pushed = await runCommand(process.execPath, ['--import', 'tsx', 'scripts/base-image.ts', full.data]);
      if (pushed.exitCode !== 0) throw new Error(pushed.stderr);
      await full.must('cluster', 'create', cluster, '--instances', '1');
      await define('fill', ['sh', '-c', 'dd if=/dev/zero of=/much bs=1M; sleep 1000']);
      await define('job', ['sleep', '1000']);
      const filler = await run('fill');
      await filled();
      await expect(run('job')).rejects.toThrow('the data folder has no room to write');
      await client.send(new StopTaskCommand({ cluster, task: filler }));
      await waitUntilTasksStopped({ client, ...SOON }, { cluster, tasks: [filler] });
      await waitUntilTasksRunning({ client, ...SOON }, { cluster, tasks: [await run('job')] });

      await run('fill');
      await filled();
      await full.end('SIGKILL');
      expect((await full.must('down')).stdout).toBe('2 containers taken away\n');
      await full.start();
      await waitUntilTasksRunning({ client, ...SOON }, { cluster, tasks: [await run('job')] });
    } finally {
      client.destroy();
      expect(await full.remove()).toEqual([]);
    }
  }, 120_000);
});
