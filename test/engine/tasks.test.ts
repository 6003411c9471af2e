/** Standalone tasks: their way through the states, what they claim, and what clients are told. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createEngineFixture, idOf, until, type EngineFixture, type TaskBody } from './engine-fixture.js';

let fixture: EngineFixture;
beforeEach(async () => {
  fixture = await createEngineFixture();
});
afterEach(() => fixture.close());

async function runOne(input: object): Promise<TaskBody> {
  const { tasks, failures } = await fixture.ecs('RunTask', input);
  expect(failures).toEqual([]);
  const task = tasks?.[0];
  if (task === undefined) throw new Error('no task');
  return task;
}

async function describeOne(arn: string): Promise<TaskBody> {
  const task = (await fixture.ecs('DescribeTasks', { tasks: [arn] })).tasks?.[0];
  if (task === undefined) throw new Error(`no task ${arn}`);
  return task;
}

const becomes = (arn: string, status: string): Promise<void> =>
  until(`${arn} ${status}`, async () => (await describeOne(arn)).lastStatus === status);

describe('a task', () => {
  test('goes from PENDING to RUNNING to STOPPED, one version and one event for each change', async () => {
    await fixture.instance();
    await fixture.definition('job');
    const task = await runOne({ taskDefinition: 'job' });
    expect(task).toMatchObject({ lastStatus: 'PENDING', desiredStatus: 'RUNNING', version: 1, group: 'family:job' });
    const id = idOf(task.taskArn);
    fixture.agent.start(id);
    await becomes(task.taskArn, 'RUNNING');
    fixture.agent.exit(id, 'app', 3);
    await becomes(task.taskArn, 'STOPPED');
    const ended = await describeOne(task.taskArn);
    expect(ended).toMatchObject({
      desiredStatus: 'STOPPED',
      stopCode: 'EssentialContainerExited',
      stoppedReason: 'Essential container in task exited',
      containers: [{ name: 'app', lastStatus: 'STOPPED', exitCode: 3 }],
    });
    const versions = (): unknown[] =>
      fixture.events
        .filter((event) => event['detail-type'] === 'ECS Task State Change')
        .map((event) => event.detail['version']);
    await until('the last event', () => versions().length >= 4);
    expect(versions()).toEqual([1, 2, 3, 4]);
    expect(ended.version).toBe(4);
  });

  test('that is stopped keeps the reason of who asked, word for word', async () => {
    await fixture.instance();
    await fixture.definition('job');
    const task = await runOne({ taskDefinition: 'job' });
    fixture.agent.start(idOf(task.taskArn));
    await becomes(task.taskArn, 'RUNNING');
    const { task: stopping } = (await fixture.ecs('StopTask', { task: task.taskArn, reason: 'enough, thanks' })) as {
      task?: TaskBody;
    };
    expect(stopping).toMatchObject({ lastStatus: 'STOPPING', desiredStatus: 'STOPPED', stopCode: 'UserInitiated' });
    fixture.agent.finish(idOf(task.taskArn));
    await becomes(task.taskArn, 'STOPPED');
    expect(await describeOne(task.taskArn)).toMatchObject({
      stoppedReason: 'enough, thanks',
      containers: [{ exitCode: 143 }],
    });
    // Stopping what has stopped is no error.
    expect((await fixture.ecs('StopTask', { task: task.taskArn }))['task']).toMatchObject({ lastStatus: 'STOPPED' });
  });

  test('is describable for an hour after it stopped, then MISSING', async () => {
    await fixture.instance();
    await fixture.definition('job');
    const task = await runOne({ taskDefinition: 'job' });
    fixture.agent.failToStart(idOf(task.taskArn));
    await becomes(task.taskArn, 'STOPPED');
    expect(await describeOne(task.taskArn)).toMatchObject({
      stopCode: 'TaskFailedToStart',
      containers: [{ reason: 'CannotPullContainerError: manifest unknown' }],
    });
    fixture.clock.advance(3_599_000);
    await describeOne(task.taskArn);
    fixture.clock.advance(2000);
    const { tasks, failures } = await fixture.ecs('DescribeTasks', { tasks: [task.taskArn] });
    expect(tasks).toEqual([]);
    expect(failures).toEqual([{ arn: task.taskArn, reason: 'MISSING' }]);
  });

  test('claims its resources and gives them back when it has stopped', async () => {
    const arn = await fixture.instance({ cpu: 256, memory: 256 });
    await fixture.definition(
      'big',
      {},
      { cpu: 256, memory: 200, portMappings: [{ containerPort: 80, hostPort: 8080 }] },
    );
    const remaining = async (): Promise<unknown> => {
      const body = await fixture.ecs('DescribeContainerInstances', { containerInstances: [arn] });
      const [instance] = body['containerInstances'] as {
        remainingResources: { name: string; integerValue: number; stringSetValue?: string[] }[];
      }[];
      return instance?.remainingResources.map((item) => item.stringSetValue ?? item.integerValue);
    };
    const before = await remaining();
    const task = await runOne({ taskDefinition: 'big' });
    expect(await remaining()).toEqual([0, 56, ['22', '2375', '2376', '8080', '51678', '51679', '51680'], []]);
    const second = await fixture.ecs('RunTask', { taskDefinition: 'big' });
    expect(second.tasks).toEqual([]);
    expect(second.failures).toMatchObject([
      {
        arn,
        reason: 'RESOURCE:CPU',
        detail:
          'RESOURCE:CPU needs 256, has 0; RESOURCE:MEMORY needs 200, has 56; RESOURCE:PORTS needs 8080, in use 8080',
      },
    ]);
    fixture.agent.exit(idOf(task.taskArn), 'app', 0);
    await becomes(task.taskArn, 'STOPPED');
    expect(await remaining()).toEqual(before);
  });

  test('becomes RUNNING when an init container has completed and the others run', async () => {
    await fixture.instance();
    await fixture.definition('two', {
      containerDefinitions: [
        { name: 'init', image: 'a', memory: 16, essential: false },
        { name: 'app', image: 'a', memory: 16, dependsOn: [{ containerName: 'init', condition: 'SUCCESS' }] },
      ],
    });
    const task = await runOne({ taskDefinition: 'two' });
    const id = idOf(task.taskArn);
    fixture.agent.container(id, 'init', 'RUNNING');
    fixture.agent.exit(id, 'init', 0);
    fixture.agent.container(id, 'app', 'RUNNING');
    await becomes(task.taskArn, 'RUNNING');
  });

  test('shows dynamic host ports, and the definition stays as it was registered', async () => {
    await fixture.instance();
    await fixture.definition('web', {}, { portMappings: [{ containerPort: 80 }] });
    for (let count = 0; count < 2; count += 1) {
      const task = await runOne({ taskDefinition: 'web' });
      fixture.agent.start(idOf(task.taskArn));
      await becomes(task.taskArn, 'RUNNING');
      expect((await describeOne(task.taskArn)).containers[0]?.networkBindings[0]?.hostPort).toBeGreaterThan(32_000);
    }
    const { taskDefinition } = await fixture.ecs('DescribeTaskDefinition', { taskDefinition: 'web' });
    const portMappings = [{ containerPort: 80, hostPort: 0, protocol: 'tcp' }];
    expect(taskDefinition).toMatchObject({ containerDefinitions: [{ portMappings }] });
  });
});

describe('RunTask', () => {
  test('hands the overrides to the agent and shows them', async () => {
    await fixture.instance();
    await fixture.definition('job', {}, { environment: [{ name: 'A', value: '1' }], command: ['x'] });
    const overrides = {
      containerOverrides: [{ name: 'app', command: ['y', 'z'], environment: [{ name: 'B', value: '2' }], memory: 64 }],
    };
    const task = await runOne({ taskDefinition: 'job', overrides });
    expect(task).toMatchObject({ overrides, memory: '64' });
    expect(fixture.agent.payload(idOf(task.taskArn)).containers[0]).toMatchObject({
      command: ['y', 'z'],
      environment: ['A=1', 'B=2'],
      memoryBytes: 64 * 1024 * 1024,
    });
  });

  test('has the tags that are managed, those of its definition when told to, and its own before them', async () => {
    await fixture.instance();
    await fixture.definition('job', {
      tags: [
        { key: 'team', value: 'a' },
        { key: 'tier', value: '1' },
      ],
    });
    const tagsOf = async (input: object): Promise<unknown> => {
      const { tasks } = await fixture.ecs('RunTask', { taskDefinition: 'job', ...input });
      const described = await fixture.ecs('DescribeTasks', { tasks: [tasks?.[0]?.taskArn], include: ['TAGS'] });
      return described.tasks?.[0]?.tags;
    };
    const own = [{ key: 'team', value: 'b' }];
    expect(await tagsOf({})).toEqual([]);
    expect(await tagsOf({ tags: own })).toEqual(own);
    expect(await tagsOf({ tags: own, propagateTags: 'TASK_DEFINITION', enableECSManagedTags: true })).toEqual([
      { key: 'aws:ecs:clusterName', value: 'default' },
      { key: 'team', value: 'b' },
      { key: 'tier', value: '1' },
    ]);
  });

  test('with the same client token gives the tasks of the first answer again, and makes no more', async () => {
    await fixture.instance({ cpu: 256 });
    await fixture.definition('job', {}, { cpu: 128 });
    const input = { taskDefinition: 'job', count: 3, clientToken: 'once' };
    const first = await fixture.ecs('RunTask', input);
    expect(first.tasks).toHaveLength(2);
    expect(first.failures).toHaveLength(1);
    await fixture.instance({ cpu: 256 });
    const again = await fixture.ecs('RunTask', input);
    const arns = (list: typeof first): string[] => (list.tasks ?? []).map((task) => task.taskArn);
    expect(arns(again)).toEqual(arns(first));
    expect(fixture.agent.taskIds).toHaveLength(2);
    const clash = await fixture.refused('RunTask', { ...input, count: 1 });
    expect(clash).toMatchObject({
      __type: 'ConflictException',
      resourceIds: expect.arrayContaining(arns(first)) as unknown,
    });
  });

  test('with the same client token starts now what had no room before', async () => {
    await fixture.instance({ cpu: 64 });
    await fixture.definition('job', {}, { cpu: 128 });
    const input = { taskDefinition: 'job', count: 3, clientToken: 'once' };
    expect(await fixture.ecs('RunTask', input)).toMatchObject({ tasks: [], failures: [{ reason: 'RESOURCE:CPU' }] });
    await fixture.instance({ cpu: 512 });
    expect((await fixture.ecs('RunTask', input)).tasks).toHaveLength(3);
  });

  test('killed before it answered, finishes by the same client token what was missing', async () => {
    await fixture.instance({ cpu: 512 });
    await fixture.definition('job', {}, { cpu: 128 });
    const input = { taskDefinition: 'job', count: 3, clientToken: 'once' };
    // The token and the first task are written by then.
    const death = new Promise<void>((resolve) => fixture.records.killAt(2, 'after', resolve));
    void fixture.ecs('RunTask', input);
    await death;
    await fixture.restart();
    expect((await fixture.tasks()).length).toBeLessThan(3);
    expect((await fixture.ecs('RunTask', input)).tasks).toHaveLength(3);
    expect(await fixture.tasks()).toHaveLength(3);
  });

  test('without any instance is refused, without room it fails inside a success', async () => {
    await fixture.definition('job');
    expect(await fixture.refused('RunTask', { taskDefinition: 'job' })).toMatchObject({
      __type: 'InvalidParameterException',
      message: 'No Container Instances were found in your cluster.',
    });
    await fixture.instance({ attributes: [{ name: 'stage', value: 'dev' }] });
    const { failures } = await fixture.ecs('RunTask', {
      taskDefinition: 'job',
      placementConstraints: [{ type: 'memberOf', expression: 'attribute:stage == prod' }],
    });
    expect(failures).toMatchObject([{ reason: 'MemberOf placement constraint unsatisfied.' }]);
  });

  test('on a machine that all instances share takes a fixed host port once', async () => {
    await fixture.instance();
    await fixture.instance();
    await fixture.definition('web', {}, { portMappings: [{ containerPort: 80, hostPort: 8080 }] });
    const { tasks, failures } = await fixture.ecs('RunTask', { taskDefinition: 'web', count: 2 });
    expect(tasks).toHaveLength(1);
    expect(failures).toMatchObject([{ reason: 'RESOURCE:PORTS' }, { reason: 'RESOURCE:PORTS' }]);
  });
});

describe('StartTask', () => {
  test('starts on the instances named, and says which are missing or inactive', async () => {
    const [one, two] = [await fixture.instance(), await fixture.instance()];
    await fixture.definition('job');
    await fixture.ecs('DeregisterContainerInstance', { containerInstance: two });
    const { tasks, failures } = await fixture.ecs('StartTask', {
      taskDefinition: 'job',
      containerInstances: [one, two, 'f'.repeat(32)],
    });
    expect(tasks).toMatchObject([{ containerInstanceArn: one }]);
    expect(failures?.map((failure) => failure.reason)).toEqual(['INACTIVE', 'MISSING']);
  });
});

describe('ListTasks', () => {
  test('filters by desired status, family, startedBy and instance, in pages', async () => {
    const arn = await fixture.instance();
    await fixture.definition('a');
    await fixture.definition('b');
    await fixture.ecs('RunTask', { taskDefinition: 'a', count: 3, startedBy: 'me' });
    const other = await runOne({ taskDefinition: 'b' });
    await fixture.ecs('StopTask', { task: other.taskArn });
    const list = async (input: object): Promise<string[]> =>
      (await fixture.ecs('ListTasks', input))['taskArns'] as string[];
    expect(await list({})).toHaveLength(3);
    expect(await list({ desiredStatus: 'STOPPED' })).toEqual([other.taskArn]);
    expect(await list({ startedBy: 'me', family: 'a', containerInstance: arn })).toHaveLength(3);
    expect(await list({ family: 'b' })).toEqual([]);
    const seen: string[] = [];
    let nextToken: string | undefined;
    do {
      const page = await fixture.ecs('ListTasks', { maxResults: 1, ...(nextToken === undefined ? {} : { nextToken }) });
      seen.push(...(page['taskArns'] as string[]));
      nextToken = page['nextToken'] as string | undefined;
    } while (nextToken !== undefined);
    expect(new Set(seen).size).toBe(3);
  });
});

describe('the engine', () => {
  test('killed and started again hands every unfinished task to the agent, and sweeps the rest', async () => {
    await fixture.instance();
    await fixture.definition('job');
    const [a, b] = [await runOne({ taskDefinition: 'job' }), await runOne({ taskDefinition: 'job' })];
    fixture.agent.start(idOf(a.taskArn));
    await becomes(a.taskArn, 'RUNNING');
    await fixture.ecs('StopTask', { task: b.taskArn, reason: 'no more' });
    const handedIn = fixture.agent.runs.length;
    await fixture.restart();
    expect(
      fixture.agent.runs
        .slice(handedIn)
        .map((payload) => payload.taskArn)
        .sort(),
    ).toEqual([a.taskArn, b.taskArn].sort());
    expect(fixture.agent.sweeps.at(-1)).toEqual(new Set([idOf(a.taskArn), idOf(b.taskArn)]));
    // The stop that was cut off is asked for again, with its reason.
    expect(fixture.agent.stops.at(-1)).toMatchObject({ taskId: idOf(b.taskArn), why: { reason: 'no more' } });
    fixture.agent.finish(idOf(b.taskArn));
    await becomes(b.taskArn, 'STOPPED');
    // What runs was adopted without a change.
    expect((await describeOne(a.taskArn)).version).toBe(2);
    fixture.agent.exit(idOf(a.taskArn), 'app', 0);
    await becomes(a.taskArn, 'STOPPED');
  });

  test('gives the lines of a container through the agent', async () => {
    await fixture.instance();
    await fixture.definition('job');
    const task = await runOne({ taskDefinition: 'job' });
    const lines: string[] = [];
    for await (const line of fixture.engine.logs(task.taskArn, undefined, {}) ?? []) lines.push(line.text);
    expect(lines).toEqual([`hello from ${idOf(task.taskArn)}`]);
    expect(fixture.engine.logs(task.taskArn.replace(/.$/, 'x'), 'app', {})).toBeUndefined();
  });

  test('asked to end its tasks with itself waits until they have ended', async () => {
    await fixture.instance();
    await fixture.definition('job');
    const task = await runOne({ taskDefinition: 'job' });
    fixture.agent.start(idOf(task.taskArn));
    await becomes(task.taskArn, 'RUNNING');
    fixture.agent.auto = true;
    await fixture.engine.stop({ stopTasks: true });
    expect(await describeOne(task.taskArn)).toMatchObject({ lastStatus: 'STOPPED', stopCode: 'UserInitiated' });
  });
});
