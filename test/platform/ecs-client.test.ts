import { afterEach, describe, expect, test } from '@jest/globals';
import { ecsClient } from '../../lib/platform/ecs/sdk.js';
import { Ecs, EcsRates } from '../../lib/platform/index.js';
import type { Clock } from '../../lib/store/index.js';
import { type EcsAnswer, type ScriptedEcs, scriptedEcs } from '../fakes/ecs.js';

const waits: number[] = [];
const clock: Clock = { nowMs: () => 0, sleep: (ms) => (waits.push(ms), Promise.resolve()) };
let fake: ScriptedEcs | undefined;
let client: ReturnType<typeof ecsClient> | undefined;

async function ecsThat(
  answer: (operation: string, input: Record<string, unknown>, n: number) => EcsAnswer,
  options: ConstructorParameters<typeof Ecs>[2] = {},
  answerMs = 30_000,
): Promise<Ecs> {
  fake = await scriptedEcs(answer);
  waits.length = 0;
  const credentials = { accessKeyId: 'a', secretAccessKey: 'b' };
  client = ecsClient({ region: 'eu-central-1', endpoint: fake.endpoint, credentials, answerMs });
  return new Ecs(client, clock, { random: () => 1, ...options });
}

afterEach(async () => {
  client?.destroy();
  await fake?.close();
});

describe('the ECS client', () => {
  test('repeats a throttled call, waiting longer each time', async () => {
    const ecs = await ecsThat((_, __, n) =>
      n < 3 ? { error: 'ThrottlingException' } : { body: { cluster: { clusterName: 'main' } } },
    );
    expect(await ecs.clusters.create('main')).toMatchObject({ clusterName: 'main' });
    expect(waits).toEqual([100, 200]);
  });

  test('repeats after a server error and a lost connection, and gives up as unavailable', async () => {
    const ecs = await ecsThat((_, __, n) => (n % 2 === 0 ? 'cut' : { error: 'ServerException' }));
    await expect(ecs.clusters.create('main')).rejects.toMatchObject({ kind: 'unavailable', retryable: true });
    expect(fake?.calls).toHaveLength(4);
  });

  test('repeats a call that is never answered, and gives up as unavailable', async () => {
    const ecs = await ecsThat(
      (_, __, n) => (n === 1 ? 'hang' : { body: { cluster: { clusterName: 'main' } } }),
      {},
      500,
    );
    expect(await ecs.clusters.create('main')).toMatchObject({ clusterName: 'main' });
    client?.destroy();
    await fake?.close();
    const silent = await ecsThat(() => 'hang', { attempts: 2 }, 200);
    await expect(silent.clusters.create('main')).rejects.toMatchObject({ kind: 'unavailable', retryable: true });
    expect(fake?.calls).toHaveLength(2);
  });

  test('does not repeat what ECS refuses, and keeps its name in the code', async () => {
    const ecs = await ecsThat(() => ({ error: 'InvalidParameterException', message: 'nonsense' }));
    await expect(ecs.clusters.create('main')).rejects.toMatchObject({
      code: 'ECS_INVALID_PARAMETER',
      kind: 'invalid',
      message: 'ECS CreateCluster: nonsense',
    });
    expect(fake?.calls).toHaveLength(1);
  });

  test('says that ECS is unreachable when nobody listens', async () => {
    const ecs = await ecsThat(() => 'cut');
    await fake?.close();
    await expect(ecs.clusters.create('main')).rejects.toMatchObject({ code: 'ECS_UNREACHABLE', kind: 'unavailable' });
  });

  test('asks for at most 100 tasks and 10 services in one call', async () => {
    const ecs = await ecsThat((operation) => ({
      body: operation === 'DescribeTasks' ? { tasks: [{}] } : { services: [{}] },
    }));
    const names = Array.from({ length: 205 }, (_, i) => `n${i}`);
    expect(await ecs.tasks.describe('main', names)).toHaveLength(3);
    expect(await ecs.services.describe('main', names.slice(0, 21))).toHaveLength(3);
    const sizes = fake?.calls
      .map(({ input }) => (input['tasks'] ?? input['services']) as string[])
      .map(({ length }) => length);
    expect(sizes).toEqual([100, 100, 5, 10, 10, 1]);
  });

  test('follows pages to the last', async () => {
    const ecs = await ecsThat((_, input) =>
      input['nextToken'] === undefined ? { body: { taskArns: ['a'], nextToken: 't' } } : { body: { taskArns: ['b'] } },
    );
    expect(await ecs.tasks.list('main', 'RUNNING')).toEqual(['a', 'b']);
  });

  test('adopts the task that a repeated client token made before', async () => {
    const ecs = await ecsThat((operation) =>
      operation === 'RunTask'
        ? { error: 'ConflictException', resourceIds: ['arn:task/1'] }
        : { body: { tasks: [{ taskArn: 'arn:task/1' }] } },
    );
    const task = await ecs.tasks.run({ cluster: 'main', taskDefinition: 'x', clientToken: 't' });
    expect(task.taskArn).toBe('arn:task/1');
  });

  test('turns placement failures into one refusal with their reasons', async () => {
    const failures = [
      { arn: 'i1', reason: 'RESOURCE:MEMORY' },
      { arn: 'i2', reason: 'RESOURCE:MEMORY' },
      { arn: 'i3', reason: 'AGENT' },
    ];
    const ecs = await ecsThat(() => ({ body: { tasks: [], failures } }));
    await expect(ecs.tasks.run({ cluster: 'main', taskDefinition: 'x', clientToken: 't' })).rejects.toMatchObject({
      code: 'TASK_PLACEMENT_FAILED',
      message: 'no instance of cluster main can take the task: RESOURCE:MEMORY, AGENT',
      details: { failures },
    });
  });

  test('asks again for room that may come, with the same token, and not for what never comes', async () => {
    const task = { cluster: 'main', taskDefinition: 'x', clientToken: 't' };
    const ecs = await ecsThat(
      (_, __, n) =>
        n < 3 ? { body: { failures: [{ reason: n === 1 ? 'RESOURCE:MEMORY' : 'AGENT' }] } } : { body: { tasks: [{}] } },
      { roomAttempts: 3 },
    );
    await ecs.tasks.run(task);
    expect(waits).toEqual([500, 1000]);
    expect(fake?.calls.map(({ input }) => input['clientToken'])).toEqual(['t', 't', 't']);
    await fake?.close();
    client?.destroy();
    const never = await ecsThat(
      () => ({ body: { failures: [{ reason: 'RESOURCE:MEMORY' }, { reason: 'ATTRIBUTE' }] } }),
      { roomAttempts: 3 },
    );
    await expect(never.tasks.run(task)).rejects.toMatchObject({ code: 'TASK_PLACEMENT_FAILED' });
    expect(fake?.calls).toHaveLength(1);
  });

  describe('asked for many equal tasks', () => {
    const many = { cluster: 'main', taskDefinition: 'x', clientToken: 't' };
    const made = (count: number) => Array.from({ length: count }, () => ({ taskArn: 'arn:task/1' }));
    const asked = () => fake?.calls.map(({ input }) => [input['count'], input['clientToken']]) ?? [];

    test('starts them in groups of ten, each under a token that a repetition has again', async () => {
      const ecs = await ecsThat((_, { count }) => ({ body: { tasks: made(Number(count)) } }));
      const { tasks, failures } = await ecs.tasks.runMany(many, 25);
      expect([tasks.length, failures]).toEqual([25, []]);
      const first = asked();
      expect(first.map(([count]) => count)).toEqual([10, 10, 5]);
      expect(new Set(first.map(([, token]) => token)).size).toBe(3);
      expect(first.every(([, token]) => /^[!-~]{1,64}$/.test(String(token)))).toBe(true);
      await ecs.tasks.runMany(many, 25);
      expect(asked().slice(3)).toEqual(first);
    });

    test('asks for the missing ones again, under another token, when room may come', async () => {
      const failures = [{ arn: 'i1', reason: 'RESOURCE:CPU' }];
      const ecs = await ecsThat(
        (_, { count }, n) => ({ body: n === 1 ? { tasks: made(6), failures } : { tasks: made(Number(count)) } }),
        { roomAttempts: 2 },
      );
      expect((await ecs.tasks.runMany(many, 12)).tasks).toHaveLength(12);
      expect(asked().map(([count]) => count)).toEqual([10, 6]);
      expect(asked()[1]?.[1]).not.toBe('t');
      expect(waits).toEqual([500]);
    });

    test('says which were not started and why, when room never comes or ECS refuses the rest', async () => {
      const failures = [{ arn: 'i1', reason: 'ATTRIBUTE' }];
      const ecs = await ecsThat(() => ({ body: { tasks: made(4), failures } }), { roomAttempts: 3 });
      expect(await ecs.tasks.runMany(many, 30)).toMatchObject({ tasks: made(4), failures });
      expect([asked().length, waits]).toEqual([1, []]);
      await fake?.close();
      client?.destroy();
      const limited = await ecsThat((_, __, n) =>
        n === 1 ? { body: { tasks: made(10) } } : { error: 'ClientException', message: 'too many wait' },
      );
      const started = await limited.tasks.runMany(many, 30);
      expect(started.tasks).toHaveLength(10);
      expect(started.failures).toEqual([{ reason: 'ECS_CLIENT', detail: 'ECS RunTask: too many wait' }]);
    });

    test('fails when a call has no answer, since its tasks may run; asked again it finds those that do', async () => {
      let isOut = true;
      const ecs = await ecsThat((_, { count }, n) =>
        isOut && n > 1 ? 'cut' : { body: { tasks: made(Number(count)) } },
      );
      await expect(ecs.tasks.runMany(many, 20)).rejects.toMatchObject({ kind: 'unavailable', retryable: true });
      const before = asked().slice(0, 2);
      isOut = false;
      fake?.calls.splice(0);
      expect((await ecs.tasks.runMany(many, 20)).tasks).toHaveLength(20);
      expect(asked()).toEqual(before);
    });

    test('adopts a whole group that its token made before', async () => {
      const ecs = await ecsThat((operation, _, n) =>
        operation === 'RunTask' && n === 1
          ? { error: 'ConflictException', resourceIds: ['arn:task/1', 'arn:task/2'] }
          : { body: { tasks: made(2) } },
      );
      expect((await ecs.tasks.runMany(many, 4)).tasks).toHaveLength(4);
      expect(fake?.calls.map(({ operation }) => operation)).toEqual(['RunTask', 'DescribeTasks', 'RunTask']);
    });
  });

  test('keeps to the rates of ECS: a burst, then one registration a second', async () => {
    let nowMs = 0;
    const slow: Clock = { nowMs: () => nowMs, sleep: (ms) => (waits.push(ms), Promise.resolve()) };
    const ecs = await ecsThat(() => ({ body: { taskDefinition: {}, tasks: [] } }), { rates: new EcsRates(slow) });
    for (let n = 0; n < 22; n += 1) await ecs.taskDefinitions.register({ family: 'f', containerDefinitions: [] });
    expect(waits).toEqual([1000, 2000]);
    nowMs = 10_000;
    await ecs.taskDefinitions.register({ family: 'f', containerDefinitions: [] });
    await ecs.tasks.describe('main', ['a']);
    expect(waits).toHaveLength(2);
  });

  test('takes what is absent for deleted', async () => {
    const ecs = await ecsThat((operation) => ({
      error: operation === 'DeleteCluster' ? 'ClusterNotFoundException' : 'ServiceNotActiveException',
    }));
    expect(await ecs.clusters.delete('main')).toBe(false);
    expect(await ecs.services.delete('main', 'web')).toBe(false);
  });
});
