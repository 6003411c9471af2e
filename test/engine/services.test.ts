/** Services over a scripted agent: rolling deployments, health, circuit breaker, drains, restarts. */
import { afterEach, describe, expect, test } from '@jest/globals';
import type { EngineEvent } from '../../lib/engine/index.js';
import {
  createEngineFixture,
  idOf,
  until,
  type EngineFixture,
  type ServiceBody,
  type TaskBody,
} from './engine-fixture.js';

const GROUP = 'arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/web/0123456789abcdef';
const HEALTHY_AFTER_MS = 1000;

let fixture: EngineFixture;
afterEach(() => fixture.close());

async function setUp(options: Parameters<typeof createEngineFixture>[0] = {}): Promise<void> {
  fixture = await createEngineFixture({ healthyAfterRunningMs: HEALTHY_AFTER_MS, ...options });
  await fixture.instance();
  await fixture.instance();
}

/** Moves time on in steps until this holds of the service; the engine does all it can at each time. */
async function serviceIs(name: string, what: string, holds: (service: ServiceBody) => boolean): Promise<ServiceBody> {
  for (let step = 0; step < 400; step += 1) {
    await fixture.quiet();
    const service = await fixture.service(name);
    if (holds(service)) return service;
    fixture.clock.advance(250);
  }
  throw new Error(`never came about: ${name}: ${what}`);
}

const stable = (service: ServiceBody): boolean =>
  service.deployments.length === 1 &&
  service.runningCount === service.desiredCount &&
  service.deployments[0]?.rolloutState === 'COMPLETED';

const steady = (name: string): Promise<ServiceBody> =>
  serviceIs(
    name,
    'steady',
    (service) => stable(service) && messages(service)[0] === `(service ${name}) has reached a steady state.`,
  );

const messages = (service: ServiceBody): string[] => service.events.map((event) => event.message);

const tasksOf = (name: string): Promise<readonly TaskBody[]> => fixture.tasks({ serviceName: name });

/** Moves time on until so many tasks wait for the agent. */
async function pending(name: string, count: number): Promise<string[]> {
  let ids: string[] = [];
  for (let step = 0; step < 400 && ids.length < count; step += 1) {
    await fixture.quiet();
    ids = (await tasksOf(name)).filter((task) => task.lastStatus === 'PENDING').map((task) => idOf(task.taskArn));
    if (ids.length < count) fixture.clock.advance(100);
  }
  expect(ids).toHaveLength(count);
  return ids;
}

describe('a service', () => {
  test('starts its tasks, spreads them, and tells when it is steady', async () => {
    await setUp({ auto: true });
    await fixture.definition('web');
    const { service } = await fixture.ecs('CreateService', {
      serviceName: 'web',
      taskDefinition: 'web',
      desiredCount: 2,
    });
    expect(service).toMatchObject({
      status: 'ACTIVE',
      runningCount: 0,
      deployments: [{ status: 'PRIMARY', rolloutState: 'IN_PROGRESS' }],
    });
    const done = await steady('web');
    expect(done.deployments[0]).toMatchObject({ rolloutState: 'COMPLETED', runningCount: 2, failedTasks: 0 });
    const tasks = await tasksOf('web');
    expect(new Set(tasks.map((task) => task.containerInstanceArn)).size).toBe(2);
    expect(tasks[0]).toMatchObject({ group: 'service:web', startedBy: done.deployments[0]?.id });
    expect(messages(done)).toEqual([
      '(service web) has reached a steady state.',
      `(service web) (deployment ${done.deployments[0]?.id ?? ''}) deployment completed.`,
      expect.stringMatching(/^\(service web\) has started 2 tasks: \(task [0-9a-f]{32}\) \(task [0-9a-f]{32}\)\.$/),
    ]);
    const names = (): string[] =>
      fixture.events.flatMap((event) => (event.detail['eventName'] as string | undefined) ?? []);
    await until('three events', () => names().length === 3);
    expect(names()).toEqual(['SERVICE_DEPLOYMENT_IN_PROGRESS', 'SERVICE_DEPLOYMENT_COMPLETED', 'SERVICE_STEADY_STATE']);
  });

  test('replaces a task that ends, and shrinks and grows as asked', async () => {
    await setUp({ auto: true });
    await fixture.definition('web');
    await fixture.ecs('CreateService', { serviceName: 'web', taskDefinition: 'web', desiredCount: 2 });
    await steady('web');
    const [first] = await tasksOf('web');
    fixture.agent.exit(idOf(first?.taskArn ?? ''), 'app', 1);
    await serviceIs(
      'web',
      'one less',
      (service) => messages(service).filter((m) => m.includes('has started')).length === 2,
    );
    await steady('web');
    await fixture.ecs('UpdateService', { service: 'web', desiredCount: 5 });
    await serviceIs('web', 'five', (service) => service.runningCount === 5);
    await fixture.ecs('UpdateService', { service: 'web', desiredCount: 1 });
    await serviceIs('web', 'one', (service) => service.runningCount === 1);
    const stopped = await fixture.tasks({ desiredStatus: 'STOPPED', serviceName: 'web' });
    expect(stopped.filter((task) => task.stopCode === 'ServiceSchedulerInitiated')).toHaveLength(4);
    expect(stopped.at(-1)?.stoppedReason).toBeDefined();
  });

  test('rolls over start-first: the old tasks go when the new ones count as healthy', async () => {
    await setUp();
    await fixture.definition('web');
    await fixture.ecs('CreateService', { serviceName: 'web', taskDefinition: 'web', desiredCount: 2 });
    for (const id of await pending('web', 2)) fixture.agent.start(id);
    await steady('web');
    await fixture.definition('web');
    const { service } = await fixture.ecs('UpdateService', { service: 'web', taskDefinition: 'web' });
    expect(service?.deployments.map((deployment) => deployment.status)).toEqual(['PRIMARY', 'ACTIVE']);
    const [a = '', b = ''] = await pending('web', 2);
    fixture.agent.start(a);
    await serviceIs('web', 'one old stopping', () => fixture.agent.stops.length === 1);
    // The second new task is not there yet, so the second old one stays.
    expect((await tasksOf('web')).length).toBe(3);
    fixture.agent.start(b);
    await serviceIs('web', 'both old stopping', () => fixture.agent.stops.length === 2);
    expect((await fixture.service('web')).deployments).toHaveLength(2);
    for (const { taskId } of fixture.agent.stops) fixture.agent.finish(taskId);
    const done = await steady('web');
    expect(done.taskDefinition).toMatch(/web:2$/);
    for (const { why } of fixture.agent.stops) {
      expect(why.reason).toBe(`Scaling activity initiated by (deployment ${done.deployments[0]?.id ?? ''})`);
    }
  });

  test('with 0 and 100 percent stops all, then starts all', async () => {
    await setUp();
    await fixture.definition('web');
    const deploymentConfiguration = { minimumHealthyPercent: 0, maximumPercent: 100 };
    await fixture.ecs('CreateService', {
      serviceName: 'web',
      taskDefinition: 'web',
      desiredCount: 2,
      deploymentConfiguration,
    });
    for (const id of await pending('web', 2)) fixture.agent.start(id);
    await steady('web');
    await fixture.ecs('UpdateService', { service: 'web', forceNewDeployment: true });
    const fresh = await pending('web', 2);
    expect(fixture.agent.stops).toHaveLength(2);
    expect(fixture.agent.stops.map((stop) => stop.taskId)).not.toEqual(expect.arrayContaining(fresh));
  });

  test('that can neither start nor stop says so once', async () => {
    await setUp({ auto: true });
    await fixture.definition('web');
    const deploymentConfiguration = { minimumHealthyPercent: 100, maximumPercent: 150 };
    await fixture.ecs('CreateService', {
      serviceName: 'web',
      taskDefinition: 'web',
      desiredCount: 1,
      deploymentConfiguration,
    });
    await steady('web');
    await fixture.ecs('UpdateService', { service: 'web', forceNewDeployment: true });
    const stuck = await serviceIs(
      'web',
      'stuck',
      (service) => messages(service)[0]?.includes('was unable to stop or start') === true,
    );
    expect(stuck.deployments).toHaveLength(2);
    fixture.clock.advance(10_000);
    await fixture.ecs('UpdateService', { service: 'web', deploymentConfiguration: { maximumPercent: 200 } });
    const done = await steady('web');
    expect(messages(done).filter((message) => message.includes('was unable to stop or start'))).toHaveLength(1);
  });
});

describe('behind a load balancer', () => {
  const loadBalancers = [{ targetGroupArn: GROUP, containerName: 'app', containerPort: 80 }];

  test('a task is ACTIVATING until its target is registered, and its target is drained before it is stopped', async () => {
    await setUp({ auto: true });
    await fixture.definition('web', {}, { portMappings: [{ containerPort: 80 }] });
    fixture.targets.initial = 'initial';
    fixture.targets.holdDrains = true;
    await fixture.ecs('CreateService', { serviceName: 'web', taskDefinition: 'web', desiredCount: 1, loadBalancers });
    await serviceIs('web', 'running', (service) => service.runningCount === 1);
    const [task] = await tasksOf('web');
    const states = (): unknown[] =>
      fixture.events
        .filter((event) => event.resources[0] === task?.taskArn && event['detail-type'] === 'ECS Task State Change')
        .map((event) => event.detail['lastStatus']);
    await until('the RUNNING event', () => states().length === 3);
    expect(states()).toEqual(['PENDING', 'ACTIVATING', 'RUNNING']);
    fixture.clock.advance(60_000);
    expect((await fixture.service('web')).deployments[0]?.rolloutState).toBe('IN_PROGRESS');
    fixture.targets.setAll('healthy');
    await steady('web');
    await fixture.ecs('UpdateService', { service: 'web', desiredCount: 0 });
    await until('the drain', () => fixture.targets.log.at(-1)?.startsWith('deregister') === true);
    // Still running: requests under way have not ended.
    expect(await fixture.tasks({ desiredStatus: 'STOPPED' })).toMatchObject([{ lastStatus: 'DEACTIVATING' }]);
    fixture.targets.drained();
    await until(
      'STOPPED',
      async () => (await fixture.tasks({ desiredStatus: 'STOPPED' }))[0]?.lastStatus === 'STOPPED',
    );
    await until('the last event', () => states().length >= 6);
    expect(states().slice(3)).toEqual(
      ['DEACTIVATING', 'STOPPING', 'STOPPING', 'STOPPED'].slice(0, states().length - 3),
    );
  });

  test('an unhealthy target is replaced start-first', async () => {
    await setUp({ auto: true });
    await fixture.definition('web', {}, { portMappings: [{ containerPort: 80 }] });
    await fixture.ecs('CreateService', { serviceName: 'web', taskDefinition: 'web', desiredCount: 1, loadBalancers });
    await steady('web');
    const [target = ''] = fixture.targets.registered;
    const [ill] = await tasksOf('web');
    fixture.targets.set(target, 'unhealthy');
    await serviceIs('web', 'the ill one to go', () => fixture.agent.stops.length === 1);
    expect(fixture.targets.log.map((line) => line.split(' ')[0])).toEqual([
      'register',
      'register',
      'deregister',
      'deregister',
    ]);
    expect(fixture.agent.stops[0]).toMatchObject({
      taskId: idOf(ill?.taskArn ?? ''),
      why: { reason: `Task failed ELB health checks in (target-group ${GROUP})` },
    });
    const done = await steady('web');
    expect(messages(done)).toContain(
      `(service web) (task ${idOf(ill?.taskArn ?? '')}) failed ELB health checks in (target-group ${GROUP}).`,
    );
  });

  test('the targets of running tasks are registered again after a restart', async () => {
    await setUp({ auto: true });
    await fixture.definition('web', {}, { portMappings: [{ containerPort: 80 }] });
    await fixture.ecs('CreateService', { serviceName: 'web', taskDefinition: 'web', desiredCount: 2, loadBalancers });
    await steady('web');
    const before = fixture.targets.log.length;
    await fixture.restart();
    await until('two registrations', () => fixture.targets.log.length === before + 2);
    expect(fixture.targets.registered).toHaveLength(2);
    expect(fixture.agent.taskIds).toHaveLength(2);
  });

  test('a port that the definition does not publish is refused', async () => {
    await setUp();
    await fixture.definition('web');
    expect(
      await fixture.refused('CreateService', {
        serviceName: 'web',
        taskDefinition: 'web',
        desiredCount: 1,
        loadBalancers,
      }),
    ).toMatchObject({
      __type: 'InvalidParameterException',
      message: expect.stringContaining('container port 80') as unknown,
    });
  });
});

describe('container health', () => {
  const healthCheck = { command: ['CMD-SHELL', 'true'] };

  test('decides: a task counts when HEALTHY and is replaced when UNHEALTHY', async () => {
    await setUp({ auto: true });
    await fixture.definition('web', {}, { healthCheck });
    await fixture.ecs('CreateService', { serviceName: 'web', taskDefinition: 'web', desiredCount: 1 });
    await serviceIs('web', 'running', (service) => service.runningCount === 1);
    fixture.clock.advance(100_000);
    expect((await fixture.service('web')).deployments[0]?.rolloutState).toBe('IN_PROGRESS');
    const [id = ''] = fixture.agent.taskIds;
    fixture.agent.health(id, 'app', 'HEALTHY');
    await steady('web');
    expect((await tasksOf('web'))[0]?.healthStatus).toBe('HEALTHY');
    fixture.agent.health(id, 'app', 'UNHEALTHY');
    await serviceIs('web', 'a replacement', () => fixture.agent.taskIds.length === 2);
    fixture.agent.health(fixture.agent.taskIds[1] ?? '', 'app', 'HEALTHY');
    await serviceIs('web', 'only the replacement', () => !fixture.agent.taskIds.includes(id));
    const done = await steady('web');
    expect(messages(done)).toContain(`(service web) (task ${id}) failed container health checks.`);
  });
});

describe('the circuit breaker', () => {
  const deploymentConfiguration = {
    deploymentCircuitBreaker: { enable: true, rollback: true, thresholdConfiguration: { type: 'COUNT', value: 2 } },
  };

  async function upAndThenBad(): Promise<void> {
    await setUp({ auto: true });
    await fixture.definition('web');
    await fixture.ecs('CreateService', {
      serviceName: 'web',
      taskDefinition: 'web',
      desiredCount: 1,
      deploymentConfiguration,
    });
    await steady('web');
    await fixture.definition('web', {}, { image: 'broken:1' });
    fixture.agent.auto = false;
    await fixture.ecs('UpdateService', { service: 'web', taskDefinition: 'web' });
  }

  test('gives up a deployment whose tasks never start, and brings the last good one back', async () => {
    await upAndThenBad();
    const good = (await fixture.service('web')).deployments[1]?.id;
    for (let failures = 0; failures < 2; failures += 1) {
      const [id = ''] = await pending('web', 1);
      fixture.agent.failToStart(id);
    }
    const back = await serviceIs('web', 'rolled back', stable);
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
      const [id = ''] = await pending('web', 1);
      fixture.agent.start(id);
      fixture.agent.exit(id, 'app', 1);
    }
    const back = await serviceIs('web', 'rolled back', stable);
    expect(back.taskDefinition).toMatch(/web:1$/);
  });

  test('without a good deployment to go back to leaves the service FAILED and launches no more', async () => {
    await setUp();
    await fixture.definition('web');
    await fixture.ecs('CreateService', {
      serviceName: 'web',
      taskDefinition: 'web',
      desiredCount: 1,
      deploymentConfiguration,
    });
    for (let failures = 0; failures < 2; failures += 1) {
      const [id = ''] = await pending('web', 1);
      fixture.agent.failToStart(id);
    }
    const failed = await serviceIs('web', 'failed', (service) => service.deployments[0]?.rolloutState === 'FAILED');
    expect(failed.deployments[0]?.rolloutStateReason).toBe('ECS deployment circuit breaker: tasks failed to start.');
    const launched = fixture.agent.runs.length;
    fixture.clock.advance(3_600_000);
    await fixture.service('web');
    expect(fixture.agent.runs).toHaveLength(launched);
  });
});

describe('launches that fail', () => {
  test('wait longer and longer, and the service says that it is impaired', async () => {
    await setUp({ relaunchDelayMs: 1000 });
    await fixture.definition('web');
    await fixture.ecs('CreateService', { serviceName: 'web', taskDefinition: 'web', desiredCount: 1 });
    const waits: number[] = [];
    for (let failures = 0; failures < 4; failures += 1) {
      const [id = ''] = await pending('web', 1);
      const failedAtMs = fixture.clock.nowMs();
      fixture.agent.failToStart(id);
      await pending('web', 1);
      waits.push(fixture.clock.nowMs() - failedAtMs);
    }
    expect(waits).toEqual([1000, 2000, 4000, 8000]);
    expect(
      messages(await fixture.service('web')).some((message) => message.includes('unable to consistently start tasks')),
    ).toBe(true);
  });

  test('for want of room are explained once and made when there is room', async () => {
    fixture = await createEngineFixture({ auto: true, healthyAfterRunningMs: HEALTHY_AFTER_MS });
    await fixture.instance({ cpu: 128 });
    await fixture.definition('web');
    await fixture.ecs('CreateService', { serviceName: 'web', taskDefinition: 'web', desiredCount: 2 });
    const waiting = await serviceIs(
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
    await steady('web');
  });
});

describe('container instances', () => {
  test('that drain lose their service tasks within the bounds, standalone tasks stay', async () => {
    await setUp({ auto: true });
    await fixture.definition('web');
    await fixture.ecs('CreateService', { serviceName: 'web', taskDefinition: 'web', desiredCount: 2 });
    await steady('web');
    const [first] = await tasksOf('web');
    const instance = first?.containerInstanceArn ?? '';
    const job = (await fixture.ecs('StartTask', { taskDefinition: 'web', containerInstances: [instance] })).tasks?.[0];
    await fixture.ecs('UpdateContainerInstancesState', { containerInstances: [instance], status: 'DRAINING' });
    await serviceIs('web', 'moved', () => fixture.agent.stops.length === 1);
    await steady('web');
    const left = await fixture.tasks({ containerInstance: instance });
    expect(left.map((task) => task.taskArn)).toEqual([job?.taskArn]);
  });

  test('that are deregistered by force lose their tasks, and services replace them elsewhere', async () => {
    await setUp({ auto: true });
    await fixture.definition('web');
    await fixture.ecs('CreateService', { serviceName: 'web', taskDefinition: 'web', desiredCount: 2 });
    await steady('web');
    const [first] = await tasksOf('web');
    const containerInstance = first?.containerInstanceArn ?? '';
    expect(await fixture.refused('DeregisterContainerInstance', { containerInstance })).toMatchObject({
      __type: 'InvalidParameterException',
      message: 'Found running tasks on the instance.',
    });
    await fixture.ecs('DeregisterContainerInstance', { containerInstance, force: true });
    await serviceIs('web', 'two elsewhere', (service) => service.runningCount === 2);
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
    await setUp({ auto: true });
    await fixture.definition('agent');
    await fixture.ecs('CreateService', { serviceName: 'agent', taskDefinition: 'agent', schedulingStrategy: 'DAEMON' });
    await serviceIs('agent', 'two', (service) => service.runningCount === 2);
    await fixture.instance();
    await serviceIs('agent', 'three', (service) => service.runningCount === 3);
    await steady('agent');
    await fixture.definition('agent');
    await fixture.ecs('UpdateService', { service: 'agent', taskDefinition: 'agent' });
    const done = await steady('agent');
    expect(done.desiredCount).toBe(3);
    const tasks = await tasksOf('agent');
    expect(new Set(tasks.map((task) => task.containerInstanceArn)).size).toBe(3);
    expect(tasks.every((task) => task.taskDefinitionArn.endsWith('agent:2'))).toBe(true);
  });
});

describe('DeleteService', () => {
  test('wants the count at 0 or force, drains, and leaves an INACTIVE service and a free name', async () => {
    await setUp({ auto: true });
    await fixture.definition('web');
    const create = { serviceName: 'web', taskDefinition: 'web', desiredCount: 1 };
    await fixture.ecs('CreateService', create);
    await steady('web');
    expect(await fixture.refused('DeleteService', { service: 'web' })).toMatchObject({
      __type: 'InvalidParameterException',
    });
    expect((await fixture.ecs('DeleteService', { service: 'web', force: true })).service).toMatchObject({
      status: 'DRAINING',
    });
    await serviceIs('web', 'inactive', (service) => service.status === 'INACTIVE');
    expect((await fixture.ecs('ListServices'))['serviceArns']).toEqual([]);
    expect(await fixture.refused('UpdateService', { service: 'web', desiredCount: 1 })).toMatchObject({
      __type: 'ServiceNotActiveException',
    });
    await fixture.ecs('CreateService', create);
    await steady('web');
  });
});

describe('protected tasks', () => {
  test('are left alone when a service shrinks', async () => {
    await setUp({ auto: true });
    await fixture.definition('web');
    await fixture.ecs('CreateService', { serviceName: 'web', taskDefinition: 'web', desiredCount: 3 });
    await steady('web');
    const tasks = await tasksOf('web');
    const keep = tasks.slice(0, 1).map((task) => task.taskArn);
    await fixture.ecs('UpdateTaskProtection', { cluster: 'default', tasks: keep, protectionEnabled: true });
    await fixture.ecs('UpdateService', { service: 'web', desiredCount: 1 });
    await serviceIs('web', 'one', (service) => service.runningCount === 1);
    expect((await tasksOf('web')).map((task) => task.taskArn)).toEqual(keep);
  });
});
