/** Services over a scripted agent: rolling deployments, load balancers, container health. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { idOf, until, type EngineFixture } from './engine-fixture.js';
import { messages, pending, serviceIs, steady, tasksOf, twoInstances } from './service-steps.js';

const GROUP = 'arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/web/0123456789abcdef';

let fixture: EngineFixture;
afterEach(() => fixture.close());

describe('a service', () => {
  test('starts its tasks, spreads them, and tells when it is steady', async () => {
    fixture = await twoInstances({ auto: true });
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
    const done = await steady(fixture, 'web');
    expect(done.deployments[0]).toMatchObject({ rolloutState: 'COMPLETED', runningCount: 2, failedTasks: 0 });
    const tasks = await tasksOf(fixture, 'web');
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

  test('gives its tasks the managed tags, and its own or those of the definition', async () => {
    fixture = await twoInstances({});
    await fixture.definition('web', { tags: [{ key: 'of', value: 'definition' }] });
    const tags = [{ key: 'of', value: 'service' }];
    for (const propagateTags of ['NONE', 'SERVICE', 'TASK_DEFINITION']) {
      const input = { serviceName: propagateTags, taskDefinition: 'web', desiredCount: 1, tags, propagateTags };
      await fixture.ecs('CreateService', { ...input, enableECSManagedTags: propagateTags !== 'NONE' });
    }
    await fixture.quiet();
    const tagsOf = async (serviceName: string): Promise<unknown> => {
      const [task] = await fixture.tasks({ serviceName });
      const { tasks } = await fixture.ecs('DescribeTasks', { tasks: [task?.taskArn], include: ['TAGS'] });
      return tasks?.[0]?.tags;
    };
    const managed = (value: string): object[] => [
      { key: 'aws:ecs:clusterName', value: 'default' },
      { key: 'aws:ecs:serviceName', value },
    ];
    expect(await tagsOf('NONE')).toEqual([]);
    expect(await tagsOf('SERVICE')).toEqual([...managed('SERVICE'), ...tags]);
    expect(await tagsOf('TASK_DEFINITION')).toEqual([
      ...managed('TASK_DEFINITION'),
      { key: 'of', value: 'definition' },
    ]);
  });

  test('replaces a task that ends, and shrinks and grows as asked', async () => {
    fixture = await twoInstances({ auto: true });
    await fixture.definition('web');
    await fixture.ecs('CreateService', { serviceName: 'web', taskDefinition: 'web', desiredCount: 2 });
    await steady(fixture, 'web');
    const [first] = await tasksOf(fixture, 'web');
    fixture.agent.exit(idOf(first?.taskArn ?? ''), 'app', 1);
    await serviceIs(
      fixture,
      'web',
      'one less',
      (service) => messages(service).filter((m) => m.includes('has started')).length === 2,
    );
    await steady(fixture, 'web');
    await fixture.ecs('UpdateService', { service: 'web', desiredCount: 5 });
    await serviceIs(fixture, 'web', 'five', (service) => service.runningCount === 5);
    await fixture.ecs('UpdateService', { service: 'web', desiredCount: 1 });
    await serviceIs(fixture, 'web', 'one', (service) => service.runningCount === 1);
    const stopped = await fixture.tasks({ desiredStatus: 'STOPPED', serviceName: 'web' });
    expect(stopped.filter((task) => task.stopCode === 'ServiceSchedulerInitiated')).toHaveLength(4);
    expect(stopped.at(-1)?.stoppedReason).toBeDefined();
  });

  test('rolls over start-first: the old tasks go when the new ones count as healthy', async () => {
    fixture = await twoInstances();
    await fixture.definition('web');
    await fixture.ecs('CreateService', { serviceName: 'web', taskDefinition: 'web', desiredCount: 2 });
    for (const id of await pending(fixture, 'web', 2)) fixture.agent.start(id);
    await steady(fixture, 'web');
    await fixture.definition('web');
    const { service } = await fixture.ecs('UpdateService', { service: 'web', taskDefinition: 'web' });
    expect(service?.deployments.map((deployment) => deployment.status)).toEqual(['PRIMARY', 'ACTIVE']);
    const [a = '', b = ''] = await pending(fixture, 'web', 2);
    fixture.agent.start(a);
    await serviceIs(fixture, 'web', 'one old stopping', () => fixture.agent.stops.length === 1);
    // The second new task is not there yet, so the second old one stays.
    expect((await tasksOf(fixture, 'web')).length).toBe(3);
    fixture.agent.start(b);
    await serviceIs(fixture, 'web', 'both old stopping', () => fixture.agent.stops.length === 2);
    expect((await fixture.service('web')).deployments).toHaveLength(2);
    for (const { taskId } of fixture.agent.stops) fixture.agent.finish(taskId);
    const done = await steady(fixture, 'web');
    expect(done.taskDefinition).toMatch(/web:2$/);
    for (const { why } of fixture.agent.stops) {
      expect(why.reason).toBe(`Scaling activity initiated by (deployment ${done.deployments[0]?.id ?? ''})`);
    }
  });

  test('with 0 and 100 percent stops all, then starts all', async () => {
    fixture = await twoInstances();
    await fixture.definition('web');
    const deploymentConfiguration = { minimumHealthyPercent: 0, maximumPercent: 100 };
    await fixture.ecs('CreateService', {
      serviceName: 'web',
      taskDefinition: 'web',
      desiredCount: 2,
      deploymentConfiguration,
    });
    for (const id of await pending(fixture, 'web', 2)) fixture.agent.start(id);
    await steady(fixture, 'web');
    await fixture.ecs('UpdateService', { service: 'web', forceNewDeployment: true });
    const fresh = await pending(fixture, 'web', 2);
    expect(fixture.agent.stops).toHaveLength(2);
    expect(fixture.agent.stops.map((stop) => stop.taskId)).not.toEqual(expect.arrayContaining(fresh));
  });

  test('that can neither start nor stop says so once', async () => {
    fixture = await twoInstances({ auto: true });
    await fixture.definition('web');
    const deploymentConfiguration = { minimumHealthyPercent: 100, maximumPercent: 150 };
    await fixture.ecs('CreateService', {
      serviceName: 'web',
      taskDefinition: 'web',
      desiredCount: 1,
      deploymentConfiguration,
    });
    await steady(fixture, 'web');
    await fixture.ecs('UpdateService', { service: 'web', forceNewDeployment: true });
    const stuck = await serviceIs(
      fixture,
      'web',
      'stuck',
      (service) => messages(service)[0]?.includes('was unable to stop or start') === true,
    );
    expect(stuck.deployments).toHaveLength(2);
    fixture.clock.advance(10_000);
    await fixture.ecs('UpdateService', { service: 'web', deploymentConfiguration: { maximumPercent: 200 } });
    const done = await steady(fixture, 'web');
    expect(messages(done).filter((message) => message.includes('was unable to stop or start'))).toHaveLength(1);
  });
});

describe('behind a load balancer', () => {
  const loadBalancers = [{ targetGroupArn: GROUP, containerName: 'app', containerPort: 80 }];

  test('a task is ACTIVATING until its target is registered, and its target is drained before it is stopped', async () => {
    fixture = await twoInstances({ auto: true });
    await fixture.definition('web', {}, { portMappings: [{ containerPort: 80 }] });
    fixture.targets.initial = 'initial';
    fixture.targets.holdDrains = true;
    await fixture.ecs('CreateService', { serviceName: 'web', taskDefinition: 'web', desiredCount: 1, loadBalancers });
    await serviceIs(fixture, 'web', 'running', (service) => service.runningCount === 1);
    const [task] = await tasksOf(fixture, 'web');
    const states = (): unknown[] =>
      fixture.events
        .filter((event) => event.resources[0] === task?.taskArn && event['detail-type'] === 'ECS Task State Change')
        .map((event) => event.detail['lastStatus']);
    await until('the RUNNING event', () => states().length === 3);
    expect(states()).toEqual(['PENDING', 'ACTIVATING', 'RUNNING']);
    fixture.clock.advance(60_000);
    expect((await fixture.service('web')).deployments[0]?.rolloutState).toBe('IN_PROGRESS');
    fixture.targets.setAll('healthy');
    await steady(fixture, 'web');
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
    const told = messages(await fixture.service('web')).map((message) => message.replace('(service web) ', ''));
    expect(told).toEqual(
      expect.arrayContaining([
        `has started 1 tasks: (task ${idOf(task?.taskArn ?? '')}).`,
        `registered 1 targets in (target-group ${GROUP})`,
        `deregistered 1 targets in (target-group ${GROUP})`,
        'has begun draining connections on 1 tasks.',
        `has stopped 1 running tasks: (task ${idOf(task?.taskArn ?? '')}).`,
      ]),
    );
    expect(states().slice(3)).toEqual(
      ['DEACTIVATING', 'STOPPING', 'STOPPING', 'STOPPED'].slice(0, states().length - 3),
    );
  });

  test('an unhealthy target is replaced start-first', async () => {
    fixture = await twoInstances({ auto: true });
    await fixture.definition('web', {}, { portMappings: [{ containerPort: 80 }] });
    await fixture.ecs('CreateService', { serviceName: 'web', taskDefinition: 'web', desiredCount: 1, loadBalancers });
    await steady(fixture, 'web');
    const [target = ''] = fixture.targets.registered;
    const [ill] = await tasksOf(fixture, 'web');
    fixture.targets.set(target, 'unhealthy');
    await serviceIs(fixture, 'web', 'the ill one to go', () => fixture.agent.stops.length === 1);
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
    const done = await steady(fixture, 'web');
    expect(messages(done)).toContain(
      `(service web) (task ${idOf(ill?.taskArn ?? '')}) failed ELB health checks in (target-group ${GROUP}).`,
    );
  });

  test('the targets of running tasks are registered again after a restart', async () => {
    fixture = await twoInstances({ auto: true });
    await fixture.definition('web', {}, { portMappings: [{ containerPort: 80 }] });
    await fixture.ecs('CreateService', { serviceName: 'web', taskDefinition: 'web', desiredCount: 2, loadBalancers });
    await steady(fixture, 'web');
    const before = fixture.targets.log.length;
    await fixture.restart();
    await until('two registrations', () => fixture.targets.log.length === before + 2);
    expect(fixture.targets.registered).toHaveLength(2);
    expect(fixture.agent.taskIds).toHaveLength(2);
  });

  test('a port that the definition does not publish is refused', async () => {
    fixture = await twoInstances();
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
    fixture = await twoInstances({ auto: true });
    await fixture.definition('web', {}, { healthCheck });
    await fixture.ecs('CreateService', { serviceName: 'web', taskDefinition: 'web', desiredCount: 1 });
    await serviceIs(fixture, 'web', 'running', (service) => service.runningCount === 1);
    fixture.clock.advance(100_000);
    expect((await fixture.service('web')).deployments[0]?.rolloutState).toBe('IN_PROGRESS');
    const [id = ''] = fixture.agent.taskIds;
    fixture.agent.health(id, 'app', 'HEALTHY');
    await steady(fixture, 'web');
    expect((await tasksOf(fixture, 'web'))[0]?.healthStatus).toBe('HEALTHY');
    fixture.agent.health(id, 'app', 'UNHEALTHY');
    await serviceIs(fixture, 'web', 'a replacement', () => fixture.agent.taskIds.length === 2);
    fixture.agent.health(fixture.agent.taskIds[1] ?? '', 'app', 'HEALTHY');
    await serviceIs(fixture, 'web', 'only the replacement', () => !fixture.agent.taskIds.includes(id));
    const done = await steady(fixture, 'web');
    expect(messages(done)).toContain(`(service web) (task ${id}) failed container health checks.`);
  });
});
