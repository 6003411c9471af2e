import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createPlatformFixture, type PlatformFixture } from './platform-fixture.js';

let fixture: PlatformFixture;

beforeEach(async () => {
  fixture = await createPlatformFixture();
  await fixture.images.add('hello:1', { exposes: [] });
});

afterEach(() => fixture.close());

describe('a cluster', () => {
  test('has the instances that were asked for, more or fewer later', async () => {
    const { clusters } = fixture.platform;
    const made = await clusters.put('main', { instances: 2 });
    expect(made).toMatchObject({
      created: true,
      cluster: { status: 'active', instances: { wanted: 2, registered: 2 } },
    });
    expect(await clusters.put('main', { instances: 4 })).toMatchObject({
      created: false,
      cluster: { instances: { registered: 4 } },
    });
    expect((await clusters.put('main', { instances: 1 })).cluster.instances.registered).toBe(1);
    const [instance] = await clusters.instances('main');
    expect(instance).toMatchObject({ status: 'ACTIVE', total: { cpu: 2048, memory: 4096 } });
  });

  test('keeps its instances when the same is asked again', async () => {
    const { clusters } = fixture.platform;
    await clusters.put('main', { instances: 2 });
    const before = (await clusters.instances('main')).map(({ id }) => id).sort();
    await Promise.all([clusters.put('main', { instances: 2 }), clusters.put('main', { instances: 2 })]);
    expect((await clusters.instances('main')).map(({ id }) => id).sort()).toEqual(before);
  });

  test('larger than the machine allows is not supported, and says what is', async () => {
    const refused = fixture.platform.clusters.put('main', { instances: 9 });
    await expect(refused).rejects.toMatchObject({ kind: 'unsupported', hint: expect.stringContaining('at most 8') });
    expect((await fixture.platform.clusters.list()).items).toEqual([]);
    expect(await fixture.ecs.clusterNames()).toEqual([]);
  });

  test('that could not be brought to its size is as it was, and asked again goes on', async () => {
    const { clusters } = fixture.platform;
    await clusters.put('main', { instances: 1 });
    await clusters.put('other', { instances: 0 });
    fixture.ecs.failNext('RegisterContainerInstance', 1);
    await expect(clusters.put('main', { instances: 3 })).rejects.toThrow();
    expect((await clusters.get('main'))?.instances).toMatchObject({ wanted: 1 });
    fixture.ecs.failNext('RegisterContainerInstance', 1);
    await expect(clusters.put('new', { instances: 1 })).rejects.toThrow();
    expect((await clusters.list()).items.map(({ name }) => name)).toEqual(['main', 'other']);
    expect(await clusters.put('new', { instances: 1 })).toMatchObject({ created: true });
    expect((await clusters.put('main', { instances: 3 })).cluster.instances).toMatchObject({ registered: 3 });
  });

  test('with a maximum grows for tasks that find no room, and is gone with its provider', async () => {
    const { clusters, tasks } = fixture.platform;
    const made = await clusters.put('main', { instances: 0, maximum: 3 });
    expect(made.cluster.instances).toEqual({ wanted: 0, registered: 0, maximum: 3 });
    const spec = { image: 'hello:1', cpu: 2048, memory: 512 };
    for (let count = 0; count < 3; count += 1) await tasks.run('main', spec);
    await fixture.until('three instances', async () => (await clusters.instances('main')).length === 3);
    await fixture.until('three tasks', async () => (await clusters.get('main'))?.tasks.running === 3);
    await expect(clusters.put('main', { instances: 2, maximum: 1 })).rejects.toMatchObject({
      code: 'CAPACITY_INVALID',
    });
    await expect(clusters.put('main', { instances: 1 })).rejects.toMatchObject({ kind: 'conflict' });
    await clusters.remove('main', { force: true });
    await fixture.until('it is gone', async () => {
      await clusters.advanceRemoval('main');
      return (await clusters.get('main')) === undefined;
    });
  });

  test('loses its instances also while somebody else takes them away', async () => {
    const { platform } = fixture;
    await platform.clusters.put('main', { instances: 6 });
    const both = [platform, fixture.again()].map(({ clusters }) => clusters.put('main', { instances: 0 }));
    await Promise.all(both);
    expect(await platform.clusters.instances('main')).toEqual([]);
  });

  test('is listed page by page', async () => {
    const { clusters } = fixture.platform;
    for (const name of ['c', 'a', 'b']) await clusters.put(name, { instances: 0 });
    const first = await clusters.list({ limit: 2 });
    expect(first.items.map(({ name }) => name)).toEqual(['a', 'b']);
    const rest = await clusters.list({ limit: 2, cursor: first.cursor ?? '' });
    expect(rest.items.map(({ name }) => name)).toEqual(['c']);
  });

  test('with a service is not deleted, unless by force; then nothing of it is left', async () => {
    const { platform, agent, until } = fixture;
    await platform.clusters.put('main', { instances: 2 });
    await platform.services.put('main', 'web', { image: 'hello:1', count: 2 });
    await expect(platform.clusters.remove('main')).rejects.toMatchObject({ code: 'CLUSTER_NOT_EMPTY' });
    await platform.clusters.remove('main', { force: true });
    await until('it is gone', async () => (await platform.clusters.get('main')) === undefined);
    expect(agent.taskIds).toEqual([]);
    expect((await platform.clusters.list()).items).toEqual([]);
    await expect(platform.clusters.remove('main')).rejects.toMatchObject({ code: 'CLUSTER_NOT_FOUND' });
  });

  test('drains an instance: its service tasks go elsewhere', async () => {
    const { platform, until } = fixture;
    await platform.clusters.put('main', { instances: 2 });
    await platform.services.put('main', 'web', { image: 'hello:1', count: 2 });
    const settled = async () => (await platform.services.get('main', 'web'))?.deployment?.status === 'completed';
    await until('it runs', settled);
    const [first] = await platform.clusters.instances('main');
    expect(await platform.clusters.drain('main', first?.id ?? '')).toMatchObject({ status: 'DRAINING' });
    await until('it is empty', async () => {
      const instances = await platform.clusters.instances('main');
      return instances.find(({ id }) => id === first?.id)?.tasks.running === 0;
    });
    await expect(platform.clusters.drain('main', 'f'.repeat(32))).rejects.toMatchObject({ kind: 'not-found' });
  });
});

describe('a one-off task', () => {
  test('runs, is told of, and says how it ended', async () => {
    const { platform, agent, until } = fixture;
    await platform.clusters.put('main', { instances: 1 });
    const task = await platform.tasks.run('main', { image: 'hello:1', command: ['true'], env: { A: '1' } });
    await until('it runs', async () => (await platform.tasks.get('main', task.id))?.status === 'RUNNING');
    expect(agent.payload(task.id).containers[0]).toMatchObject({ command: ['true'], environment: ['A=1'] });
    agent.exit(task.id, 'main', 4);
    await until('it has stopped', async () => (await platform.tasks.get('main', task.id))?.status === 'STOPPED');
    const ended = await platform.tasks.get('main', task.id);
    expect(ended?.runtime).toBeUndefined();
    expect(ended).toMatchObject({ stopCode: 'EssentialContainerExited', containers: [{ exitCode: 4 }] });
    expect((await platform.tasks.list('main')).items).toEqual([]);
    expect((await platform.tasks.list('main', { status: 'all' })).items).toHaveLength(1);
    const { items } = await platform.events.list({ cluster: 'main' });
    expect(items.map(({ type }) => type)).toEqual(expect.arrayContaining(['task-running', 'task-stopped']));
    expect(items.find(({ type }) => type === 'task-stopped')?.message).toMatch(/exit code 4/);
  });

  test('that no instance can take is refused with the reason', async () => {
    const { platform } = fixture;
    await platform.clusters.put('main', { instances: 1 });
    const refused = platform.tasks.run('main', { image: 'hello:1', memory: 100_000 });
    await expect(refused).rejects.toMatchObject({
      code: 'TASK_PLACEMENT_FAILED',
      message: expect.stringContaining('RESOURCE:MEMORY'),
    });
  });

  test('runs so many times at once; a repetition finds the same tasks, also when not all had a place', async () => {
    const { platform } = fixture;
    await platform.clusters.put('main', { instances: 1 });
    const spec = { image: 'hello:1', cpu: 2, memory: 6 };
    const run = await platform.tasks.runMany('main', spec, 23, 'job-1');
    expect([run.tasks.length, run.notStarted, run.failures]).toEqual([23, 0, []]);
    expect(new Set(run.tasks.map(({ id }) => id)).size).toBe(23);
    const again = await platform.tasks.runMany('main', spec, 23, 'job-1');
    expect(again.tasks.map(({ id }) => id)).toEqual(run.tasks.map(({ id }) => id));

    const [instance] = await platform.clusters.instances('main');
    const third = { image: 'hello:1', memory: Math.floor((instance?.remaining.memory ?? 0) / 3) };
    const some = await platform.tasks.runMany('main', third, 23, 'job-2');
    expect([some.tasks.length, some.notStarted]).toEqual([3, 20]);
    expect(some.failures).toEqual([expect.objectContaining({ reason: 'RESOURCE:MEMORY' })]);
    const none = platform.tasks.runMany('main', third, 2, 'job-3');
    await expect(none).rejects.toMatchObject({ code: 'TASK_PLACEMENT_FAILED' });
    const found = await platform.tasks.runMany('main', third, 23, 'job-2');
    expect(found.tasks.map(({ id }) => id)).toEqual(some.tasks.map(({ id }) => id));
    expect((await platform.tasks.list('main')).items).toHaveLength(26);
  });

  test('is stopped by request; stopping it again changes nothing', async () => {
    const { platform, until } = fixture;
    await platform.clusters.put('main', { instances: 1 });
    const { id } = await platform.tasks.run('main', { image: 'hello:1' });
    await platform.tasks.stop('main', id, 'enough');
    await until('it has stopped', async () => (await platform.tasks.get('main', id))?.status === 'STOPPED');
    expect(await platform.tasks.stop('main', id)).toMatchObject({ status: 'STOPPED', stoppedReason: 'enough' });
    await expect(platform.tasks.stop('main', 'abc')).rejects.toMatchObject({ code: 'TASK_NOT_FOUND' });
  });

  test('has logs; a container it has not is refused by name', async () => {
    const { platform, until } = fixture;
    await platform.clusters.put('main', { instances: 1 });
    const { id } = await platform.tasks.run('main', { image: 'hello:1' });
    await until('it runs', async () => (await platform.tasks.get('main', id))?.status === 'RUNNING');
    const lines = [];
    for await (const line of await platform.tasks.logs('main', id)) lines.push(line.text);
    expect(lines).toEqual([expect.stringContaining('hello from')]);
    await expect(platform.tasks.logs('main', id, { container: 'no' })).rejects.toMatchObject({
      code: 'CONTAINER_NOT_FOUND',
      hint: expect.stringContaining('main'),
    });
  });

  test('all tasks are listed once, over pages of any size', async () => {
    const { platform } = fixture;
    await platform.clusters.put('main', { instances: 2 });
    const made = await Promise.all(
      Array.from({ length: 9 }, () => platform.tasks.run('main', { image: 'hello:1', cpu: 2, memory: 6 })),
    );
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await platform.tasks.list('main', { limit: 2, ...(cursor === undefined ? {} : { cursor }) });
      seen.push(...page.items.map(({ id }) => id));
      cursor = page.cursor;
    } while (cursor !== undefined);
    expect(seen.sort()).toEqual(made.map(({ id }) => id).sort());
    await expect(platform.tasks.list('main', { cursor: 'bogus' })).rejects.toMatchObject({ code: 'CURSOR_INVALID' });
  });
});
