/** Every paginator of the SDK over lists of several pages, every waiter to each of its ends, and retries that are one. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import * as sdk from '@aws-sdk/client-ecs';
import { startEcsServer, type EcsServer } from './ecs-server.js';

let server: EcsServer;
const CLUSTER = 'main';
const FEW = 5;
const soon = { maxWaitTime: 20, minDelay: 1, maxDelay: 1 };
const GROUP = { autoScalingGroupArn: 'arn:aws:autoscaling:eu-central-1:1:autoScalingGroup:x' };
const times = [...Array(FEW).keys()].map(String);
const totalResources = ['CPU', 'MEMORY'].map((name) => ({ name, type: 'INTEGER', integerValue: 8192 }));
let instances: string[] = [];

beforeAll(async () => {
  server = await startEcsServer();
  const { client } = server;
  for (const n of times) await client.send(new sdk.CreateClusterCommand({ clusterName: `c${n}` }));
  await client.send(new sdk.CreateClusterCommand({ clusterName: CLUSTER }));
  for (const n of times) {
    const attributes = [{ name: 'page', value: n }];
    const command = new sdk.RegisterContainerInstanceCommand({ cluster: CLUSTER, totalResources, attributes });
    instances.push((await client.send(command)).containerInstance?.containerInstanceArn ?? '');
    const portMappings = [{ containerPort: 80, name: 'http' }];
    const containerDefinitions = [{ name: 'app', image: 'hello:1', memory: 16, portMappings }];
    for (const family of [`f${n}`, 'web'])
      await client.send(new sdk.RegisterTaskDefinitionCommand({ family, containerDefinitions }));
    const serviceConnectConfiguration = { enabled: true, namespace: 'shop', services: [{ portName: 'http' }] };
    const service = { cluster: CLUSTER, serviceName: `s${n}`, taskDefinition: 'web', desiredCount: 0 };
    await client.send(new sdk.CreateServiceCommand({ ...service, serviceConnectConfiguration }));
  }
  instances = instances.sort();
  await client.send(
    new sdk.RunTaskCommand({ cluster: CLUSTER, taskDefinition: 'web', count: FEW, startedBy: 'pages' }),
  );
});
afterAll(() => server.close());

type Page = Readonly<Record<string, unknown>>;
type Paginate = (config: object, input: object) => AsyncIterable<Page>;

describe('a paginator', () => {
  /** The list's member, what is asked for, and how many there are. */
  const LISTS: Readonly<Record<string, readonly [member: string, input: object, count: number]>> = {
    paginateListClusters: ['clusterArns', {}, FEW + 1],
    paginateListContainerInstances: ['containerInstanceArns', { cluster: CLUSTER }, FEW],
    paginateListServices: ['serviceArns', { cluster: CLUSTER }, FEW],
    paginateListServicesByNamespace: ['serviceArns', { namespace: 'shop' }, FEW],
    paginateListTasks: ['taskArns', { cluster: CLUSTER, startedBy: 'pages' }, FEW],
    paginateListTaskDefinitions: ['taskDefinitionArns', { familyPrefix: 'web' }, FEW],
    paginateListTaskDefinitionFamilies: ['families', {}, FEW + 1],
    paginateListAttributes: [
      'attributes',
      { cluster: CLUSTER, targetType: 'container-instance', attributeName: 'page' },
      FEW,
    ],
    paginateListAccountSettings: ['settings', { effectiveSettings: true }, 11],
  };
  const REFUSED = ['paginateListGateways', 'paginateListGatewayRoutes', 'paginateListGatewayClusterAssociations'];
  const named = (name: string): Paginate => (sdk as unknown as Record<string, Paginate>)[name] as Paginate;

  test('is tried, each that the SDK has', () => {
    const all = Object.keys(sdk).filter((name) => name.startsWith('paginate'));
    expect(all.sort()).toEqual([...Object.keys(LISTS), ...REFUSED].sort());
  });

  test.each(Object.entries(LISTS))(
    '%s gives everything once, over pages of any size',
    async (name, [member, input, count]) => {
      const whole: string[][] = [];
      for (const pageSize of [1, 2, 100]) {
        const found: string[] = [];
        for await (const page of named(name)({ client: server.client, pageSize }, { ...input })) {
          const items = page[member] as unknown[];
          expect(items.length).toBeLessThanOrEqual(pageSize);
          found.push(...items.map((item) => JSON.stringify(item)));
        }
        expect(new Set(found).size).toBe(found.length);
        whole.push(found);
      }
      expect(whole[0]).toHaveLength(count);
      expect(whole[1]).toEqual(whole[0]);
      expect(whole[2]).toEqual(whole[0]);
    },
  );

  test.each(REFUSED)('%s is refused by name', async (name) => {
    const pages = named(name)(
      { client: server.client },
      { namespace: 'x', gatewayArn: 'x', clusterArn: 'x', gateway: 'x' },
    );
    await expect(pages[Symbol.asyncIterator]().next()).rejects.toMatchObject({
      name: expect.stringMatching(/^(UnsupportedFeature|Client)Exception$/) as unknown,
      message: expect.stringContaining('is not supported') as unknown,
    });
  });
});

describe('a waiter', () => {
  const config = () => ({ client: server.client, ...soon });
  const run = async (): Promise<string> => {
    const command = new sdk.RunTaskCommand({ cluster: CLUSTER, taskDefinition: 'web' });
    return (await server.client.send(command)).tasks?.[0]?.taskArn ?? '';
  };
  const of = (arn: string): { cluster: string; tasks: string[] } => ({ cluster: CLUSTER, tasks: [arn] });
  const failure = { message: expect.stringContaining('FAILURE') as unknown };

  test('for tasks ends when they run, when one has stopped, and when one is missing', async () => {
    const arn = await run();
    expect(await sdk.waitUntilTasksRunning(config(), of(arn))).toMatchObject({ state: 'SUCCESS' });
    await server.client.send(new sdk.StopTaskCommand({ cluster: CLUSTER, task: arn }));
    expect(await sdk.waitUntilTasksStopped(config(), of(arn))).toMatchObject({ state: 'SUCCESS' });
    await expect(sdk.waitUntilTasksRunning(config(), of(arn))).rejects.toMatchObject(failure);
    await expect(sdk.waitUntilTasksRunning(config(), of('f'.repeat(32)))).rejects.toMatchObject(failure);
  });

  test('for services ends when all are stable, when one goes or is missing, and when they are gone', async () => {
    const { client } = server;
    const service = { cluster: CLUSTER, serviceName: 'site', taskDefinition: 'web', desiredCount: 2 };
    await client.send(new sdk.CreateServiceCommand(service));
    const both = { cluster: CLUSTER, services: ['site', 's0'] };
    expect(await sdk.waitUntilServicesStable(config(), both)).toMatchObject({ state: 'SUCCESS' });
    const missing = { cluster: CLUSTER, services: ['site', 'none'] };
    await expect(sdk.waitUntilServicesStable(config(), missing)).rejects.toMatchObject(failure);
    await expect(sdk.waitUntilServicesInactive(config(), missing)).rejects.toMatchObject(failure);
    server.agent.auto = false;
    await client.send(new sdk.DeleteServiceCommand({ cluster: CLUSTER, service: 'site', force: true }));
    const site = { cluster: CLUSTER, services: ['site'] };
    // DRAINING: its tasks have not stopped.
    await expect(sdk.waitUntilServicesStable(config(), site)).rejects.toMatchObject(failure);
    server.agent.auto = true;
    for (const { taskId } of server.agent.stops) server.agent.finish(taskId);
    expect(await sdk.waitUntilServicesInactive(config(), site)).toMatchObject({ state: 'SUCCESS' });
  });
});

describe('asked again', () => {
  const runs = (input: object): sdk.RunTaskCommand =>
    new sdk.RunTaskCommand({ cluster: CLUSTER, taskDefinition: 'web', ...input });
  const arns = (tasks: readonly sdk.Task[] = []): string[] => tasks.map(({ taskArn = '' }) => taskArn).sort();

  test('with its token a run gives the tasks it made; in another cluster or without, others', async () => {
    const clientToken = 'once-only';
    const first = arns((await server.client.send(runs({ count: 3, clientToken }))).tasks);
    expect(first).toHaveLength(3);
    expect(arns((await server.client.send(runs({ count: 3, clientToken }))).tasks)).toEqual(first);
    const both = await Promise.all([0, 1].map(() => server.client.send(runs({ count: 2, clientToken: 'at-once' }))));
    expect(arns(both[0]?.tasks)).toEqual(arns(both[1]?.tasks));
    expect(arns((await server.client.send(runs({ count: 3 }))).tasks)).not.toEqual(first);
    await expect(server.client.send(runs({ count: 2, clientToken }))).rejects.toMatchObject({
      name: 'ConflictException',
      resourceIds: expect.arrayContaining(first) as unknown,
    });
  });

  test('a service, a cluster and a provider are those that are there', async () => {
    const service = {
      cluster: CLUSTER,
      serviceName: 'twice',
      taskDefinition: 'web',
      desiredCount: 0,
      clientToken: 'twice',
    };
    const made = await server.client.send(new sdk.CreateServiceCommand(service));
    const again = await server.client.send(new sdk.CreateServiceCommand(service));
    expect(again.service?.deployments?.[0]?.id).toBe(made.service?.deployments?.[0]?.id);
    const other = server.client.send(new sdk.CreateServiceCommand({ ...service, desiredCount: 1 }));
    await expect(other).rejects.toThrow('Creation of service was not idempotent.');
    const cluster = () => server.client.send(new sdk.CreateClusterCommand({ clusterName: CLUSTER }));
    expect((await cluster()).cluster?.clusterArn).toBe((await cluster()).cluster?.clusterArn);
    const provider = { name: 'spare', autoScalingGroupProvider: GROUP };
    await server.client.send(new sdk.CreateCapacityProviderCommand(provider));
    await expect(server.client.send(new sdk.CreateCapacityProviderCommand(provider))).rejects.toMatchObject({
      name: expect.stringMatching(/Exception$/) as unknown,
      message: expect.stringContaining('spare') as unknown,
    });
  });
});
