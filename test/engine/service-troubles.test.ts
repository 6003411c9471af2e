/** Services in trouble: circuit breaker, launches that fail, instances that leave, deletion, protection. */
import { afterEach, describe, expect, test } from '@jest/globals';
import type { EngineEvent } from '../../lib/engine/index.js';
import { createEngineFixture, until, type EngineFixture } from './engine-fixture.js';
import { messages, pending, serviceIs, stable, steady, tasksOf, twoInstances } from './service-steps.js';

let fixture: EngineFixture;
afterEach(() => fixture.close());

describe('the circuit breaker', () => {
  const deploymentConfiguration = {
    deploymentCircuitBreaker: { enable: true, rollback: true, thresholdConfiguration: { type: 'COUNT', value: 2 } },
  };

  async function upAndThenBad(): Promise<void> {
    fixture = await twoInstances({ auto: true });
    await fixture.definition('web');
    await fixture.ecs('CreateService', {
      serviceName: 'web',
      taskDefinition: 'web',
      desiredCount: 1,
      deploymentConfiguration,
    });
    await steady(fixture, 'web');
    await fixture.definition('web', {}, { image: 'broken:1' });
    fixture.agent.auto = false;
    await fixture.ecs('UpdateService', { service: 'web', taskDefinition: 'web' });
  }

  test('gives up a deployment whose tasks never start, and brings the last good one back', async () => {
    await upAndThenBad();
    const good = (await fixture.service('web')).deployments[1]?.id;
    for (let failures = 0; failures < 2; failures += 1) {
      const [id = ''] = await pending(fixture, 'web', 1);
      fixture.agent.failToStart(id);
    }
    const back = await serviceIs(fixture, 'web', 'rolled back', stable);
    expect(back.taskDefinition).toMatch(/web:1$/);
    expect(back.deployments[0]).toMatchObject({ id: good, rolloutState: 'COMPLETED' });
    expect(messages(back)).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/deployment failed: tasks failed to start\.$/),
        `(service web) rolling back to deployment ${good ?? ''}.`,
      ]),
    );
    // The good task was never touched.
    expect(fixture.agent.stops).toEqual([]);
    const list = await fixture.ecs('ListServiceDeployments', { service: 'web' });
    const [latest] = list['serviceDeployments'] as { status: string; serviceDeploymentArn: string }[];
    expect(latest?.status).toBe('ROLLBACK_SUCCESSFUL');
    const { serviceDeployments } = await fixture.ecs('DescribeServiceDeployments', {
      serviceDeploymentArns: [latest?.serviceDeploymentArn],
    });
    expect(serviceDeployments).toMatchObject([
      {
        rollback: { reason: expect.stringContaining('tasks failed to start') as unknown },
        deploymentCircuitBreaker: { threshold: 2 },
      },
    ]);
  });

  test('stops a crash loop, which ECS itself would not', async () => {
    await upAndThenBad();
    for (let failures = 0; failures < 2; failures += 1) {
      const [id = ''] = await pending(fixture, 'web', 1);
      fixture.agent.start(id);
      fixture.agent.exit(id, 'app', 1);
    }
    const back = await serviceIs(fixture, 'web', 'rolled back', stable);
    expect(back.taskDefinition).toMatch(/web:1$/);
  });

  test('without a good deployment to go back to leaves the service FAILED and launches no more', async () => {
    fixture = await twoInstances();
    await fixture.definition('web');
    await fixture.ecs('CreateService', {
      serviceName: 'web',
      taskDefinition: 'web',
      desiredCount: 1,
      deploymentConfiguration,
    });
    for (let failures = 0; failures < 2; failures += 1) {
      const [id = ''] = await pending(fixture, 'web', 1);
      fixture.agent.failToStart(id);
    }
    const failed = await serviceIs(
      fixture,
      'web',
      'failed',
      (service) => service.deployments[0]?.rolloutState === 'FAILED',
    );
    expect(failed.deployments[0]?.rolloutStateReason).toBe('ECS deployment circuit breaker: tasks failed to start.');
    const launched = fixture.agent.runs.length;
    fixture.clock.advance(3_600_000);
    await fixture.service('web');
    expect(fixture.agent.runs).toHaveLength(launched);
  });
});

describe('launches that fail', () => {
  test('wait longer and longer, and the service says that it is impaired', async () => {
    fixture = await twoInstances({ relaunchDelayMs: 1000 });
    await fixture.definition('web');
    await fixture.ecs('CreateService', { serviceName: 'web', taskDefinition: 'web', desiredCount: 1 });
    const waits: number[] = [];
    for (let failures = 0; failures < 4; failures += 1) {
      const [id = ''] = await pending(fixture, 'web', 1);
      const failedAtMs = fixture.clock.nowMs();
      fixture.agent.failToStart(id);
      await pending(fixture, 'web', 1);
      waits.push(fixture.clock.nowMs() - failedAtMs);
    }
    expect(waits).toEqual([1000, 2000, 4000, 8000]);
    expect(
      messages(await fixture.service('web')).some((message) => message.includes('unable to consistently start tasks')),
    ).toBe(true);
  });

  test('for want of room are explained once and made when there is room', async () => {
    fixture = await createEngineFixture({ auto: true, healthyAfterRunningMs: 1000 });
    await fixture.instance({ cpu: 128 });
    await fixture.definition('web');
    await fixture.ecs('CreateService', { serviceName: 'web', taskDefinition: 'web', desiredCount: 2 });
    const waiting = await serviceIs(
      fixture,
      'web',
      'unplaced',
      (service) => messages(service)[0]?.includes('unable to place') === true,
    );
    expect(messages(waiting)[0]).toMatch(
      /^\(service web\) was unable to place a task because no container instance met all of its requirements\. The closest matching \(container-instance [0-9a-f]{32}\) has insufficient CPU units available\.$/,
    );
    const failure = (): EngineEvent | undefined =>
      fixture.events.find((event) => event.detail['eventName'] === 'SERVICE_TASK_PLACEMENT_FAILURE');
    await until('the event', () => failure() !== undefined);
    expect(failure()?.detail).toMatchObject({
      reason: 'RESOURCE:CPU',
      explanation: [{ why: 'RESOURCE:CPU needs 128, has 0' }],
    });
    await fixture.instance();
    await steady(fixture, 'web');
  });
});

describe('container instances', () => {
  test('that drain lose their service tasks within the bounds, standalone tasks stay', async () => {
    fixture = await twoInstances({ auto: true });
    await fixture.definition('web');
    await fixture.ecs('CreateService', { serviceName: 'web', taskDefinition: 'web', desiredCount: 2 });
    await steady(fixture, 'web');
    const [first] = await tasksOf(fixture, 'web');
    const instance = first?.containerInstanceArn ?? '';
    const job = (await fixture.ecs('StartTask', { taskDefinition: 'web', containerInstances: [instance] })).tasks?.[0];
    await fixture.ecs('UpdateContainerInstancesState', { containerInstances: [instance], status: 'DRAINING' });
    await serviceIs(fixture, 'web', 'moved', () => fixture.agent.stops.length === 1);
    await steady(fixture, 'web');
    const left = await fixture.tasks({ containerInstance: instance });
    expect(left.map((task) => task.taskArn)).toEqual([job?.taskArn]);
  });

  test('that are deregistered by force lose their tasks, and services replace them elsewhere', async () => {
    fixture = await twoInstances({ auto: true });
    await fixture.definition('web');
    await fixture.ecs('CreateService', { serviceName: 'web', taskDefinition: 'web', desiredCount: 2 });
    await steady(fixture, 'web');
    const [first] = await tasksOf(fixture, 'web');
    const containerInstance = first?.containerInstanceArn ?? '';
    expect(await fixture.refused('DeregisterContainerInstance', { containerInstance })).toMatchObject({
      __type: 'InvalidParameterException',
      message: 'Found running tasks on the instance.',
    });
    await fixture.ecs('DeregisterContainerInstance', { containerInstance, force: true });
    await serviceIs(fixture, 'web', 'two elsewhere', (service) => service.runningCount === 2);
    expect(await fixture.tasks({ containerInstance })).toEqual([]);
    const { failures, containerInstances } = await fixture.ecs('DescribeContainerInstances', {
      containerInstances: [containerInstance],
    });
    expect(failures).toEqual([]);
    expect(containerInstances).toMatchObject([{ status: 'INACTIVE', agentConnected: false }]);
  });
});

describe('a daemon', () => {
  test('runs once on every matching instance, follows new ones and rolls stop-first', async () => {
    fixture = await twoInstances({ auto: true });
    await fixture.definition('agent');
    await fixture.ecs('CreateService', { serviceName: 'agent', taskDefinition: 'agent', schedulingStrategy: 'DAEMON' });
    await serviceIs(fixture, 'agent', 'two', (service) => service.runningCount === 2);
    await fixture.instance();
    await serviceIs(fixture, 'agent', 'three', (service) => service.runningCount === 3);
    await steady(fixture, 'agent');
    await fixture.definition('agent');
    await fixture.ecs('UpdateService', { service: 'agent', taskDefinition: 'agent' });
    const done = await steady(fixture, 'agent');
    expect(done.desiredCount).toBe(3);
    const tasks = await tasksOf(fixture, 'agent');
    expect(new Set(tasks.map((task) => task.containerInstanceArn)).size).toBe(3);
    expect(tasks.every((task) => task.taskDefinitionArn.endsWith('agent:2'))).toBe(true);
  });
});

describe('DeleteService', () => {
  test('wants the count at 0 or force, drains, and leaves an INACTIVE service and a free name', async () => {
    fixture = await twoInstances({ auto: true });
    await fixture.definition('web');
    const create = { serviceName: 'web', taskDefinition: 'web', desiredCount: 1 };
    await fixture.ecs('CreateService', create);
    await steady(fixture, 'web');
    expect(await fixture.refused('DeleteService', { service: 'web' })).toMatchObject({
      __type: 'InvalidParameterException',
    });
    expect((await fixture.ecs('DeleteService', { service: 'web', force: true })).service).toMatchObject({
      status: 'DRAINING',
    });
    await serviceIs(fixture, 'web', 'inactive', (service) => service.status === 'INACTIVE');
    expect((await fixture.ecs('ListServices'))['serviceArns']).toEqual([]);
    expect(await fixture.refused('UpdateService', { service: 'web', desiredCount: 1 })).toMatchObject({
      __type: 'ServiceNotActiveException',
    });
    fixture.clock.advance(1);
    await fixture.ecs('CreateService', create);
    // Nothing is told of the service that had this name before.
    expect((await fixture.service('web')).events).toEqual([]);
    expect((await fixture.ecs('ListServiceDeployments', { service: 'web' }))['serviceDeployments']).toHaveLength(1);
    await steady(fixture, 'web');
  });
});

describe('protected tasks', () => {
  test('are left alone when a service shrinks', async () => {
    fixture = await twoInstances({ auto: true });
    await fixture.definition('web');
    await fixture.ecs('CreateService', { serviceName: 'web', taskDefinition: 'web', desiredCount: 3 });
    await steady(fixture, 'web');
    const tasks = await tasksOf(fixture, 'web');
    const keep = tasks.slice(0, 1).map((task) => task.taskArn);
    await fixture.ecs('UpdateTaskProtection', { cluster: 'default', tasks: keep, protectionEnabled: true });
    await fixture.ecs('UpdateService', { service: 'web', desiredCount: 1 });
    await serviceIs(fixture, 'web', 'one', (service) => service.runningCount === 1);
    expect((await tasksOf(fixture, 'web')).map((task) => task.taskArn)).toEqual(keep);
  });
});
