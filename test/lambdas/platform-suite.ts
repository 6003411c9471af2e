/** The API and reconciler functions over ECS: deploy, copy to ECR, and the end of a deployment told by events. */
import { beforeAll, describe, expect, test } from '@jest/globals';
import type { EcsEvent } from '../../lib/platform/index.js';
import type { LambdaFunction } from '../fakes/lambda/function.js';
import { eventOf } from '../fakes/lambda/gateway.js';
import { Wire } from '../protocol/registry/wire.js';
import { buildImage, clientOf } from './builds.js';
import { ADMIN_TOKEN, type Cloud, DEPLOY_TOKEN, FUNCTIONS } from './cloud.js';
import { addCluster } from './instance.js';

const LONGEST_MS = 20_000;

async function until(what: string, holds: () => Promise<boolean> | boolean): Promise<void> {
  const end = performance.now() + LONGEST_MS;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`never came about: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function batchOf(bodies: readonly string[]): object {
  return {
    Records: bodies.map((body, index) => ({
      messageId: `m${index}`,
      receiptHandle: `r${index}`,
      body,
      attributes: { ApproximateReceiveCount: '1' },
    })),
  };
}

export function platformSuite(cloud: () => Cloud): void {
  const client = () => clientOf(cloud());
  const spec = { image: 'team/web:1', count: 2, ports: [{ container: 8080 }] };

  beforeAll(async () => {
    await addCluster(cloud().ecs, 'wharf', { instanceType: 't4g.small', cpu: 2048, memory: 2048 });
    await buildImage(cloud(), 'team/web:1', 'one');
  });

  describe('the API function', () => {
    test('answers who shows no token with a problem, and says that it lives to anyone', async () => {
      const refused = await fetch(`${cloud().gateway.url}/v1/clusters`);
      expect([refused.status, refused.headers.get('content-type')]).toEqual([401, 'application/problem+json']);
      expect(await (await fetch(`${cloud().gateway.url}/healthz`)).json()).toMatchObject({ status: 'ok' });
    });

    test('lets those deploy who show the token that the stack made for it, and no more than that', async () => {
      const headers = { authorization: `Bearer ${DEPLOY_TOKEN}`, host: 'x', 'content-type': 'application/json' };
      const ask = async (fn: Pick<LambdaFunction, 'invoke'>, method: string, url: string, body = '') =>
        (await fn.invoke<{ statusCode: number }>(eventOf({ method, url, headers }, Buffer.from(body)))).statusCode;
      expect(await ask(cloud().fn('api'), 'GET', '/v1/clusters')).toBe(401);
      const api = cloud().another('api', { WHARF_DEPLOY_TOKEN_ARN: 'arn:DeployToken' });
      try {
        expect(await ask(api, 'GET', '/v1/clusters')).toBe(200);
        expect(await ask(api, 'POST', '/v1/tokens', JSON.stringify({ name: 'x', role: 'admin' }))).toBe(403);
        expect(await ask(api, 'PUT', '/v1/clusters/wharf', JSON.stringify({ instances: 1 }))).toBe(403);
      } finally {
        await api.close();
      }
      // What one process made valid is valid in all.
      expect(await ask(cloud().fn('api'), 'GET', '/v1/clusters')).toBe(200);
    });

    test('knows the cluster that was deployed with it before anybody named it', async () => {
      await cloud().fn('reconciler').invoke({ source: 'aws.events', 'detail-type': 'Scheduled Event' });
      expect(await client().clusters.get('wharf')).toMatchObject({ status: 'active', instances: { wanted: 0 } });
    });

    test('adopts that cluster, and names it to who asks for another', async () => {
      await expect(client().clusters.put('other', { instances: 1 })).rejects.toMatchObject({
        code: 'CLUSTER_UNSUPPORTED',
        hint: 'the cluster of this platform is wharf',
      });
      await expect(client().clusters.put('wharf', { instances: 5 })).rejects.toMatchObject({
        code: 'CAPACITY_UNSUPPORTED',
      });
      const cluster = await client().clusters.put('wharf', { instances: 1 });
      expect(cluster).toMatchObject({ name: 'wharf', instances: { registered: 1 } });
      expect(cloud().ecs.calls.map(({ operation }) => operation)).not.toContain('CreateCluster');
    });

    test('deploys an image that it copied to ECR, on the capacity provider, with role and log group', async () => {
      const { release } = await client().services.put('wharf', 'web', spec);
      const remote = `wharf/team/web`;
      expect([...cloud().ecr.repositories]).toContain(remote);
      const { registry } = cloud().ecr;
      const copy = await new Wire(registry).send('GET', `/v2/${remote}/manifests/${release.image.digest}`);
      expect(copy.status).toBe(200);
      const definition = cloud().ecs.calls.findLast(({ operation }) => operation === 'RegisterTaskDefinition');
      expect(definition?.input).toMatchObject({
        family: 'wharf--web',
        executionRoleArn: expect.stringMatching(/^arn:aws:iam::123456789012:role\/.*ExecutionRole/),
        containerDefinitions: [
          {
            image: `${registry.host}/${remote}@${release.image.digest}`,
            logConfiguration: {
              logDriver: 'awslogs',
              options: { 'awslogs-group': expect.stringContaining('TaskLogs') },
            },
          },
        ],
      });
      const created = cloud().ecs.calls.findLast(({ operation }) => operation === 'CreateService');
      expect(created?.input).toMatchObject({
        capacityProviderStrategy: [{ capacityProvider: expect.stringContaining('Capacity'), weight: 1 }],
      });
      expect(created?.input).not.toHaveProperty('launchType');
    });

    test('refuses what nothing here does: health by path, and logs', async () => {
      const asked = client().services.put('wharf', 'checked', { ...spec, health: { path: '/' } });
      await expect(asked).rejects.toMatchObject({ code: 'HEALTH_PATH_UNSUPPORTED' });
      const task = await client().tasks.run('wharf', { image: 'team/web:1' });
      const logs = client().tasks.logs('wharf', task.id)[Symbol.asyncIterator]();
      await expect(logs.next()).rejects.toMatchObject({ code: 'TASK_LOGS_UNSUPPORTED' });
    });
  });

  describe('the reconciler function', () => {
    const apply = (bodies: readonly string[]): Promise<unknown> => cloud().fn('reconciler').invoke(batchOf(bodies));

    test('ends a deployment by events that come twice and in the wrong order', async () => {
      const { ecs } = cloud();
      await until('the service is steady', async () => {
        const { services } = (await ecs.ask('DescribeServices', { cluster: 'wharf', services: ['web'] })) as {
          services: { deployments: { rolloutState: string }[] }[];
        };
        return services[0]?.deployments[0]?.rolloutState === 'COMPLETED';
      });
      const bodies = ecs.events.map((event) => JSON.stringify(event)).reverse();
      for (let at = 0; at < bodies.length; at += 5) {
        const batch = bodies.slice(at, at + 5);
        expect(await apply([...batch, ...batch])).toEqual({ batchItemFailures: [] });
      }
      expect(await client().services.get('wharf', 'web')).toMatchObject({
        currentRelease: 1,
        deployment: { status: 'completed' },
        count: { desired: 2, running: 2 },
      });
      const { tasks } = await client().tasks.list('wharf', { service: 'web' });
      expect(tasks.map(({ status }) => status)).toEqual(['RUNNING', 'RUNNING']);
      const { events } = await client().events.list({ cluster: 'wharf', service: 'web' });
      expect(events.filter(({ type }) => type === 'deployment-completed')).toHaveLength(1);
    });

    test('names the one message that failed, and settles its neighbours', async () => {
      const good = JSON.stringify(cloud().ecs.events.at(-1));
      expect(await apply([good, 'no JSON', good])).toEqual({ batchItemFailures: [{ itemIdentifier: 'm1' }] });
    });

    test('ignores events of clusters that are not its own', async () => {
      const event: EcsEvent = {
        id: 'e',
        'detail-type': 'ECS Task State Change',
        time: '2026-01-01T00:00:00Z',
        resources: ['arn:aws:ecs:eu-central-1:123456789012:task/foreign/1'],
        detail: { clusterArn: 'arn:aws:ecs:eu-central-1:123456789012:cluster/foreign', lastStatus: 'RUNNING' },
      };
      expect(await apply([JSON.stringify(event)])).toEqual({ batchItemFailures: [] });
    });

    test('finds out by its schedule what no event told', async () => {
      const { tasks } = await client().tasks.list('wharf', { service: 'web' });
      const lost = tasks[0]?.id ?? '';
      cloud().ecs.agent.exit(lost, 'web', 1);
      await until('ECS stopped the task', async () => {
        const described = (await cloud().ecs.ask('DescribeTasks', { cluster: 'wharf', tasks: [lost] })) as {
          tasks: { lastStatus: string }[];
        };
        return described.tasks[0]?.lastStatus === 'STOPPED';
      });
      await cloud().fn('reconciler').invoke({ source: 'aws.events', 'detail-type': 'Scheduled Event' });
      expect(await client().tasks.get('wharf', lost)).toMatchObject({ status: 'STOPPED' });
    });
  });

  test('no log line of any function shows the first token or the sealing key', () => {
    const lines = FUNCTIONS.flatMap((name) => cloud().fn(name).lines);
    expect(
      lines.filter(
        (line) => line.includes(ADMIN_TOKEN) || line.includes(DEPLOY_TOKEN) || line.includes('S'.repeat(43)),
      ),
    ).toEqual([]);
  });
}
