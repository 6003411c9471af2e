/** What the engine tells, in the shapes of EventBridge; and the times of a task, each at its change. */
import { afterEach, describe, expect, test } from '@jest/globals';
import type { EngineEvent } from '../../lib/engine/index.js';
import { createEngineFixture, idOf, until, type EngineFixture } from './engine-fixture.js';
import { pending, serviceIs, stable, steady, twoInstances } from './service-steps.js';

let fixture: EngineFixture;
afterEach(() => fixture.close());

const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const ofType = (type: EngineEvent['detail-type']): EngineEvent[] =>
  fixture.events.filter((event) => event['detail-type'] === type);
const named = (name: string): EngineEvent | undefined =>
  fixture.events.find((event) => event.detail['eventName'] === name);
const iso = expect.stringMatching(ISO) as unknown;

describe('every event', () => {
  test('has the envelope of EventBridge, with an id of its own', async () => {
    fixture = await createEngineFixture({ auto: true });
    const instance = await fixture.instance();
    await fixture.definition('job');
    const arn = (await fixture.ecs('RunTask', { taskDefinition: 'job' })).tasks?.[0]?.taskArn;
    await until('it runs', async () => (await fixture.tasks())[0]?.lastStatus === 'RUNNING');
    await until('it is told', () => ofType('ECS Task State Change').length === 2);
    for (const event of fixture.events) {
      expect(Object.keys(event).sort()).toEqual(
        ['account', 'detail', 'detail-type', 'id', 'region', 'resources', 'source', 'time', 'version'].sort(),
      );
      expect(event).toMatchObject({ version: '0', source: 'aws.ecs', account: '123456789012', region: 'eu-central-1' });
      expect(event.time).toMatch(ISO);
      expect(event.id).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
      expect(event.detail['clusterArn']).toBe('arn:aws:ecs:eu-central-1:123456789012:cluster/default');
      expect([arn, instance]).toContain(event.resources[0]);
    }
    expect(new Set(fixture.events.map(({ id }) => id)).size).toBe(fixture.events.length);
  });
});

describe('a task', () => {
  test('is told of whole, with its times as text, its version, and nothing of its health or its tags', async () => {
    fixture = await createEngineFixture();
    await fixture.instance();
    await fixture.definition('job', {}, { healthCheck: { command: ['CMD', 'true'] } });
    const tags = [{ key: 'a', value: 'b' }];
    const { tasks } = await fixture.ecs('RunTask', { taskDefinition: 'job', startedBy: 'me', tags });
    const id = idOf(tasks?.[0]?.taskArn ?? '');
    fixture.clock.advance(1000);
    fixture.agent.start(id);
    await until('RUNNING', () => ofType('ECS Task State Change').length === 2);
    const [, running] = ofType('ECS Task State Change');
    expect(running?.detail).toMatchObject({
      taskArn: tasks?.[0]?.taskArn,
      lastStatus: 'RUNNING',
      desiredStatus: 'RUNNING',
      version: 2,
      startedBy: 'me',
      group: 'family:job',
      createdAt: iso,
      connectivityAt: iso,
      pullStartedAt: iso,
      pullStoppedAt: iso,
      startedAt: iso,
      updatedAt: iso,
      containers: [{ name: 'app', lastStatus: 'RUNNING' }],
    });
    const text = JSON.stringify(running?.detail);
    expect(text).not.toContain('healthStatus');
    expect(text).not.toContain('"tags"');
  });

  test('has a time for each of its changes, in their order, in seconds', async () => {
    fixture = await createEngineFixture();
    await fixture.instance();
    await fixture.definition('job');
    const made = (await fixture.ecs('RunTask', { taskDefinition: 'job' })).tasks?.[0];
    const arn = made?.taskArn ?? '';
    const became = (status: string): Promise<void> =>
      until(
        status,
        async () => (await fixture.ecs('DescribeTasks', { tasks: [arn] })).tasks?.[0]?.lastStatus === status,
      );
    const step = (): void => fixture.clock.advance(1000);
    step();
    fixture.agent.start(idOf(arn));
    await became('RUNNING');
    step();
    await fixture.ecs('StopTask', { task: arn });
    step();
    fixture.agent.finish(idOf(arn));
    await became('STOPPED');
    const [task] = (await fixture.ecs('DescribeTasks', { tasks: [arn] })).tasks as unknown as Record<string, number>[];
    const created = task?.['createdAt'] ?? 0;
    const since = (name: string): number => Math.round((task?.[name] ?? 0) - created);
    const order = [
      'connectivityAt',
      'pullStartedAt',
      'pullStoppedAt',
      'startedAt',
      'stoppingAt',
      'executionStoppedAt',
      'stoppedAt',
    ];
    expect(order.map((name) => [name, since(name)])).toEqual([
      ['connectivityAt', 0],
      ['pullStartedAt', 1],
      ['pullStoppedAt', 1],
      ['startedAt', 1],
      ['stoppingAt', 2],
      ['executionStoppedAt', 3],
      ['stoppedAt', 3],
    ]);
  });
});

test('an instance is told of with its resources, attributes and version', async () => {
  fixture = await createEngineFixture({ auto: true });
  const arn = await fixture.instance({ attributes: [{ name: 'rack', value: '1' }] });
  await fixture.ecs('UpdateContainerInstancesState', { containerInstances: [arn], status: 'DRAINING' });
  await until('both', () => ofType('ECS Container Instance State Change').length === 2);
  const [registered, draining] = ofType('ECS Container Instance State Change');
  const resources = expect.arrayContaining([
    expect.objectContaining({ name: 'CPU', integerValue: 2048 }),
    expect.objectContaining({ name: 'PORTS', stringSetValue: ['22', '2375', '2376', '51678', '51679', '51680'] }),
  ]) as unknown;
  expect(registered?.detail).toMatchObject({
    containerInstanceArn: arn,
    agentConnected: true,
    status: 'ACTIVE',
    version: 1,
    versionInfo: {},
    registeredResources: resources,
    remainingResources: resources,
    registeredAt: iso,
    updatedAt: iso,
    attributes: expect.arrayContaining([
      { name: 'rack', value: '1' },
      { name: 'ecs.availability-zone', value: 'eu-central-1a' },
      { name: 'ecs.cpu-architecture', value: 'x86_64' },
      { name: 'ecs.os-type', value: 'linux' },
    ]) as unknown,
  });
  expect(draining?.detail).toMatchObject({ status: 'DRAINING', version: 2 });
});

describe('a service', () => {
  test('tells of its deployments as they begin, end and fail, and of a service that is impaired', async () => {
    fixture = await twoInstances();
    await fixture.definition('web');
    const deploymentCircuitBreaker = {
      enable: true,
      rollback: true,
      thresholdConfiguration: { type: 'COUNT', value: 3 },
    };
    const { service } = await fixture.ecs('CreateService', {
      serviceName: 'web',
      taskDefinition: 'web',
      desiredCount: 1,
      deploymentConfiguration: { deploymentCircuitBreaker },
    });
    const id = service?.deployments[0]?.id;
    for (const task of await pending(fixture, 'web', 1)) fixture.agent.start(task);
    await steady(fixture, 'web');
    await fixture.definition('web');
    await fixture.ecs('UpdateService', { service: 'web', taskDefinition: 'web' });
    for (let failures = 0; failures < 3; failures += 1) {
      const [task = ''] = await pending(fixture, 'web', 1);
      fixture.agent.failToStart(task);
    }
    await serviceIs(fixture, 'web', 'rolled back', stable);
    await until('all is told', () => named('SERVICE_TASK_START_IMPAIRED') !== undefined);
    const deployments = ofType('ECS Deployment State Change').map(({ detail }) => detail);
    expect(deployments.map(({ eventName, eventType }) => [eventName, eventType])).toEqual([
      ['SERVICE_DEPLOYMENT_IN_PROGRESS', 'INFO'],
      ['SERVICE_DEPLOYMENT_COMPLETED', 'INFO'],
      ['SERVICE_DEPLOYMENT_IN_PROGRESS', 'INFO'],
      ['SERVICE_DEPLOYMENT_FAILED', 'ERROR'],
      ['SERVICE_DEPLOYMENT_IN_PROGRESS', 'INFO'],
      ['SERVICE_DEPLOYMENT_COMPLETED', 'INFO'],
    ]);
    expect(deployments[0]).toMatchObject({ deploymentId: id, updatedAt: iso, reason: expect.any(String) as unknown });
    for (const detail of deployments) expect(detail).not.toHaveProperty('version');
    expect(deployments[3]?.['reason']).toBe('ECS deployment circuit breaker: tasks failed to start.');
    expect(named('SERVICE_STEADY_STATE')).toMatchObject({
      'detail-type': 'ECS Service Action',
      detail: { eventType: 'INFO', createdAt: iso, clusterArn: expect.stringContaining('cluster/default') as unknown },
    });
    expect(named('SERVICE_STEADY_STATE')?.detail).not.toHaveProperty('updatedAt');
    expect(named('SERVICE_TASK_START_IMPAIRED')?.detail).toMatchObject({ eventType: 'WARN' });
  });
});
