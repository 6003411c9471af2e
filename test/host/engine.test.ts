/** The engine alone: its door, its face as a library, and images of other registries. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import {
  CreateClusterCommand,
  CreateServiceCommand,
  DeleteServiceCommand,
  DescribeServicesCommand,
  DescribeTasksCommand,
  ECSClient,
  RegisterContainerInstanceCommand,
  RegisterTaskDefinitionCommand,
  RunTaskCommand,
  waitUntilServicesInactive,
  waitUntilServicesStable,
  waitUntilTasksRunning,
} from '@aws-sdk/client-ecs';
import { type EngineHostOptions, type RunningEngine, startEngine } from '../../lib/host/embedded/engine-alone.js';
import { pushBusybox } from '../engine-agent/agent-host.js';
import { createTestStore } from '../fakes/embedded-store.js';
import { requireTools } from '../host-tools.js';
import { startTestRegistry } from '../protocol/registry/registry-server.js';

const run = promisify(execFile);
const LONG_MS = 120_000;
const KEYS = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'a secret of the test' };

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wharf-engine-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function start(options: Partial<EngineHostOptions> = {}): Promise<RunningEngine> {
  return startEngine({ data: folder, listen: { host: '127.0.0.1', port: 0 }, runtime: 'simulated', ...options });
}

async function runOne(client: ECSClient, image: string, container: object = {}): Promise<string> {
  await client.send(new CreateClusterCommand({}));
  const totalResources = ['CPU', 'MEMORY'].map((name) => ({ name, type: 'INTEGER', integerValue: 1024 }));
  await client.send(new RegisterContainerInstanceCommand({ totalResources }));
  const containerDefinitions = [{ name: 'app', image, memory: 64, ...container }];
  await client.send(new RegisterTaskDefinitionCommand({ family: 'app', containerDefinitions }));
  const { tasks } = await client.send(new RunTaskCommand({ taskDefinition: 'app' }));
  return tasks?.[0]?.taskArn ?? '';
}

requireTools('aws').describe('the engine alone, with keys', () => {
  test(
    'serves the unmodified aws command that signs with them, and no other',
    async () => {
      const engine = await start({ keys: KEYS, region: 'eu-west-3', accountId: '123456789012' });
      try {
        const aws = async (
          secret: string,
          args: string | readonly string[],
          env: Readonly<Record<string, string>> = {},
        ): Promise<Record<string, unknown>> => {
          const { stdout } = await run('aws', ['ecs', ...[args].flat(), '--output', 'json'], {
            env: {
              PATH: process.env['PATH'] ?? '',
              HOME: '/nonexistent',
              AWS_ENDPOINT_URL_ECS: engine.url,
              AWS_ACCESS_KEY_ID: KEYS.accessKeyId,
              AWS_SECRET_ACCESS_KEY: secret,
              AWS_DEFAULT_REGION: 'eu-west-3',
              AWS_EC2_METADATA_DISABLED: 'true',
              ...env,
            },
          });
          return JSON.parse(stdout) as Record<string, unknown>;
        };
        expect(await aws(KEYS.secretAccessKey, 'create-cluster')).toMatchObject({
          cluster: { clusterArn: 'arn:aws:ecs:eu-west-3:123456789012:cluster/default' },
        });
        await expect(aws('another', 'list-clusters')).rejects.toThrow('InvalidSignatureException');
        const stranger = aws(KEYS.secretAccessKey, 'list-clusters', { AWS_ACCESS_KEY_ID: 'AKIDSTRANGER' });
        await expect(stranger).rejects.toThrow('UnrecognizedClientException');
        const unsigned = aws(KEYS.secretAccessKey, ['list-clusters', '--no-sign-request']);
        await expect(unsigned).rejects.toThrow('MissingAuthenticationTokenException');
        const elsewhere = aws(KEYS.secretAccessKey, 'list-clusters', { AWS_DEFAULT_REGION: 'eu-west-1' });
        await expect(elsewhere).rejects.toThrow("scoped to a valid region: 'eu-west-3', not 'eu-west-1'");
      } finally {
        await engine.close();
      }
    },
    LONG_MS,
  );
});

requireTools('aws').describe('the aws command', () => {
  test(
    'waits for a DAEMON service to be stable, and for its end',
    async () => {
      const engine = await start();
      const client = new ECSClient({
        endpoint: engine.url,
        region: 'us-east-1',
        credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
      });
      const aws = (...args: readonly string[]): Promise<unknown> =>
        run('aws', ['ecs', ...args], {
          env: {
            PATH: process.env['PATH'] ?? '',
            HOME: '/nonexistent',
            AWS_ENDPOINT_URL_ECS: engine.url,
            AWS_ACCESS_KEY_ID: 'a',
            AWS_SECRET_ACCESS_KEY: 'b',
            AWS_DEFAULT_REGION: 'us-east-1',
            AWS_EC2_METADATA_DISABLED: 'true',
          },
        });
      const totalResources = ['CPU', 'MEMORY'].map((name) => ({ name, type: 'INTEGER', integerValue: 1024 }));
      const containerDefinitions = [{ name: 'app', image: 'nginx:1', memory: 16 }];
      const service = { serviceName: 'agent', taskDefinition: 'agent', schedulingStrategy: 'DAEMON' } as const;
      try {
        await client.send(new CreateClusterCommand({}));
        for (const _ of [1, 2]) await client.send(new RegisterContainerInstanceCommand({ totalResources }));
        await client.send(new RegisterTaskDefinitionCommand({ family: 'agent', containerDefinitions }));
        await client.send(new CreateServiceCommand(service));
        // The command looks again after fifteen seconds only: this one makes sure that its first look is enough.
        await waitUntilServicesStable({ client, maxWaitTime: 60, minDelay: 1, maxDelay: 1 }, { services: ['agent'] });
        await aws('wait', 'services-stable', '--services', 'agent');
        const { services } = await client.send(new DescribeServicesCommand({ services: ['agent'] }));
        expect(services).toMatchObject([{ schedulingStrategy: 'DAEMON', runningCount: 2, desiredCount: 2 }]);
        await client.send(new DeleteServiceCommand({ service: 'agent', force: true }));
        await waitUntilServicesInactive({ client, maxWaitTime: 60, minDelay: 1, maxDelay: 1 }, { services: ['agent'] });
        await aws('wait', 'services-inactive', '--services', 'agent');
      } finally {
        client.destroy();
        await engine.close({ stopTasks: true });
      }
    },
    LONG_MS,
  );
});

describe('the engine alone', () => {
  test('runs tasks in the simulated runtime, keeps them over a restart, and says what it is', async () => {
    let engine = await start();
    const client = (): ECSClient =>
      new ECSClient({
        endpoint: engine.url,
        region: 'us-east-1',
        credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
      });
    try {
      const about = await fetch(engine.url);
      expect(await about.json()).toMatchObject({ service: 'wharf engine', runtime: 'simulated' });
      const registry = await fetch(`${engine.url}/v2/`);
      expect(registry.status).toBe(404);
      const message = expect.stringContaining('a push to `wharf up`') as unknown;
      expect(await registry.json()).toEqual({ errors: [{ code: 'UNSUPPORTED', message }] });
      const arn = await runOne(client(), 'nginx:1');
      await waitUntilTasksRunning({ client: client(), maxWaitTime: 60, minDelay: 1 }, { tasks: [arn] });
      await engine.close();
      engine = await start();
      const { tasks } = await client().send(new DescribeTasksCommand({ tasks: [arn] }));
      expect(tasks).toMatchObject([
        { lastStatus: 'RUNNING', attributes: [{ name: 'wharf.runtime', value: 'simulated' }] },
      ]);
    } finally {
      await engine.close();
    }
  });

  test('listens beyond loopback only with keys', async () => {
    await expect(start({ listen: { host: '0.0.0.0', port: 0 } })).rejects.toMatchObject({ code: 'ENGINE_KEYS_WANTED' });
    await expect(start({ accountId: '12' })).rejects.toMatchObject({ code: 'ENGINE_ACCOUNT_INVALID' });
  });
});

requireTools('root', 'runc', 'conmon').describe('the engine alone with real containers', () => {
  test(
    'runs an image of another registry with the credentials kept for it',
    async () => {
      const store = await createTestStore();
      const other = await startTestRegistry(store);
      await pushBusybox({ content: store.content, images: other.registry }, 'team/app', {
        Cmd: ['/bin/sleep', '1000'],
      });
      const credentials = {
        credentialsFor: async (host: string) =>
          host === other.host ? { username: 'token', password: other.tokens.read } : undefined,
      };
      const engine = await start({ runtime: 'containers', credentials });
      const client = new ECSClient({
        endpoint: engine.url,
        region: 'us-east-1',
        credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
      });
      try {
        const arn = await runOne(client, `${other.host}/team/app:1`, { stopTimeout: 2 });
        await waitUntilTasksRunning({ client, maxWaitTime: 60, minDelay: 1 }, { tasks: [arn] });
        const { tasks } = await client.send(new DescribeTasksCommand({ tasks: [arn] }));
        expect(tasks?.[0]).toMatchObject({ lastStatus: 'RUNNING', attributes: [] });
        expect(tasks?.[0]?.containers?.[0]?.imageDigest).toMatch(/^sha256:/);
      } finally {
        client.destroy();
        await engine.close({ stopTasks: true });
        await other.close();
        await store.close();
      }
    },
    LONG_MS,
  );
});
