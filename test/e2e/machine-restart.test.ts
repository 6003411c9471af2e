/**
 * A restart of the machine: what is on the disk stays, and nothing else of a platform does. Services run again, what ran
 * is told to have ended, and its log is there.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  DescribeServicesCommand,
  DescribeTasksCommand,
  ECSClient,
  ListTasksCommand,
  RegisterTaskDefinitionCommand,
  RunTaskCommand,
  type Task,
  waitUntilServicesStable,
  waitUntilTasksRunning,
  waitUntilTasksStopped,
} from '@aws-sdk/client-ecs';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { sweepHost } from '../../lib/runtime/index.js';
import { systemClock } from '../../lib/store/system/clock-system.js';
import { requireTools } from '../host-tools.js';
import { PlatformProcess, runCommand } from './platform-process.js';

const SOON = { maxWaitTime: 60, minDelay: 1, maxDelay: 1 };

requireTools('root', 'runc', 'conmon', 'bridge', 'ip', 'iptables', 'busybox').describe(
  'after a restart of the machine',
  () => {
    let platform: PlatformProcess;
    let client: ECSClient;
    beforeAll(async () => {
      platform = await PlatformProcess.create();
      const { ecs } = await platform.start();
      const credentials = { accessKeyId: 'any', secretAccessKey: 'any' };
      client = new ECSClient({ endpoint: ecs, region: 'us-east-1', credentials });
      const pushed = await runCommand(process.execPath, ['--import', 'tsx', 'scripts/base-image.ts', platform.data]);
      if (pushed.exitCode !== 0) throw new Error(pushed.stderr);
      await platform.must('cluster', 'create', 'main', '--instances', '2');
      await platform.must('build', 'examples/hello', '-t', 'hello:1');
      await platform.must('deploy', 'hello', '--image', 'hello:1', '--count', '2');
    });
    afterAll(async () => {
      client.destroy();
      expect(await platform.remove()).toEqual([]);
    });

    /** The power goes: no process ends in order, and of the host nothing is left but the data folder. */
    async function losePower(): Promise<void> {
      await platform.end('SIGKILL');
      const directory = join(platform.data, 'runtime');
      const { id } = JSON.parse(readFileSync(join(directory, 'scope.json'), 'utf8')) as { id: string };
      const scope = { id, directory };
      // Supervisors first: nobody writes down how the containers end.
      for (const line of await platform.residue()) {
        const supervisor = /^process (\d+): \S*conmon /.exec(line)?.[1];
        if (supervisor !== undefined) process.kill(Number(supervisor), 'SIGKILL');
      }
      await sweepHost({ scope, clock: systemClock }, new Set());
      expect(await platform.residue()).toEqual([]);
    }

    const described = async (arns: readonly string[]): Promise<readonly Task[]> =>
      (await client.send(new DescribeTasksCommand({ cluster: 'main', tasks: [...arns] }))).tasks ?? [];
    const running = async (): Promise<readonly string[]> =>
      (await client.send(new ListTasksCommand({ cluster: 'main', serviceName: 'hello' }))).taskArns ?? [];

    test('services run again, and of each task that ran is told how it ended', async () => {
      const before = await running();
      const app = { name: 'app', image: 'busybox:1', memory: 32, command: ['sh', '-c', 'echo begun; sleep 1000'] };
      await client.send(new RegisterTaskDefinitionCommand({ family: 'job', containerDefinitions: [app] }));
      const { tasks } = await client.send(new RunTaskCommand({ cluster: 'main', taskDefinition: 'job' }));
      const job = tasks?.[0]?.taskArn ?? '';
      await waitUntilTasksRunning({ client, ...SOON }, { cluster: 'main', tasks: [job] });

      await losePower();
      await platform.start();

      await waitUntilTasksStopped({ client, ...SOON }, { cluster: 'main', tasks: [job, ...before] });
      for (const task of await described([job, ...before])) {
        expect(task).toMatchObject({
          stopCode: 'EssentialContainerExited',
          stoppedReason: 'Essential container in task exited',
          containers: [{ lastStatus: 'STOPPED', reason: expect.stringMatching(/^ContainerVanishedError: /) }],
        });
        expect(task.containers?.[0]?.exitCode).toBeUndefined();
      }
      expect((await platform.must('logs', job.split('/').at(-1) ?? '', '--cluster', 'main')).stdout).toContain('begun');

      await waitUntilServicesStable({ client, ...SOON }, { cluster: 'main', services: ['hello'] });
      const after = await running();
      expect(after).toHaveLength(2);
      expect(after.filter((arn) => before.includes(arn))).toEqual([]);
      await waitUntilTasksRunning({ client, ...SOON }, { cluster: 'main', tasks: [...after] });
      for (const { containers } of await described(after)) {
        const port = containers?.[0]?.networkBindings?.[0]?.hostPort;
        expect(await (await fetch(`http://127.0.0.1:${String(port)}/release.txt`)).text()).toBe('release 1\n');
      }
      const { services } = await client.send(new DescribeServicesCommand({ cluster: 'main', services: ['hello'] }));
      expect(services).toMatchObject([{ deployments: [{ rolloutState: 'COMPLETED', failedTasks: 0 }] }]);
    });
  },
);
