/** What goes wrong inside a success (`failures[]`), and that errors are those the service model declares. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { SERVED } from '../../lib/engine/api/operations.js';
import { createEngineFixture, type EngineFixture } from './engine-fixture.js';

let fixture: EngineFixture;
beforeEach(async () => {
  fixture = await createEngineFixture({ auto: true });
});
afterEach(() => fixture.close());

const NOBODY = 'f'.repeat(32);
const arn = (kind: string, name: string): string => `arn:aws:ecs:eu-central-1:123456789012:${kind}/${name}`;
const FOREIGN = 'arn:aws:ecs:eu-west-1:123456789012:cluster/default';
const inCluster = (kind: string, name: string): string => arn(kind, `default/${name}`);

describe('what is described and not there is MISSING', () => {
  test.each<[operation: string, input: object, missing: string]>([
    ['DescribeTasks', { tasks: [NOBODY] }, inCluster('task', NOBODY)],
    ['DescribeServices', { services: ['none'] }, inCluster('service', 'none')],
    ['DescribeContainerInstances', { containerInstances: [NOBODY] }, inCluster('container-instance', NOBODY)],
    ['DescribeClusters', { clusters: ['none'] }, arn('cluster', 'none')],
    ['DescribeCapacityProviders', { capacityProviders: ['none'] }, arn('capacity-provider', 'none')],
    [
      'DescribeServiceDeployments',
      { serviceDeploymentArns: [inCluster('service-deployment', 'web/abc')] },
      inCluster('service-deployment', 'web/abc'),
    ],
    [
      'DescribeServiceRevisions',
      { serviceRevisionArns: [inCluster('service-revision', 'web/123')] },
      inCluster('service-revision', 'web/123'),
    ],
    ['GetTaskProtection', { cluster: 'default', tasks: [NOBODY] }, inCluster('task', NOBODY)],
    [
      'UpdateContainerInstancesState',
      { containerInstances: [NOBODY], status: 'DRAINING' },
      inCluster('container-instance', NOBODY),
    ],
  ])('%s', async (operation, input, missing) => {
    const { failures } = await fixture.ecs(operation, input);
    expect(failures).toEqual([{ arn: missing, reason: 'MISSING' }]);
  });
});

describe('a run that finds no place tells why, with the instance it is about', () => {
  const needs = (more: object, change: object = {}): Promise<string> => fixture.definition('job', change, more);
  const port = (protocol: string): object => ({ portMappings: [{ containerPort: 80, hostPort: 8080, protocol }] });

  test.each<[reason: string, container: object, first: object | undefined]>([
    ['RESOURCE:CPU', { cpu: 4096 }, undefined],
    ['RESOURCE:MEMORY', { memory: 8192 }, undefined],
    ['RESOURCE:PORTS', port('tcp'), port('tcp')],
    ['RESOURCE:PORTS_UDP', port('udp'), port('udp')],
    // The ports of the agent and of SSH are never free.
    ['RESOURCE:PORTS', { portMappings: [{ containerPort: 22, hostPort: 22 }] }, undefined],
  ])('%s %j', async (reason, container, first) => {
    const instance = await fixture.instance();
    if (first !== undefined) {
      await fixture.definition('first', {}, first);
      await fixture.ecs('RunTask', { taskDefinition: 'first' });
    }
    await needs(container);
    const { tasks, failures } = await fixture.ecs('RunTask', { taskDefinition: 'job' });
    expect(tasks).toEqual([]);
    expect(failures).toMatchObject([{ arn: instance, reason, detail: expect.stringContaining(reason) as unknown }]);
  });

  test('one line for each instance, each with what stands against it', async () => {
    const small = await fixture.instance({ cpu: 64 });
    const lean = await fixture.instance({ memory: 64 });
    await needs({ cpu: 128, memory: 128 });
    const { failures } = await fixture.ecs('RunTask', { taskDefinition: 'job' });
    expect(Object.fromEntries((failures ?? []).map(({ arn, reason }) => [arn, reason]))).toEqual({
      [small]: 'RESOURCE:CPU',
      [lean]: 'RESOURCE:MEMORY',
    });
  });

  test('a constraint, an instance that drains, a provider without instances', async () => {
    const instance = await fixture.instance();
    await needs({});
    const run = async (more: object): Promise<unknown> =>
      (await fixture.ecs('RunTask', { taskDefinition: 'job', ...more })).failures?.map(({ reason }) => reason);
    expect(await run({ placementConstraints: [{ type: 'memberOf', expression: 'attribute:none exists' }] })).toEqual([
      'MemberOf placement constraint unsatisfied.',
    ]);
    const autoScalingGroupArn = 'arn:aws:autoscaling:eu-central-1:1:autoScalingGroup:x';
    await fixture.ecs('CreateCapacityProvider', { name: 'empty', autoScalingGroupProvider: { autoScalingGroupArn } });
    const strategy = [{ capacityProvider: 'empty', weight: 1 }];
    await fixture.ecs('PutClusterCapacityProviders', {
      cluster: 'default',
      capacityProviders: ['empty'],
      defaultCapacityProviderStrategy: [],
    });
    expect(await run({ capacityProviderStrategy: strategy })).toEqual(['EMPTY CAPACITY PROVIDER']);
    await fixture.ecs('UpdateContainerInstancesState', { containerInstances: [instance], status: 'DRAINING' });
    expect(await run({})).toEqual(['INACTIVE']);
  });

  test('StartTask fits like RunTask, and names what is missing or gone', async () => {
    const instance = await fixture.instance();
    const gone = await fixture.instance();
    await fixture.ecs('DeregisterContainerInstance', { containerInstance: gone });
    await needs({ cpu: 4096 });
    const containerInstances = [instance, gone, NOBODY];
    const { failures } = await fixture.ecs('StartTask', { taskDefinition: 'job', containerInstances });
    expect(failures?.map(({ arn, reason }) => [arn, reason])).toEqual([
      [instance, 'RESOURCE:CPU'],
      [gone, 'INACTIVE'],
      [inCluster('container-instance', NOBODY), 'MISSING'],
    ]);
  });
});

describe('what a request is about and is not there', () => {
  test.each<[operation: string, input: object, type: string]>([
    ['RunTask', { taskDefinition: 'none' }, 'ClientException'],
    ['RunTask', { cluster: 'none', taskDefinition: 'none' }, 'ClusterNotFoundException'],
    ['DescribeTaskDefinition', { taskDefinition: 'none' }, 'ClientException'],
    ['DeregisterTaskDefinition', { taskDefinition: 'none:1' }, 'ClientException'],
    ['StopTask', { task: NOBODY }, 'InvalidParameterException'],
    ['CreateService', { serviceName: 's', taskDefinition: 'none', desiredCount: 1 }, 'ClientException'],
    ['UpdateService', { service: 'none', desiredCount: 1 }, 'ServiceNotFoundException'],
    ['DeleteService', { service: 'none' }, 'ServiceNotFoundException'],
    ['ListServiceDeployments', { service: 'none' }, 'ServiceNotFoundException'],
    [
      'StopServiceDeployment',
      { serviceDeploymentArn: inCluster('service-deployment', 'web/abc') },
      'ServiceDeploymentNotFoundException',
    ],
    ['DeregisterContainerInstance', { containerInstance: NOBODY }, 'InvalidParameterException'],
    ['PutAttributes', { attributes: [{ name: 'a', targetId: NOBODY }] }, 'TargetNotFoundException'],
    ['DeleteCluster', { cluster: 'none' }, 'ClusterNotFoundException'],
    ['TagResource', { resourceArn: inCluster('task', NOBODY), tags: [] }, 'ResourceNotFoundException'],
    ['ListTagsForResource', { resourceArn: inCluster('task', NOBODY) }, 'InvalidParameterException'],
    ['GetTaskProtection', { cluster: 'none', tasks: [] }, 'ClusterNotFoundException'],
  ])('%s %j is a %s', async (operation, input, type) => {
    expect(await fixture.refused(operation, input)).toMatchObject({ __type: type });
  });
});

describe('the errors of each operation', () => {
  /** What the SDK's own documentation of a command says that it throws, which is what the service model declares. */
  const declared = (operation: string): ReadonlySet<string> => {
    const folder = 'node_modules/@aws-sdk/client-ecs/dist-types/commands';
    const text = readFileSync(join(folder, `${operation}Command.d.ts`), 'utf8');
    return new Set(
      [...text.matchAll(/@throws \{@link (\w+)\} \((?:client|server) fault\)/g)].map(([, name = '']) => name),
    );
  };

  test('the documentation of the SDK is read', () => {
    expect(readdirSync('node_modules/@aws-sdk/client-ecs/dist-types/commands').length).toBeGreaterThan(70);
    expect(declared('RunTask')).toContain('ConflictException');
    expect(declared('ListTasks')).not.toContain('ConflictException');
  });

  test('are those that its model declares', async () => {
    await fixture.instance();
    await fixture.definition('web');
    await fixture.ecs('CreateService', { serviceName: 'web', taskDefinition: 'web', desiredCount: 1 });
    const strangers: string[] = [];
    let refusals = 0;
    for (const operation of Object.keys(SERVED)) {
      const known = declared(operation);
      for (const input of PROBES) {
        const request = new Request('http://engine/', {
          method: 'POST',
          headers: { 'x-amz-target': `AmazonEC2ContainerServiceV20141113.${operation}` },
          body: JSON.stringify(input),
        });
        const response = await fixture.engine.fetch(request);
        if (response.status === 200) continue;
        refusals += 1;
        const { __type: type } = (await response.json()) as { __type: string };
        if (!known.has(type)) strangers.push(`${operation} ${type} for ${JSON.stringify(input)}`);
      }
    }
    expect(strangers).toEqual([]);
    expect(refusals).toBeGreaterThan(200);
  });

  /** Each is wrong for some operation: of a wrong kind, of another cluster, beyond a limit, of something unsupported. */
  const PROBES: readonly object[] = [
    {},
    { cluster: 'none', tasks: ['x'], services: ['x'], containerInstances: ['x'], service: 'x', task: 'x' },
    { cluster: 'default', task: NOBODY, service: 'none', containerInstance: NOBODY, taskDefinition: 'none' },
    {
      cluster: FOREIGN,
      clusters: [FOREIGN],
      taskDefinition: FOREIGN,
      taskDefinitions: [FOREIGN],
      resourceArn: FOREIGN,
      serviceDeploymentArn: FOREIGN,
      capacityProvider: FOREIGN,
      capacityProviders: [FOREIGN],
      tagKeys: ['a'],
      tags: [],
      name: FOREIGN,
    },
    { cluster: 1, clusterName: 'a b', maxResults: 0, nextToken: 'x', name: 'x', value: 'x', family: 'a b' },
    { cluster: arn('task', 'x'), resourceArn: arn('cluster', 'none'), tags: [{ key: 'aws:x' }], tagKeys: ['a'] },
    { resourceArn: 'rubbish', tags: [], tagKeys: [], attributes: [{ name: 'a', targetId: NOBODY }] },
    { taskDefinition: 'web', launchType: 'FARGATE', desiredCount: 1, serviceName: 'f', containerInstances: [NOBODY] },
    {
      taskDefinition: 'web',
      serviceName: 'web',
      desiredCount: 2,
      service: 'web',
      deploymentController: { type: 'EXTERNAL' },
    },
    {
      cluster: 'default',
      service: 'web',
      force: false,
      capacityProviders: ['FARGATE'],
      defaultCapacityProviderStrategy: [],
    },
    { capacityProvider: 'none', name: 'fargate', autoScalingGroupProvider: { autoScalingGroupArn: 'x' } },
    { capacityProvider: 'FARGATE', cluster: 'default', settings: [{ name: 'x', value: 'y' }] },
    { serviceDeploymentArns: ['x'], serviceRevisionArns: ['x'], serviceDeploymentArn: 'x' },
    { serviceDeploymentArn: inCluster('service-deployment', 'web/abc') },
    {
      family: 'f',
      containerDefinitions: [
        { name: 'a', image: 'x', memory: 64, resourceRequirements: [{ type: 'GPU', value: '1' }] },
      ],
    },
    { taskDefinitions: ['none:1'], taskDefinition: 'none:1' },
  ];
});
