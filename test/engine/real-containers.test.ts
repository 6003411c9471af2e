/** Engine and agent together with real containers: a service answers, survives a restart of both, rolls over, ends. */
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createEngine, type Engine } from '../../lib/engine/index.js';
import { hostResidue, sweepHost } from '../../lib/runtime/index.js';
import { systemClock } from '../../lib/store/system/clock-system.js';
import { silentLogger } from '../../lib/store/index.js';
import { openAgentHost, pushBusybox, type AgentHost } from '../engine-agent/agent-host.js';
import { createTestStore, type TestStore } from '../fakes/embedded-store.js';
import { requireTools } from '../host-tools.js';
import type { Body, ServiceBody, TaskBody } from './engine-fixture.js';

const LONG_MS = 60_000;

requireTools('root', 'runc', 'conmon', 'ip', 'iptables', 'bridge', 'busybox').describe('the engine', () => {
  let directory: string;
  let store: TestStore;
  let host: AgentHost;
  let engine: Engine;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'wharf-engine-'));
    store = await createTestStore();
    await open();
    await pushBusybox(host, 'web', { Cmd: ['/bin/httpd', '-f', '-p', '80', '-h', '/www'] });
  });
  afterAll(async () => {
    await close();
    await store.close();
    try {
      await sweepHost({ scope: host.scope, clock: systemClock }, new Set());
      expect(await hostResidue(host.scope)).toEqual([]);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });

  async function open(): Promise<void> {
    host = await openAgentHost(directory);
    engine = createEngine(
      { records: store.records, agent: host.agent, clock: systemClock, ids: store.ids, logger: silentLogger },
      { region: 'eu-central-1', accountId: '123456789012', healthyAfterRunningMs: 0 },
    );
    await engine.start();
  }
  async function close(): Promise<void> {
    await engine.stop();
    await host.close();
  }

  async function ecs(operation: string, input: object = {}): Promise<Body> {
    const headers = { 'x-amz-target': `AmazonEC2ContainerServiceV20141113.${operation}` };
    const request = new Request('http://engine/', { method: 'POST', headers, body: JSON.stringify(input) });
    const response = await engine.fetch(request);
    const body = (await response.json()) as Body;
    if (!response.ok) throw new Error(`${operation}: ${JSON.stringify(body)}`);
    return body;
  }
  async function serviceIs(holds: (service: ServiceBody) => boolean): Promise<void> {
    const end = performance.now() + LONG_MS / 2;
    for (;;) {
      const [service] = (await ecs('DescribeServices', { services: ['web'] })).services ?? [];
      if (service !== undefined && holds(service)) return;
      if (performance.now() > end) throw new Error(`never came about: ${JSON.stringify(service, undefined, 1)}`);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  const stable = (revision: number) => (service: ServiceBody) =>
    service.runningCount === 2 &&
    service.deployments.length === 1 &&
    service.deployments[0]?.rolloutState === 'COMPLETED' &&
    service.taskDefinition.endsWith(`:${String(revision)}`);
  async function tasks(): Promise<readonly TaskBody[]> {
    const { taskArns } = await ecs('ListTasks', { serviceName: 'web' });
    return (await ecs('DescribeTasks', { tasks: taskArns })).tasks ?? [];
  }
  const runtimeIds = async (): Promise<string[]> =>
    (await tasks())
      .map((task) => (task.containers[0] as { runtimeId?: string } | undefined)?.runtimeId ?? '')
      .toSorted();

  /** What another task of the cluster finds: the service by its name, and itself by the metadata endpoint. */
  async function seenFromInside(): Promise<readonly string[]> {
    const look = 'wget -q -O - http://web.default/; wget -q -O - $ECS_CONTAINER_METADATA_URI_V4/task';
    const app = { name: 'app', image: 'web:1', memory: 32, user: 'root', command: ['/bin/sh', '-c', look] };
    await ecs('RegisterTaskDefinition', { family: 'look', containerDefinitions: [app] });
    const [task] = (await ecs('RunTask', { taskDefinition: 'look' })).tasks ?? [];
    const lines: string[] = [];
    for await (const line of engine.logs(task?.taskArn ?? '', 'app', { follow: true }) ?? []) lines.push(line.text);
    return lines;
  }

  test(
    'runs a service of real containers, adopts them after a restart, rolls over and leaves nothing behind',
    async () => {
      await ecs('CreateCluster');
      for (let count = 0; count < 2; count += 1) {
        await ecs('RegisterContainerInstance', {
          totalResources: [
            { name: 'CPU', integerValue: 1024 },
            { name: 'MEMORY', integerValue: 1024 },
          ],
        });
      }
      const definition = {
        family: 'web',
        containerDefinitions: [
          {
            name: 'app',
            image: 'web:1',
            memory: 32,
            portMappings: [{ containerPort: 80 }],
            stopTimeout: 1,
            user: 'root',
          },
        ],
      };
      await ecs('RegisterTaskDefinition', definition);
      await ecs('CreateService', { serviceName: 'web', taskDefinition: 'web', desiredCount: 2 });
      await serviceIs(stable(1));
      const first = await tasks();
      expect(new Set(first.map((task) => task.containerInstanceArn)).size).toBe(2);
      for (const task of first) {
        const port = task.containers[0]?.networkBindings[0]?.hostPort ?? 0;
        const answer = await fetch(`http://127.0.0.1:${String(port)}/`);
        expect(await answer.text()).toBe('hello from a task\n');
      }

      const before = await runtimeIds();
      await close();
      await open();
      await serviceIs(stable(1));
      expect(await runtimeIds()).toEqual(before);
      const [answer, metadata = ''] = await seenFromInside();
      expect(answer).toBe('hello from a task');
      const containers = [{ Name: 'app', Image: 'web:1', LogDriver: 'json-file', ContainerARN: expect.any(String) }];
      expect(JSON.parse(metadata)).toMatchObject({
        Cluster: expect.stringMatching(/\/default$/),
        Containers: containers,
      });

      await ecs('RegisterTaskDefinition', definition);
      await ecs('UpdateService', { service: 'web', taskDefinition: 'web' });
      await serviceIs(stable(2));
      expect(await runtimeIds()).not.toEqual(expect.arrayContaining(before));

      await ecs('DeleteService', { service: 'web', force: true });
      await serviceIs((service) => service.status === 'INACTIVE');
      expect((await hostResidue(host.scope)).filter((line) => before.some((id) => line.includes(id)))).toEqual([]);
    },
    LONG_MS,
  );

  test(
    'a service whose first starts find no network goes on to a steady state, and leaves nothing of them',
    async () => {
      const { network } = host;
      const attach = network.attach.bind(network);
      let failures = 0;
      network.attach = (id, options) => {
        const joinable: NonNullable<typeof options>['joinable'] = (attachment) => {
          options?.joinable?.(attachment);
          failures += 1;
          // While the container is being set up in it.
          if (failures <= 2) execFileSync('ip', ['netns', 'delete', basename(attachment.netnsPath)]);
        };
        return attach(id, { ...options, joinable });
      };
      await ecs('CreateService', { serviceName: 'web', taskDefinition: 'web', desiredCount: 2 });
      await serviceIs((service) => service.runningCount === 2 && service.deployments[0]?.rolloutState === 'COMPLETED');
      const { taskArns: stopped } = await ecs('ListTasks', { serviceName: 'web', desiredStatus: 'STOPPED' });
      const failed = ((await ecs('DescribeTasks', { tasks: stopped })).tasks ?? []).filter(
        ({ stopCode }) => stopCode === 'TaskFailedToStart',
      );
      expect(failed).toMatchObject(
        [1, 2].map(() => ({
          stoppedReason: 'Task failed to start',
          containers: [{ reason: expect.stringMatching(/^CannotStartContainerError: .* got no network/) }],
        })),
      );
      const residue = await hostResidue(host.scope);
      const ids = failed.map(({ taskArn }) => taskArn.split('/').at(-1) ?? '');
      expect(residue.filter((line) => ids.some((id) => line.includes(id)))).toEqual([]);
      await ecs('DeleteService', { service: 'web', force: true });
      await serviceIs((service) => service.status === 'INACTIVE');
    },
    LONG_MS,
  );
});
