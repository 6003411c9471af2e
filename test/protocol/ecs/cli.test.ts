/** The unmodified `aws ecs` of the distribution against the engine. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { requireTools } from '../../host-tools.js';
import { startEcsServer, type EcsServer } from './ecs-server.js';

const run = promisify(execFile);
const LONG_MS = 90_000;

requireTools('aws').describe('the aws command', () => {
  let server: EcsServer;
  /** Holds what the command looks for before it asks anybody; it is never run. */
  let plugins: string;
  beforeAll(async () => {
    server = await startEcsServer();
    plugins = await mkdtemp(join(tmpdir(), 'wharf-plugin-'));
    await writeFile(join(plugins, 'session-manager-plugin'), '#!/bin/sh\n', { mode: 0o755 });
  });
  afterAll(async () => {
    await server.close();
    await rm(plugins, { recursive: true, force: true });
  });

  async function aws(...args: string[]): Promise<Record<string, unknown>> {
    const { stdout } = await run('aws', ['ecs', ...args, '--endpoint-url', server.url, '--output', 'json'], {
      env: {
        PATH: `${plugins}:${process.env['PATH'] ?? ''}`,
        HOME: '/nonexistent',
        AWS_ACCESS_KEY_ID: 'test',
        AWS_SECRET_ACCESS_KEY: 'test',
        AWS_DEFAULT_REGION: 'eu-central-1',
        AWS_EC2_METADATA_DISABLED: 'true',
        AWS_PAGER: '',
      },
    });
    return stdout.trim() === '' ? {} : (JSON.parse(stdout) as Record<string, unknown>);
  }

  test(
    'makes a cluster, runs a task, rolls a service and cleans up',
    async () => {
      expect(await aws('create-cluster')).toMatchObject({ cluster: { clusterName: 'default', status: 'ACTIVE' } });
      await aws(
        'register-container-instance',
        '--total-resources',
        'name=CPU,type=INTEGER,integerValue=1024',
        'name=MEMORY,type=INTEGER,integerValue=2048',
      );
      await aws(
        'register-task-definition',
        '--family',
        'web',
        '--container-definitions',
        '[{"name":"app","image":"hello:1","memory":64}]',
      );
      const { tasks } = (await aws('run-task', '--task-definition', 'web')) as { tasks: { taskArn: string }[] };
      await aws('wait', 'tasks-running', '--tasks', tasks[0]?.taskArn ?? '');
      await aws('create-service', '--service-name', 'site', '--task-definition', 'web:1', '--desired-count', '2');
      await aws('wait', 'services-stable', '--services', 'site');
      const { services } = await aws('describe-services', '--services', 'site');
      expect(services).toMatchObject([{ runningCount: 2, serviceName: 'site' }]);
      const { taskArns } = (await aws('list-tasks', '--service-name', 'site')) as { taskArns: string[] };
      expect(taskArns).toHaveLength(2);
      await aws('stop-task', '--task', tasks[0]?.taskArn ?? '');
      await aws('delete-service', '--service', 'site', '--force');
      await expect(aws('describe-tasks', '--cluster', 'none', '--tasks', 'x')).rejects.toThrow(
        /ClusterNotFoundException.*Cluster not found/,
      );
    },
    LONG_MS,
  );

  test(
    'is told to use wharf exec for a command in a container',
    async () => {
      const command = ['execute-command', '--task', '0'.repeat(32), '--interactive', '--command', 'sh'];
      await expect(aws(...command)).rejects.toThrow(/ClientException.*use `wharf exec <task> -- <command>`/);
    },
    LONG_MS,
  );
});
