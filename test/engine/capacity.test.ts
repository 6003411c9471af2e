/** Launches through capacity providers: sharing by base and weight, waiting, growing, shrinking, explaining. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createEngineFixture, idOf, until, type EngineFixture } from './engine-fixture.js';

const GROUP = 'arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:1:autoScalingGroupName/';
const SCALE_IN_MS = 60_000;

let engine: EngineFixture;
beforeEach(async () => {
  engine = await createEngineFixture({ auto: true, scaleInAfterMs: SCALE_IN_MS });
});
afterEach(() => engine.close());

/** Instances of 1,024 units and 1,024 MiB: eight tasks of the fixture's definition each. */
async function provider(
  name: string,
  tags: Record<string, string> = {},
  settings: object = { managedScaling: { status: 'ENABLED' } },
): Promise<void> {
  const all = { 'wharf:cpu': '1024', 'wharf:memory': '1024', ...tags };
  await engine.ecs('CreateCapacityProvider', {
    name,
    autoScalingGroupProvider: { autoScalingGroupArn: GROUP + name, ...settings },
    tags: Object.entries(all).map(([key, value]) => ({ key, value })),
  });
}

async function associate(...names: string[]): Promise<void> {
  await engine.ecs('PutClusterCapacityProviders', {
    cluster: 'default',
    capacityProviders: names,
    defaultCapacityProviderStrategy: names.slice(0, 1).map((capacityProvider) => ({ capacityProvider, weight: 1 })),
  });
}

interface InstanceBody {
  readonly containerInstanceArn: string;
  readonly capacityProviderName?: string;
  readonly status: string;
  readonly attributes: readonly { name: string; value: string }[];
}

async function instances(status?: string): Promise<readonly InstanceBody[]> {
  const list = await engine.ecs('ListContainerInstances', status === undefined ? {} : { status });
  const arns = list['containerInstanceArns'] as string[];
  if (arns.length === 0) return [];
  const body = await engine.ecs('DescribeContainerInstances', { containerInstances: arns });
  return body['containerInstances'] as InstanceBody[];
}

const run = (count: number, more: object = {}) => engine.ecs('RunTask', { taskDefinition: 'app', count, ...more });
const statuses = async (): Promise<string[]> => (await engine.tasks()).map(({ lastStatus }) => lastStatus).sort();
const allRun = (count: number) =>
  until(
    `${String(count)} tasks run`,
    async () => (await statuses()).filter((each) => each === 'RUNNING').length === count,
  );

describe('a capacity provider with managed scaling', () => {
  test('lets tasks wait as PROVISIONING, starts two instances from none, and places the tasks', async () => {
    await provider('spare');
    await associate('spare');
    await engine.definition('app');
    const { tasks, failures } = await run(3);
    expect(failures).toEqual([]);
    expect(tasks?.map(({ lastStatus }) => lastStatus)).toEqual(['PROVISIONING', 'PROVISIONING', 'PROVISIONING']);
    expect(tasks?.[0]).not.toHaveProperty('containerInstanceArn');
    await allRun(3);
    const made = await instances();
    expect(made.map(({ capacityProviderName }) => capacityProviderName)).toEqual(['spare', 'spare']);
    const [task] = await engine.tasks();
    expect(task).toMatchObject({ capacityProviderName: 'spare', launchType: 'EC2' });
    await until('told', () =>
      engine.events.some(({ detail }) => detail['eventName'] === 'CAPACITY_PROVIDER_STEADY_STATE'),
    );
  });

  test('counts every state of a task that waited, one version each', async () => {
    await provider('spare');
    await associate('spare');
    await engine.definition('app');
    await run(1);
    await until('told', () => engine.events.some(({ detail }) => detail['lastStatus'] === 'RUNNING'));
    const seen = engine.events
      .filter((event) => event['detail-type'] === 'ECS Task State Change')
      .map(({ detail }) => [detail['lastStatus'], detail['version']]);
    expect(seen).toEqual([
      ['PROVISIONING', 1],
      ['PENDING', 2],
      ['RUNNING', 3],
    ]);
  });

  test('grows by what the waiting tasks need, up to its maximum, and says what would help', async () => {
    await provider('spare', { 'wharf:maximum': '3' });
    await associate('spare');
    await engine.definition('app');
    for (let call = 0; call < 4; call += 1) await run(10);
    await allRun(24);
    expect(await instances()).toHaveLength(3);
    expect((await statuses()).filter((each) => each === 'PROVISIONING')).toHaveLength(16);
    await until('explained', async () => (await engine.engine.unplaced('default'))[0]?.tasks === 16);
    const [why] = await engine.engine.unplaced('default');
    expect(why).toMatchObject({ capacityProvider: 'spare' });
    expect(why?.instances).toHaveLength(3);
    expect(why?.smallestFix).toContain('Raise the maximum of capacity provider spare, now 3 instances');
    await engine.ecs('TagResource', {
      resourceArn: 'arn:aws:ecs:eu-central-1:123456789012:capacity-provider/spare',
      tags: [{ key: 'wharf:maximum', value: '5' }],
    });
    await allRun(40);
    await until('explained no more', async () => (await engine.engine.unplaced('default')).length === 0);
  });

  test('never grows for a task that is larger than its instances, and says so', async () => {
    await provider('small');
    await associate('small');
    await engine.definition('app', {}, { cpu: 2048 });
    await run(1);
    await until('explained', async () => (await engine.engine.unplaced('default')).length > 0);
    expect(await instances()).toEqual([]);
    const [why] = await engine.engine.unplaced('default');
    expect(why?.smallestFix).toContain('make the instances of capacity provider small larger');
  });

  test('shrinks to its minimum once it has been too large for long enough', async () => {
    await provider('spare', { 'wharf:minimum': '1' });
    await associate('spare');
    await until('the minimum', async () => (await instances()).length === 1);
    await engine.definition('app');
    for (let call = 0; call < 2; call += 1) await run(10);
    await allRun(20);
    expect(await instances()).toHaveLength(3);
    for (const { taskArn } of await engine.tasks()) await engine.ecs('StopTask', { task: taskArn });
    await until('all stopped', async () => (await engine.tasks()).length === 0);
    await engine.quiet();
    expect(await instances()).toHaveLength(3);
    engine.clock.advance(SCALE_IN_MS);
    await until('small again', async () => (await instances()).length === 1);
  });

  test('with termination protection takes only instances without tasks', async () => {
    const scaling = { status: 'ENABLED', targetCapacity: 100 };
    await provider('safe', {}, { managedScaling: scaling, managedTerminationProtection: 'ENABLED' });
    await associate('safe');
    await engine.definition('app', {}, { cpu: 1024 });
    await run(3);
    await allRun(3);
    const [first, , third] = await engine.tasks();
    await engine.ecs('StopTask', { task: first?.taskArn });
    await until('two run', async () => (await statuses()).length === 2);
    await engine.quiet();
    engine.clock.advance(SCALE_IN_MS);
    await until('one instance fewer', async () => (await instances()).length === 2);
    expect(await statuses()).toEqual(['RUNNING', 'RUNNING']);
    const left = (await instances()).map(({ containerInstanceArn }) => containerInstanceArn);
    expect(left).toContain(third?.containerInstanceArn);
  });

  test('drains what it gives up: the service has its tasks elsewhere before the instance goes', async () => {
    const settings = { managedScaling: { status: 'ENABLED' }, managedDraining: 'ENABLED' };
    await provider('web', { 'wharf:zones': 'a b' }, settings);
    await associate('web');
    await engine.definition('app');
    await engine.ecs('CreateService', { serviceName: 'web', taskDefinition: 'app', desiredCount: 2 });
    await allRun(2);
    expect(new Set((await engine.tasks()).map(({ containerInstanceArn }) => containerInstanceArn)).size).toBe(2);
    await engine.ecs('UpdateService', { service: 'web', desiredCount: 1 });
    await until('one task', async () => (await statuses()).length === 1);
    await engine.quiet();
    engine.clock.advance(SCALE_IN_MS);
    await until('one takes tasks', async () => (await instances('ACTIVE')).length === 1);
    // Whether or not the task was on the instance that goes, it ends up on the one that stays.
    engine.clock.advance(40_000);
    await until('one is left', async () => {
      engine.clock.advance(1000);
      return (await instances()).length === 1;
    });
    const [task] = await engine.tasks();
    expect(task?.containerInstanceArn).toBe((await instances())[0]?.containerInstanceArn);
  });

  test('without managed draining its instances just die', async () => {
    await provider('rough', {}, { managedScaling: { status: 'ENABLED' }, managedDraining: 'DISABLED' });
    await associate('rough');
    await engine.definition('app', {}, { cpu: 1024 });
    await run(2);
    await allRun(2);
    await engine.ecs('TagResource', {
      resourceArn: 'arn:aws:ecs:eu-central-1:123456789012:capacity-provider/rough',
      tags: [{ key: 'wharf:maximum', value: '1' }],
    });
    await until('one died', async () => (await instances()).length === 1);
    await until('its task with it', async () => (await engine.tasks()).length === 1);
    const stopped = await engine.tasks({ desiredStatus: 'STOPPED' });
    expect(stopped).toMatchObject([{ stopCode: 'TerminationNotice' }]);
  });

  test('keeps waiting tasks over a kill, and ends one that is stopped before it has a place', async () => {
    await provider('none', { 'wharf:maximum': '0' });
    await associate('none');
    await engine.definition('app');
    const { tasks } = await run(2);
    await engine.restart();
    expect(await statuses()).toEqual(['PROVISIONING', 'PROVISIONING']);
    const stopped = await engine.ecs('StopTask', { task: tasks?.[0]?.taskArn, reason: 'not needed' });
    expect(stopped['task']).toMatchObject({ desiredStatus: 'STOPPED', stoppedReason: 'not needed' });
    await until('one waits', async () => (await statuses()).length === 1);
    const [gone] = await engine.tasks({ desiredStatus: 'STOPPED' });
    expect(gone).toMatchObject({ lastStatus: 'STOPPED', stopCode: 'UserInitiated', stoppedReason: 'not needed' });
    expect(engine.agent.runs).toEqual([]);
    await engine.ecs('TagResource', {
      resourceArn: 'arn:aws:ecs:eu-central-1:123456789012:capacity-provider/none',
      tags: [{ key: 'wharf:maximum', value: '1' }],
    });
    await allRun(1);
  });

  test('refuses RunTask once 300 tasks of the cluster wait', async () => {
    await provider('none', { 'wharf:maximum': '0' });
    await associate('none');
    await engine.definition('app');
    for (let call = 0; call < 30; call += 1) await run(10);
    expect(await engine.refused('RunTask', { taskDefinition: 'app' })).toMatchObject({ __type: 'ClientException' });
    expect((await engine.refused('RunTask', { taskDefinition: 'app' })).message).toContain('PROVISIONING');
  });
});

describe('a capacity provider strategy', () => {
  test('fills the base first and then follows the weights', async () => {
    await provider('steady', { 'wharf:maximum': '9' });
    await provider('spot', { 'wharf:maximum': '9' });
    await associate('steady', 'spot');
    await engine.definition('app');
    const capacityProviderStrategy = [
      { capacityProvider: 'steady', base: 2, weight: 1 },
      { capacityProvider: 'spot', weight: 3 },
    ];
    await engine.ecs('CreateService', {
      serviceName: 'web',
      taskDefinition: 'app',
      desiredCount: 10,
      capacityProviderStrategy,
    });
    await allRun(10);
    const of = (tasks: readonly object[], capacityProviderName: string): number =>
      tasks.filter((task) => (task as { capacityProviderName?: string }).capacityProviderName === capacityProviderName)
        .length;
    const tasks = await engine.tasks();
    expect([of(tasks, 'steady'), of(tasks, 'spot')]).toEqual([4, 6]);
    const service = await engine.service('web');
    expect(service).toMatchObject({ capacityProviderStrategy });
    expect(service).not.toHaveProperty('launchType');
  });

  test('is the cluster’s own unless a launch names a type', async () => {
    await provider('spare', { 'wharf:maximum': '0' });
    await associate('spare');
    await engine.definition('app');
    expect((await run(1)).tasks).toMatchObject([{ capacityProviderName: 'spare', lastStatus: 'PROVISIONING' }]);
    expect((await engine.refused('RunTask', { taskDefinition: 'app', launchType: 'EC2' })).message).toContain(
      'No Container Instances',
    );
  });

  test('that changes is followed by new tasks; those that run move with a new deployment only', async () => {
    await provider('one');
    await provider('two');
    await associate('one', 'two');
    await engine.definition('app');
    await engine.ecs('CreateService', { serviceName: 'web', taskDefinition: 'app', desiredCount: 1 });
    await allRun(1);
    await engine.ecs('UpdateService', {
      service: 'web',
      capacityProviderStrategy: [{ capacityProvider: 'two', weight: 1 }],
      desiredCount: 2,
    });
    expect((await engine.service('web')).deployments).toHaveLength(1);
    await allRun(2);
    const providers = async (): Promise<string[]> =>
      (await engine.tasks()).map(({ capacityProviderName = '' }) => capacityProviderName);
    expect(new Set(await providers())).toEqual(new Set(['one', 'two']));
    await engine.ecs('UpdateService', { service: 'web', forceNewDeployment: true, desiredCount: 1 });
    expect((await engine.service('web')).deployments).toHaveLength(2);
    await until('moved', async () => {
      engine.clock.advance(10_000);
      const names = await providers();
      return names.length === 1 && names[0] === 'two';
    });
  });

  const invalid = 'InvalidParameterException';
  test.each<[string, object[], string]>([
    ['FARGATE', [{ capacityProvider: 'FARGATE', weight: 1 }], 'ClientException'],
    ['one that is not associated', [{ capacityProvider: 'other', weight: 1 }], invalid],
    [
      'two bases',
      [
        { capacityProvider: 'a', base: 1, weight: 1 },
        { capacityProvider: 'b', base: 1 },
      ],
      invalid,
    ],
    ['no weight at all', [{ capacityProvider: 'a' }, { capacityProvider: 'b' }], invalid],
    [
      'the same twice',
      [
        { capacityProvider: 'a', weight: 1 },
        { capacityProvider: 'a', weight: 1 },
      ],
      invalid,
    ],
  ])('is refused with %s', async (_, capacityProviderStrategy, type) => {
    await provider('a');
    await provider('b');
    await associate('a', 'b');
    await engine.definition('app');
    const refusal = await engine.refused('RunTask', { taskDefinition: 'app', capacityProviderStrategy });
    expect(refusal).toMatchObject({ __type: type });
    expect(await engine.tasks()).toEqual([]);
  });
});

describe('a capacity provider', () => {
  test('without managed scaling and instances fails a launch as ECS does', async () => {
    await provider('manual', {}, { managedScaling: { status: 'DISABLED' } });
    await associate('manual');
    await engine.definition('app');
    expect((await run(1)).failures).toMatchObject([{ reason: 'EMPTY CAPACITY PROVIDER' }]);
  });

  test('is refused with a group that another has, with tags that mean nothing, and with protection that cannot be', async () => {
    await provider('a');
    const group = (more: object, tags: object[] = []) =>
      engine.refused('CreateCapacityProvider', {
        name: 'b',
        autoScalingGroupProvider: { autoScalingGroupArn: `${GROUP}b`, ...more },
        tags,
      });
    expect((await group({ autoScalingGroupArn: `${GROUP}a` })).message).toContain('already being used');
    expect((await group({}, [{ key: 'wharf:size', value: '3' }])).message).toContain('wharf:maximum');
    expect((await group({}, [{ key: 'wharf:maximum', value: 'many' }])).message).toContain('whole number');
    expect((await group({ managedTerminationProtection: 'ENABLED' })).message).toContain('managed scaling');
  });

  test('leaves its cluster only when nothing uses it, and its instances go then', async () => {
    await provider('spare');
    await associate('spare');
    await engine.definition('app');
    const { tasks } = await run(1);
    await allRun(1);
    const leave = { cluster: 'default', capacityProviders: [], defaultCapacityProviderStrategy: [] };
    expect(await engine.refused('PutClusterCapacityProviders', leave)).toMatchObject({
      __type: 'ResourceInUseException',
    });
    await engine.ecs('StopTask', { task: idOf(tasks?.[0]?.taskArn ?? '') });
    await until('stopped', async () => (await engine.tasks({ desiredStatus: 'STOPPED' }))[0]?.lastStatus === 'STOPPED');
    await engine.ecs('PutClusterCapacityProviders', leave);
    await until('no instance', async () => (await instances()).length === 0);
    await engine.ecs('DeleteCapacityProvider', { capacityProvider: 'spare' });
  });
});
