/** When a task counts as healthy, and what the circuit breaker makes of tasks that run and do not become it. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { DEFAULT_OPTIONS } from '../../lib/engine/context.js';
import { judge } from '../../lib/engine/services/health.js';
import type { TaskState } from '../../lib/engine/state/model.js';
import type { ServiceState } from '../../lib/engine/state/service-model.js';
import type { EngineFixture } from './engine-fixture.js';
import { messages, pending, serviceIs, stable, steady, tasksOf, twoInstances } from './service-steps.js';

const GROUP = 'arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/web/0123456789abcdef';
const STARTED = 1_000_000;

describe('a task counts', () => {
  type Target = 'healthy' | 'unhealthy' | 'initial' | undefined;
  type Container = 'HEALTHY' | 'UNHEALTHY' | 'UNKNOWN' | undefined;
  test.each<[target: Target, container: Container, afterS: number, graceS: number, verdict: string]>([
    // Neither check nor load balancer: 40 s after RUNNING.
    [undefined, undefined, 39, 0, 'waiting'],
    [undefined, undefined, 40, 0, 'healthy'],
    [undefined, 'HEALTHY', 0, 0, 'healthy'],
    [undefined, 'UNKNOWN', 100, 0, 'waiting'],
    [undefined, 'UNHEALTHY', 100, 0, 'unhealthy'],
    ['healthy', undefined, 0, 0, 'healthy'],
    ['initial', undefined, 100, 0, 'waiting'],
    ['unhealthy', undefined, 100, 0, 'unhealthy'],
    // Both: both have to be.
    ['healthy', 'HEALTHY', 0, 0, 'healthy'],
    ['healthy', 'UNKNOWN', 100, 0, 'waiting'],
    ['healthy', 'UNHEALTHY', 100, 0, 'unhealthy'],
    ['unhealthy', 'HEALTHY', 100, 0, 'unhealthy'],
    ['initial', 'HEALTHY', 100, 0, 'waiting'],
    // The grace period holds for failures only.
    ['unhealthy', undefined, 59, 60, 'waiting'],
    ['unhealthy', undefined, 60, 60, 'unhealthy'],
    ['healthy', undefined, 1, 60, 'healthy'],
    [undefined, 'UNHEALTHY', 59, 60, 'waiting'],
  ])(
    'target %s, container %s, %i s after RUNNING with %i s of grace: %s',
    (target, container, afterS, graceS, verdict) => {
      const task = {
        lastStatus: 'RUNNING',
        desiredStatus: 'RUNNING',
        startedAtMs: STARTED,
        containers: [{ essential: true, hasHealthCheck: container !== undefined, healthStatus: container }],
        targets: target === undefined ? [] : [{ targetGroupArn: GROUP, host: '10.0.0.1', port: 80 }],
      } as unknown as TaskState;
      const service = { healthCheckGracePeriodSeconds: graceS } as ServiceState;
      const targetGroups = { health: () => target ?? 'unused' } as const;
      const { healthyAfterRunningMs } = DEFAULT_OPTIONS;
      const rules = { targetGroups, healthyAfterRunningMs, nowMs: STARTED + afterS * 1000 };
      expect(judge(task, service, rules).verdict).toBe(verdict);
    },
  );
});

describe('the circuit breaker on tasks that run', () => {
  let fixture: EngineFixture;
  afterEach(() => fixture.close());

  const breaker = (more: object = {}): object => ({
    deploymentCircuitBreaker: {
      enable: true,
      rollback: true,
      thresholdConfiguration: { type: 'COUNT', value: 2 },
      ...more,
    },
  });

  test('trips when container health checks fail, and goes back to what was good', async () => {
    fixture = await twoInstances({ auto: true });
    await fixture.definition('web');
    const deploymentConfiguration = breaker();
    const service = { serviceName: 'web', taskDefinition: 'web', desiredCount: 1, deploymentConfiguration };
    await fixture.ecs('CreateService', service);
    await steady(fixture, 'web');
    await fixture.definition('web', {}, { healthCheck: { command: ['CMD', 'false'] } });
    fixture.agent.auto = false;
    await fixture.ecs('UpdateService', { service: 'web', taskDefinition: 'web' });
    for (let failures = 0; failures < 2; failures += 1) {
      const [id = ''] = await pending(fixture, 'web', 1);
      fixture.agent.start(id);
      await fixture.quiet();
      fixture.agent.health(id, 'app', 'UNHEALTHY');
      await serviceIs(fixture, 'web', 'the ill one stopping', () => fixture.agent.stops.length > failures);
      fixture.agent.finish(id);
    }
    const back = await serviceIs(fixture, 'web', 'rolled back', stable);
    expect(back.taskDefinition).toMatch(/web:1$/);
  });

  test.each([
    [true, 'goes on'],
    [false, 'trips'],
  ])('with resetOnHealthyTask %s a healthy task between two failures: it %s', async (resetOnHealthyTask, outcome) => {
    fixture = await twoInstances({ relaunchDelayMs: 1000 });
    await fixture.definition('web');
    const deploymentConfiguration = breaker({ resetOnHealthyTask, rollback: false });
    const service = { serviceName: 'web', taskDefinition: 'web', desiredCount: 2, deploymentConfiguration };
    await fixture.ecs('CreateService', service);
    const [first = '', second = ''] = await pending(fixture, 'web', 2);
    fixture.agent.failToStart(first);
    fixture.agent.start(second);
    await serviceIs(fixture, 'web', 'one healthy', (now) => now.runningCount === 1);
    fixture.clock.advance(1000);
    const [third = ''] = await pending(fixture, 'web', 1);
    fixture.agent.failToStart(third);
    const settled = await serviceIs(
      fixture,
      'web',
      'the second failure counted',
      (now) => (now.deployments[0]?.failedTasks ?? 0) > 0 && messages(now).length > 1,
    );
    await fixture.quiet();
    const now = (await fixture.service('web')).deployments[0];
    expect(settled.deployments).toHaveLength(1);
    expect(now?.rolloutState).toBe(outcome === 'trips' ? 'FAILED' : 'IN_PROGRESS');
  });
});

describe('a daemon', () => {
  let fixture: EngineFixture;
  afterEach(() => fixture.close());

  test('has 0 and 100 percent, and leaves an instance that no longer meets its constraints', async () => {
    fixture = await twoInstances({ auto: true });
    const marked = await fixture.instance({ attributes: [{ name: 'stage', value: 'prod' }] });
    await fixture.definition('agent');
    const placementConstraints = [{ type: 'memberOf', expression: 'attribute:stage == prod' }];
    const input = { serviceName: 'agent', taskDefinition: 'agent', schedulingStrategy: 'DAEMON', placementConstraints };
    const { service } = await fixture.ecs('CreateService', input);
    expect(service).toMatchObject({ deploymentConfiguration: { minimumHealthyPercent: 0, maximumPercent: 100 } });
    await serviceIs(fixture, 'agent', 'one', (now) => now.runningCount === 1 && now.desiredCount === 1);
    expect((await tasksOf(fixture, 'agent'))[0]?.containerInstanceArn).toBe(marked);
    await fixture.ecs('PutAttributes', { attributes: [{ name: 'stage', value: 'test', targetId: marked }] });
    await serviceIs(fixture, 'agent', 'none', (now) => now.runningCount === 0 && now.desiredCount === 0);
    expect(await fixture.tasks({ serviceName: 'agent' })).toEqual([]);
  });
});
