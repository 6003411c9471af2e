import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { EcsEvent } from '../../lib/platform/index.js';
import type { Metrics } from '../../lib/store/index.js';
import { createPlatformFixture, type PlatformFixture } from './platform-fixture.js';

let fixture: PlatformFixture;
const seen: EcsEvent[] = [];

/** No event reaches the control plane unless the test brings it. */
beforeEach(async () => {
  fixture = await createPlatformFixture({ deaf: true });
  seen.length = 0;
  fixture.engine.onEvent((event) => seen.push(event));
  await fixture.platform.clusters.put('main', { instances: 1 });
  await fixture.images.add('hello:1', { exposes: [] });
});

afterEach(() => fixture.close());

async function taskThatEnded(): Promise<string> {
  const { platform, agent, until } = fixture;
  const { id } = await platform.tasks.run('main', { image: 'hello:1' });
  await until('it runs', () => seen.some(({ detail }) => detail['lastStatus'] === 'RUNNING'));
  agent.exit(id, 'main', 0);
  await until('it ends', () => seen.some(({ detail }) => detail['lastStatus'] === 'STOPPED'));
  return id;
}

describe('events', () => {
  test('in any order, and twice, leave the newest state and tell each change once', async () => {
    const { platform } = fixture;
    const id = await taskThatEnded();
    const { reconciler } = platform;
    for (const event of [...seen].reverse()) await reconciler.apply(event);
    for (const event of seen) await reconciler.apply(event);
    await Promise.all(seen.map((event) => reconciler.apply(event)));
    expect(await platform.tasks.get('main', id)).toMatchObject({ status: 'STOPPED' });
    const { items } = await platform.events.list({ cluster: 'main' });
    expect(items.filter(({ type }) => type === 'task-stopped')).toHaveLength(1);
  });

  test('of a task that ECS started before it named the deployment show the newest release', async () => {
    const { platform, store, until } = fixture;
    const arns = (): ReadonlySet<unknown> => new Set(seen.flatMap(({ detail }) => detail['taskArn'] ?? []));
    await platform.services.put('main', 'web', { image: 'hello:1', count: 1 });
    await until('one task', () => arns().size === 1);
    for (const event of [...seen]) await platform.reconciler.apply(event);
    const { deployment } = await platform.services.put('main', 'web', { image: 'hello:1', count: 2 });
    await until('two tasks', () => arns().size === 2);
    const key = { partition: 'SERVICE#main/web', sort: `D#${deployment.id}` };
    const { ecsDeploymentId: _, ...unnamed } = deployment;
    await store.records.put(key, unnamed);
    for (const event of [...seen]) await platform.reconciler.apply(event);
    const { items } = await platform.tasks.list('main');
    expect(new Set(items.map(({ release }) => release))).toEqual(new Set([1, 2]));
  });

  test('of clusters that are not ours are left alone', async () => {
    const event = {
      id: 'e1',
      'detail-type': 'ECS Task State Change',
      time: '2026-01-01T00:00:00Z',
      resources: [],
      detail: { clusterArn: 'arn:aws:ecs:eu-central-1:1:cluster/foreign', taskArn: 'arn:aws:ecs:x:1:task/foreign/ab' },
    };
    await fixture.platform.reconciler.apply(event);
    expect(await fixture.platform.tasks.get('foreign', 'ab')).toBeUndefined();
  });

  test('that warn are told, once', async () => {
    const event = {
      id: 'e2',
      'detail-type': 'ECS Service Action',
      time: '2026-01-01T00:00:00Z',
      resources: ['arn:aws:ecs:eu-central-1:123456789012:service/main/web'],
      detail: {
        clusterArn: 'arn:aws:ecs:eu-central-1:123456789012:cluster/main',
        eventType: 'ERROR',
        eventName: 'SERVICE_TASK_PLACEMENT_FAILURE',
        reason: 'RESOURCE:MEMORY',
      },
    };
    await fixture.platform.reconciler.apply(event);
    await fixture.platform.reconciler.apply(event);
    const { items } = await fixture.platform.events.list({ cluster: 'main', service: 'web' });
    expect(items).toMatchObject([
      { type: 'service-task-placement-failure', message: expect.stringContaining('RESOURCE:MEMORY') },
    ]);
  });
});

describe('a sweep', () => {
  test('heals what lost events left behind: tasks that ended, and tasks nobody told of', async () => {
    const { platform, store } = fixture;
    const id = await taskThatEnded();
    expect(await platform.tasks.get('main', id)).not.toMatchObject({ status: 'STOPPED' });
    await platform.reconciler.sweep();
    expect(await platform.tasks.get('main', id)).toMatchObject({ status: 'STOPPED' });
    expect(store.records).toBeDefined();
  });

  test('takes a task that ECS has forgotten for stopped', async () => {
    const { platform, store } = fixture;
    const { id } = await platform.tasks.run('main', { image: 'hello:1' });
    const known = await platform.tasks.get('main', id);
    const ghost = {
      ...known,
      id: 'f'.repeat(32),
      arn: known?.arn.replace(id, 'f'.repeat(32)),
      status: 'RUNNING',
      ecsVersion: 3,
    };
    await store.records.put({ partition: 'CLUSTER#main#T0', sort: `TASK#${'f'.repeat(32)}` }, ghost);
    await platform.reconciler.sweep();
    const { items } = await platform.tasks.list('main', { status: 'all' });
    const stopped = items.filter(({ stoppedReason }) => stoppedReason === 'ECS no longer knows the task');
    expect(stopped.map((task) => task.id)).toContain('f'.repeat(32));
  });
});

describe('after a crash', () => {
  test('a release that was recorded but never handed to ECS is deployed by the loop', async () => {
    const { platform, store, until } = fixture;
    await platform.services.put('main', 'web', { image: 'hello:1', count: 1 });
    await until(
      'it runs',
      async () => (await platform.services.get('main', 'web'))?.deployment?.status === 'completed',
    );
    // What is on record when the process dies between its transaction and the call to ECS.
    const key = { partition: 'SERVICE#main/web', sort: 'META' };
    const meta = await store.records.get<{ deployment: string; release: number }>(key);
    const release = await platform.services.release('main', 'web', 1);
    const id = `Z${'0'.repeat(25)}`;
    await store.records.transact([
      { op: 'put', key, value: { ...meta?.value, release: 2, deployment: id } },
      {
        op: 'put',
        key: { ...key, sort: 'R#000002' },
        value: { ...release, number: 2, spec: { ...release.spec, count: 2 } },
      },
      {
        op: 'put',
        key: { ...key, sort: `D#${id}` },
        value: { id, cluster: 'main', service: 'web', release: 2, status: 'pending', createdMs: Date.now() },
      },
      {
        op: 'put',
        key: { partition: 'WORK', sort: 'deployment#main/web' },
        value: { cluster: 'main', service: 'web' },
      },
    ]);
    await until('it is deployed', async () => (await platform.services.get('main', 'web'))?.currentRelease === 2);
    expect(fixture.agent.taskIds).toHaveLength(2);
  });

  test('without any event a deployment still ends, because the loop asks ECS', async () => {
    const { platform, until } = fixture;
    await platform.services.put('main', 'web', { image: 'hello:1', count: 1 });
    await until(
      'it ends',
      async () => (await platform.services.get('main', 'web'))?.deployment?.status === 'completed',
    );
  });
});

describe('a deployment that never ends', () => {
  test('is given up after its deadline, with what it waited for, and the last complete release is put back', async () => {
    const { platform, until, agent, store } = fixture;
    const deployment = async () => (await platform.services.get('main', 'web'))?.deployment;
    await platform.services.put('main', 'web', { image: 'hello:1', count: 1 });
    await until('it runs', async () => (await deployment())?.status === 'completed');
    await platform.services.put('main', 'web', { image: 'hello:1', count: 1, memory: 100_000 });
    await until('it says what it waits for', async () => (await deployment())?.reason !== undefined);
    // An hour goes by.
    const key = { partition: 'SERVICE#main/web', sort: `D#${(await deployment())?.id ?? ''}` };
    const record = await store.records.get<{ createdMs: number }>(key);
    await store.records.put(key, { ...record?.value, createdMs: (record?.value.createdMs ?? 0) - 3_600_000 });
    await until(
      'it is given up',
      async () => (await platform.services.get('main', 'web'))?.deployment?.status === 'rolled-back',
    );
    const service = await platform.services.get('main', 'web');
    expect(service?.deployment).toMatchObject({ rolledBackTo: 1, reason: expect.stringMatching(/unable to place/) });
    await until('one task runs', () => agent.taskIds.length === 1);
    expect(agent.payload(agent.taskIds[0] ?? '').containers[0]?.memoryBytes).toBe(128 * 1024 * 1024);
  });
});

describe('metrics', () => {
  const told: [name: string, value: number][] = [];
  const values = (name: string): readonly number[] => told.flatMap(([each, value]) => (each === name ? [value] : []));
  const metrics: Metrics = {
    count: (name, value = 1) => void told.push([name, value]),
    timing: (name, milliseconds) => void told.push([name, milliseconds]),
  };
  beforeEach(async () => {
    await fixture.close();
    told.length = 0;
    fixture = await createPlatformFixture({ deaf: true, metrics });
    fixture.engine.onEvent((event) => seen.push(event));
    await fixture.platform.clusters.put('main', { instances: 1 });
    await fixture.images.add('hello:1', { exposes: [] });
  });

  test('tell how late an event came, and how much of a sweep events had not told', async () => {
    const { reconciler } = fixture.platform;
    await taskThatEnded();
    await reconciler.sweep();
    await reconciler.sweep();
    expect(values('Drift')).toEqual([1, 0]);
    const [event] = seen.filter((each) => each['detail-type'] === 'ECS Task State Change');
    if (event === undefined) throw new Error('no event of the task');
    const time = new Date(fixture.store.clock.nowMs() - 5_000).toISOString();
    await reconciler.apply({ ...event, time });
    await reconciler.apply({ ...event, time: 'not a time' });
    const [lag = 0, ...more] = values('ReconcileLag');
    expect([lag >= 5_000, more]).toEqual([true, []]);
  });
});
