/** The limits of ECS, one row each: what is just within them is taken, what is beyond is refused and named. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { DEFAULT_OPTIONS } from '../../lib/engine/context.js';
import { createEngineFixture, idOf, until, type EngineFixture } from './engine-fixture.js';

let fixture: EngineFixture;
/** One engine for all rows: each is about a request of its own. */
beforeAll(async () => {
  fixture = await createEngineFixture({ auto: true });
  await fixture.instance();
  await fixture.definition('web');
  await fixture.definition('bound', { placementConstraints: constraints(4) });
});
afterAll(() => fixture.close());

/** For a test that needs an engine of its own. */
async function alone(options: Parameters<typeof createEngineFixture>[0] = {}): Promise<void> {
  await fixture.close();
  fixture = await createEngineFixture({ auto: true, ...options });
  await fixture.instance();
  await fixture.definition('web');
}

const many = <T>(count: number, item: (index: number) => T): T[] => Array.from({ length: count }, (_, i) => item(i));
/** Long enough to be ids of tasks and instances. */
const names = (count: number): string[] => many(count, (i) => `x${String(i).padStart(31, '0')}`);
const tags = (count: number): object[] => many(count, (i) => ({ key: String(i), value: '' }));
const strategies = (count: number): object[] => many(count, () => ({ type: 'binpack', field: 'cpu' }));
const constraints = (count: number): object[] =>
  many(count, () => ({ type: 'memberOf', expression: 'attribute:ecs.os-type == linux' }));
const container = { name: 'app', image: 'x', memory: 64 };
const withContainer = (more: object): object => ({ family: 'f', containerDefinitions: [{ ...container, ...more }] });
const containers = (count: number): object => ({
  family: 'f',
  containerDefinitions: many(count, (i) => ({ ...container, name: `c${String(i)}` })),
});
const health = (more: object): object => withContainer({ healthCheck: { command: ['CMD', 'true'], ...more } });
const restart = (more: object): object => withContainer({ restartPolicy: { enabled: true, ...more } });
let services = 0;
const service = (more: object): object => ({
  serviceName: `s${String((services += 1))}`,
  taskDefinition: 'web',
  desiredCount: 0,
  ...more,
});
const run = (more: object): object => ({ taskDefinition: 'web', ...more });
const resources = (ports: number): object => ({
  totalResources: [
    { name: 'CPU', type: 'INTEGER', integerValue: 1024 },
    { name: 'MEMORY', type: 'INTEGER', integerValue: 1024 },
    { name: 'PORTS', type: 'STRINGSET', stringSetValue: many(ports, (i) => String(10_000 + i)) },
  ],
});
/** Characters 33 and 126 are the first and last that a token may have. */
const token = (length: number): string => '!~'.repeat(length).slice(0, length);

describe('just within a limit an operation is done, just beyond it is refused', () => {
  test.each<[limit: string, operation: string, within: object, beyond: object]>([
    ['10 tasks of a run', 'RunTask', run({ count: 10 }), run({ count: 11 })],
    ['1 task of a run at least', 'RunTask', run({ count: 1 }), run({ count: 0 })],
    [
      '10 instances of StartTask',
      'StartTask',
      run({ containerInstances: names(10) }),
      run({ containerInstances: names(11) }),
    ],
    [
      '36 characters of who starts on an instance',
      'StartTask',
      run({ containerInstances: names(1), startedBy: 'x'.repeat(36) }),
      run({ containerInstances: names(1), startedBy: 'x'.repeat(37) }),
    ],
    ['128 of who runs', 'RunTask', run({ startedBy: 'x'.repeat(128) }), run({ startedBy: 'x'.repeat(129) })],
    ['100 tasks described', 'DescribeTasks', { tasks: names(100) }, { tasks: names(101) }],
    [
      '100 instances described',
      'DescribeContainerInstances',
      { containerInstances: names(100) },
      { containerInstances: names(101) },
    ],
    ['100 clusters described', 'DescribeClusters', { clusters: names(100) }, { clusters: names(101) }],
    ['10 services described', 'DescribeServices', { services: names(10) }, { services: names(11) }],
    ['pages of 100 tasks', 'ListTasks', { maxResults: 100 }, { maxResults: 101 }],
    ['pages of 100 clusters', 'ListClusters', { maxResults: 100 }, { maxResults: 101 }],
    ['pages of 100 services', 'ListServices', { maxResults: 100 }, { maxResults: 101 }],
    ['pages of 100 instances', 'ListContainerInstances', { maxResults: 100 }, { maxResults: 101 }],
    ['pages of 100 definitions', 'ListTaskDefinitions', { maxResults: 100 }, { maxResults: 101 }],
    ['5 strategies', 'RunTask', run({ placementStrategy: strategies(5) }), run({ placementStrategy: strategies(6) })],
    [
      '5 strategies of a service',
      'CreateService',
      service({ placementStrategy: strategies(5) }),
      service({ placementStrategy: strategies(6) }),
    ],
    [
      '10 constraints',
      'RunTask',
      run({ placementConstraints: constraints(10) }),
      run({ placementConstraints: constraints(11) }),
    ],
    [
      '10 constraints with those of the definition',
      'RunTask',
      { taskDefinition: 'bound', placementConstraints: constraints(6) },
      { taskDefinition: 'bound', placementConstraints: constraints(7) },
    ],
    [
      '10 constraints with those of the definition, of a service',
      'CreateService',
      service({ taskDefinition: 'bound', placementConstraints: constraints(6) }),
      service({ taskDefinition: 'bound', placementConstraints: constraints(7) }),
    ],
    ['10 containers', 'RegisterTaskDefinition', containers(10), containers(11)],
    ['6 MiB', 'RegisterTaskDefinition', withContainer({ memory: 6 }), withContainer({ memory: 5 })],
    [
      '64 KiB of definition',
      'RegisterTaskDefinition',
      withContainer({ command: ['x'.repeat(63 * 1024)] }),
      withContainer({ command: ['x'.repeat(64 * 1024)] }),
    ],
    ['50 tags', 'CreateCluster', { clusterName: 'c', tags: tags(50) }, { clusterName: 'd', tags: tags(51) }],
    [
      'keys of 128 characters',
      'CreateCluster',
      { clusterName: 'c', tags: [{ key: 'k'.repeat(128), value: 'v'.repeat(256) }] },
      { clusterName: 'd', tags: [{ key: 'k'.repeat(129) }] },
    ],
    ['5,000 tasks of a service', 'CreateService', service({ desiredCount: 0 }), service({ desiredCount: 5001 })],
    [
      'tokens of 64 characters for RunTask',
      'RunTask',
      run({ clientToken: token(64) }),
      run({ clientToken: token(65) }),
    ],
    ['no space in a token', 'RunTask', run({ clientToken: token(2) }), run({ clientToken: 'a b' })],
    [
      'tokens of 36 characters for CreateService',
      'CreateService',
      service({ clientToken: token(36) }),
      service({ clientToken: token(37) }),
    ],
    ['5 s between checks', 'RegisterTaskDefinition', health({ interval: 5 }), health({ interval: 4 })],
    ['300 s between checks', 'RegisterTaskDefinition', health({ interval: 300 }), health({ interval: 301 })],
    ['2 s for a check', 'RegisterTaskDefinition', health({ timeout: 2 }), health({ timeout: 1 })],
    ['60 s for a check', 'RegisterTaskDefinition', health({ timeout: 60 }), health({ timeout: 61 })],
    ['1 failed check', 'RegisterTaskDefinition', health({ retries: 1 }), health({ retries: 0 })],
    ['10 failed checks', 'RegisterTaskDefinition', health({ retries: 10 }), health({ retries: 11 })],
    ['a start period of 300 s', 'RegisterTaskDefinition', health({ startPeriod: 300 }), health({ startPeriod: 301 })],
    [
      '60 s to a restart',
      'RegisterTaskDefinition',
      restart({ restartAttemptPeriod: 60 }),
      restart({ restartAttemptPeriod: 59 }),
    ],
    [
      '1,800 s to a restart',
      'RegisterTaskDefinition',
      restart({ restartAttemptPeriod: 1800 }),
      restart({ restartAttemptPeriod: 1801 }),
    ],
    [
      '50 ignored exit codes',
      'RegisterTaskDefinition',
      restart({ ignoredExitCodes: many(50, (i) => i) }),
      restart({ ignoredExitCodes: many(51, (i) => i) }),
    ],
    ['100 reserved ports, 6 of them always', 'RegisterContainerInstance', resources(94), resources(95)],
    [
      '10 instances that change state',
      'UpdateContainerInstancesState',
      { containerInstances: names(10), status: 'DRAINING' },
      { containerInstances: names(11), status: 'DRAINING' },
    ],
    [
      '10 tasks protected',
      'UpdateTaskProtection',
      { cluster: 'default', tasks: names(10), protectionEnabled: true },
      { cluster: 'default', tasks: names(11), protectionEnabled: true },
    ],
    [
      'a protection of 1 minute',
      'UpdateTaskProtection',
      { cluster: 'default', tasks: names(1), protectionEnabled: true, expiresInMinutes: 1 },
      { cluster: 'default', tasks: names(1), protectionEnabled: true, expiresInMinutes: 0 },
    ],
    [
      'a protection of 48 hours',
      'UpdateTaskProtection',
      { cluster: 'default', tasks: names(1), protectionEnabled: true, expiresInMinutes: 2880 },
      { cluster: 'default', tasks: names(1), protectionEnabled: true, expiresInMinutes: 2881 },
    ],
  ])('%s: %s', async (_, operation, within, beyond) => {
    const type = operation === 'RegisterTaskDefinition' ? /^(ClientException|InvalidParameterException)$/ : /^Inv/;
    expect(await fixture.refused(operation, beyond)).toMatchObject({
      __type: expect.stringMatching(type) as unknown,
      status: 400,
      message: expect.stringMatching(/./) as unknown,
    });
    await fixture.ecs(operation, within);
  });
});

describe('what is no limit but a rule', () => {
  test.each<[string, object]>([
    ['ListTasks', { nextToken: 'rubbish' }],
    ['CreateCluster', { clusterName: 'a b' }],
    ['CreateCluster', { tags: [{ key: 'aws:x', value: '' }] }],
    ['RunTask', run({ group: 'service:x' })],
    ['RunTask', run({ propagateTags: 'SERVICE' })],
    ['RunTask', run({ launchType: 'EC2', capacityProviderStrategy: [{ capacityProvider: 'x' }] })],
    ['CreateService', service({ launchType: 'EC2', capacityProviderStrategy: [{ capacityProvider: 'x' }] })],
    ['RunTask', run({ placementStrategy: [{ type: 'binpack', field: 'x' }] })],
    ['RunTask', run({ overrides: { containerOverrides: [{ name: 'nobody' }] } })],
    ['CreateService', { serviceName: 's', taskDefinition: 'web' }],
    [
      'CreateService',
      service({ deploymentConfiguration: { minimumHealthyPercent: 100, maximumPercent: 100 }, desiredCount: 1 }),
    ],
    ['RegisterContainerInstance', {}],
    ['UpdateContainerInstancesState', { containerInstances: names(1), status: 'GONE' }],
  ])('%s refuses what breaks it (%#)', async (operation, input) => {
    expect(await fixture.refused(operation, input)).toMatchObject({ __type: 'InvalidParameterException', status: 400 });
  });
});

describe('what is filled in', () => {
  test('health checks and restart policies get the defaults of ECS', async () => {
    await alone();
    const { taskDefinition } = await fixture.ecs('RegisterTaskDefinition', {
      family: 'f',
      containerDefinitions: [
        { ...container, healthCheck: { command: ['CMD', 'x'] }, restartPolicy: { enabled: true } },
      ],
    });
    expect(taskDefinition).toMatchObject({
      containerDefinitions: [{ healthCheck: { interval: 30, timeout: 5, retries: 3 } }],
    });
    const { tasks } = await fixture.ecs('RunTask', { taskDefinition: 'f' });
    const payload = fixture.agent.payload(idOf(tasks?.[0]?.taskArn ?? ''));
    expect(payload.containers[0]?.restartPolicy).toEqual({ ignoredExitCodes: [], attemptPeriodSeconds: 300 });
  });

  test('a page has 10 services, providers or settings without being asked, 20 deployments, 100 of others', async () => {
    await alone();
    const settings = await fixture.ecs('ListAccountSettings', { effectiveSettings: true });
    expect(settings['settings']).toHaveLength(10);
    const more = { effectiveSettings: true, nextToken: settings['nextToken'] };
    expect((await fixture.ecs('ListAccountSettings', more))['settings']).not.toEqual([]);
    for (const name of names(11)) {
      const autoScalingGroupProvider = { autoScalingGroupArn: `arn:aws:autoscaling:${name}` };
      await fixture.ecs('CreateCapacityProvider', { name, autoScalingGroupProvider });
    }
    expect((await fixture.ecs('DescribeCapacityProviders'))['capacityProviders']).toHaveLength(10);
    for (const serviceName of names(12)) await fixture.ecs('CreateService', service({ serviceName }));
    const first = await fixture.ecs('ListServices');
    expect(first['serviceArns']).toHaveLength(10);
    expect((await fixture.ecs('ListServices', { nextToken: first['nextToken'] }))['serviceArns']).toHaveLength(2);
    const [one] = names(1);
    for (const _ of names(20)) await fixture.ecs('UpdateService', { service: one, forceNewDeployment: true });
    const deployments = await fixture.ecs('ListServiceDeployments', { service: one });
    expect(deployments['serviceDeployments']).toHaveLength(20);
    expect(deployments['nextToken']).toBeDefined();
    for (const clusterName of names(104)) await fixture.ecs('CreateCluster', { clusterName });
    const clusters = await fixture.ecs('ListClusters');
    expect(clusters['clusterArns']).toHaveLength(100);
    expect((await fixture.ecs('ListClusters', { nextToken: clusters['nextToken'] }))['clusterArns']).toHaveLength(5);
  });

  test('a protection lasts two hours', async () => {
    await alone();
    await fixture.ecs('CreateService', service({ desiredCount: 1 }));
    await until('it runs', async () => (await fixture.tasks())[0]?.lastStatus === 'RUNNING');
    const [task] = await fixture.tasks();
    const input = { cluster: 'default', tasks: [task?.taskArn], protectionEnabled: true };
    const { protectedTasks } = await fixture.ecs('UpdateTaskProtection', input);
    const expirationDate = fixture.clock.nowMs() / 1000 + 2 * 3600;
    expect(protectedTasks).toEqual([{ taskArn: task?.taskArn, protectionEnabled: true, expirationDate }]);
    // A task that belongs to no service has nothing to be protected from.
    const single = (await fixture.ecs('RunTask', run({}))).tasks?.[0]?.taskArn;
    const { failures } = await fixture.ecs('UpdateTaskProtection', { ...input, tasks: [single] });
    expect(failures).toMatchObject([{ arn: single, reason: 'TASK_NOT_VALID' }]);
  });

  test('the latest 100 sentences of a service are shown', async () => {
    await alone({ relaunchDelayMs: 1, healthyAfterRunningMs: 0 });
    await fixture.ecs('CreateService', service({ serviceName: 's', desiredCount: 1 }));
    // Each end of a task makes two: it has started another, and is steady again.
    for (let ends = 0; ends < 55; ends += 1) {
      await until('it runs', async () => (await fixture.tasks()).some((task) => task.lastStatus === 'RUNNING'));
      await fixture.quiet();
      fixture.clock.advance(250);
      await fixture.quiet();
      for (const task of await fixture.tasks()) fixture.agent.exit(idOf(task.taskArn), 'app', 1);
      await fixture.quiet();
      fixture.clock.advance(250);
      await fixture.quiet();
    }
    expect((await fixture.service('s')).events).toHaveLength(100);
  });
});

test('a service starts so many tasks within a minute, 500 unless the engine is told otherwise', async () => {
  expect(DEFAULT_OPTIONS.serviceLaunchesPerMinute).toBe(500);
  await alone({ auto: false, serviceLaunchesPerMinute: 3 });
  await fixture.ecs('CreateService', service({ serviceName: 's', desiredCount: 5 }));
  const pending = async (): Promise<number> => (await fixture.service('s')).pendingCount;
  await until('three tasks', async () => (await pending()) === 3);
  fixture.clock.advance(59_000);
  await fixture.quiet();
  expect(await pending()).toBe(3);
  fixture.clock.advance(1001);
  await until('the others', async () => (await pending()) === 5);
});
