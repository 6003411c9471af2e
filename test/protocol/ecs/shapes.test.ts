/** Every served operation answers in the shape of the service model; the check itself can fail. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { SERVED } from '../../../lib/engine/api/operations.js';
import { createEngineFixture, until, type Body, type EngineFixture } from '../../engine/engine-fixture.js';
import { shapeProblems } from './shapes.js';

const GONE = 'f'.repeat(32);

describe('the check of shapes', () => {
  test.each<[string, string, unknown, string]>([
    ['an unknown member', 'ListTasks', { taskArns: [], more: 1 }, 'ListTasks.more is no member of ListTasksResponse'],
    ['a wrong type', 'ListTasks', { taskArns: [1] }, 'ListTasks.taskArns[0] is number, not string'],
    ['milliseconds', 'RunTask', { tasks: [{ createdAt: Date.now() }] }, 'not seconds since 1970'],
    ['an ISO time', 'RunTask', { tasks: [{ createdAt: '2026-01-01T00:00:00Z' }] }, 'not seconds since 1970'],
    ['a null', 'DescribeClusters', { clusters: [{ status: null }] }, 'is object, not string'],
    ['no list', 'DescribeTasks', { tasks: {} }, 'DescribeTasks.tasks is no list'],
  ])('sees %s', (_, operation, answer, problem) => {
    expect(shapeProblems(operation, answer).join()).toContain(problem);
  });
});

describe('an answer of the engine', () => {
  let engine: EngineFixture;
  const called = new Set<string>();
  const call = (operation: string, input: object = {}): Promise<Body> => {
    called.add(operation);
    return engine.ecs(operation, input);
  };

  beforeAll(async () => {
    engine = await createEngineFixture({ auto: true, healthyAfterRunningMs: 0, withoutCluster: true });
  });
  afterAll(() => engine.close());

  test('has the shape of its operation, for each that is served', async () => {
    const tags = [{ key: 'a', value: 'b' }];
    const group = { autoScalingGroupArn: 'arn:aws:autoscaling:x', managedScaling: { targetCapacity: 90 } };
    await call('CreateCapacityProvider', { name: 'spare', autoScalingGroupProvider: group, tags });
    await call('UpdateCapacityProvider', { name: 'spare', autoScalingGroupProvider: { managedDraining: 'DISABLED' } });
    const { cluster } = await call('CreateCluster', { tags, capacityProviders: ['spare'] });
    const clusterArn = (cluster as { clusterArn: string }).clusterArn;
    await call('DescribeCapacityProviders', { include: ['TAGS'] });
    const none = { capacityProviders: [], defaultCapacityProviderStrategy: [] };
    await call('DescribeClusters', { include: ['ATTACHMENTS', 'CONFIGURATIONS', 'SETTINGS', 'STATISTICS', 'TAGS'] });
    await call('PutClusterCapacityProviders', { cluster: 'default', ...none });
    await call('UpdateCluster', { cluster: 'default', settings: [{ name: 'containerInsights', value: 'enabled' }] });
    await call('UpdateClusterSettings', {
      cluster: 'default',
      settings: [{ name: 'containerInsights', value: 'disabled' }],
    });
    await call('ListClusters');
    await call('DeleteCapacityProvider', { capacityProvider: 'spare' });

    await call('PutAccountSettingDefault', { name: 'containerInsights', value: 'enabled' });
    await call('PutAccountSetting', { name: 'containerInsights', value: 'enabled' });
    await call('ListAccountSettings', { effectiveSettings: true });
    await call('DeleteAccountSetting', { name: 'containerInsights' });

    const totalResources = ['CPU', 'MEMORY'].map((name) => ({ name, type: 'INTEGER', integerValue: 4096 }));
    const registered = await call('RegisterContainerInstance', { totalResources, tags });
    const instance = (registered['containerInstance'] as { containerInstanceArn: string }).containerInstanceArn;
    const attributes = [{ name: 'rack', value: '1', targetId: instance }];
    await call('PutAttributes', { attributes });
    await call('ListAttributes', { targetType: 'container-instance' });
    await call('DeleteAttributes', { attributes: [{ name: 'rack', targetId: instance }] });
    await call('ListContainerInstances', { filter: 'attribute:ecs.os-type == linux' });
    await call('DescribeContainerInstances', { containerInstances: [instance, GONE], include: ['TAGS'] });
    await call('UpdateContainerInstancesState', { containerInstances: [instance], status: 'ACTIVE' });

    await call('TagResource', { resourceArn: clusterArn, tags: [{ key: 'c', value: 'd' }] });
    await call('ListTagsForResource', { resourceArn: clusterArn });
    await call('UntagResource', { resourceArn: clusterArn, tagKeys: ['c'] });

    const container = { name: 'app', image: 'app:1', memory: 64, portMappings: [{ containerPort: 80 }] };
    await call('RegisterTaskDefinition', { family: 'app', containerDefinitions: [container], tags });
    await call('RegisterTaskDefinition', { family: 'old', containerDefinitions: [container] });
    await call('DescribeTaskDefinition', { taskDefinition: 'app', include: ['TAGS'] });
    await call('ListTaskDefinitions');
    await call('ListTaskDefinitionFamilies');
    await call('DeregisterTaskDefinition', { taskDefinition: 'old:1' });
    await call('DeleteTaskDefinitions', { taskDefinitions: ['old:1', 'app:9'] });

    const { tasks } = await call('RunTask', { taskDefinition: 'app', tags });
    await call('StartTask', { taskDefinition: 'app', containerInstances: [instance, GONE] });
    const task = tasks?.[0]?.taskArn ?? '';
    await until('it runs', async () => (await engine.tasks())[0]?.lastStatus === 'RUNNING');
    await call('DescribeTasks', { tasks: [task, GONE], include: ['TAGS'] });
    await call('ListTasks');

    await call('CreateService', { serviceName: 'web', taskDefinition: 'app', desiredCount: 1, tags });
    await until('complete', async () => (await engine.service('web')).deployments[0]?.rolloutState === 'COMPLETED');
    await call('DescribeServices', { services: ['web', 'gone'], include: ['TAGS'] });
    await call('ListServices');
    await call('ListServicesByNamespace', { namespace: 'shop' });
    const own = (await engine.tasks({ serviceName: 'web' })).map(({ taskArn }) => taskArn);
    await call('UpdateTaskProtection', { cluster: 'default', tasks: own, protectionEnabled: true });
    await call('GetTaskProtection', { cluster: 'default', tasks: own });
    await call('UpdateTaskProtection', { cluster: 'default', tasks: own, protectionEnabled: false });
    engine.agent.auto = false;
    await call('UpdateService', { service: 'web', forceNewDeployment: true });
    const listed = await call('ListServiceDeployments', { service: 'web' });
    const deployments = listed['serviceDeployments'] as {
      serviceDeploymentArn: string;
      targetServiceRevisionArn: string;
      status: string;
    }[];
    // Two deployments of one moment have no order.
    const current = deployments.find(({ status }) => status !== 'SUCCESSFUL');
    await call('DescribeServiceDeployments', { serviceDeploymentArns: [current?.serviceDeploymentArn] });
    await call('DescribeServiceRevisions', { serviceRevisionArns: [current?.targetServiceRevisionArn] });
    await call('StopServiceDeployment', { serviceDeploymentArn: current?.serviceDeploymentArn, stopType: 'ROLLBACK' });
    await call('DeleteService', { service: 'web', force: true });

    await call('StopTask', { task });
    await call('DeregisterContainerInstance', { containerInstance: instance, force: true });
    engine.agent.auto = true;
    for (const id of engine.agent.taskIds) engine.agent.finish(id);
    await until('empty', async () =>
      (await engine.tasks({ desiredStatus: 'STOPPED' })).every((each) => each.lastStatus === 'STOPPED'),
    );
    await until('no service', async () => (await engine.service('web')).status === 'INACTIVE');
    await call('DeleteCluster', { cluster: 'default' });
    expect([...called].sort()).toEqual(Object.keys(SERVED).sort());
  });
});
