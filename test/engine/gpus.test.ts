/** GPUs at placement: each is one task's alone, counted with the other resources, shown and given back. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { createEngineFixture, until, type EngineFixture, type TaskBody } from './engine-fixture.js';

let engine: EngineFixture;
afterEach(() => engine.close());

const gpus = (value: string, more: object = {}): object => ({
  resourceRequirements: [{ type: 'GPU', value, ...more }],
});

async function instance(...ids: string[]): Promise<string> {
  const totalResources = ['CPU', 'MEMORY'].map((name) => ({ name, type: 'INTEGER', integerValue: 4096 }));
  const platformDevices = ids.map((id) => ({ id, type: 'GPU' }));
  const body = await engine.ecs('RegisterContainerInstance', { totalResources, platformDevices });
  return (body['containerInstance'] as { containerInstanceArn: string }).containerInstanceArn;
}

/** Ids of GPUs that the instance has, and has left. */
async function left(arn: string): Promise<readonly unknown[]> {
  const { containerInstances } = await engine.ecs('DescribeContainerInstances', { containerInstances: [arn] });
  const [found] = containerInstances as Record<string, { name: string; stringSetValue?: string[] }[]>[];
  return ['registeredResources', 'remainingResources'].map(
    (member) => found?.[member]?.find(({ name }) => name === 'GPU')?.stringSetValue,
  );
}

const given = (task: TaskBody | undefined): unknown[] => (task?.containers ?? []).map(({ gpuIds }) => gpuIds);

describe('in the simulated runtime', () => {
  test('a task has GPUs of its own from its claim to its end, also over a restart', async () => {
    engine = await createEngineFixture({ simulated: true });
    const plain = await instance();
    const rich = await instance('gpu-2', 'gpu-0', 'gpu-1');
    await engine.ecs('RegisterTaskDefinition', {
      family: 'train',
      containerDefinitions: [
        { name: 'a', image: 'x', memory: 64, ...gpus('2') },
        { name: 'b', image: 'x', memory: 64 },
      ],
    });
    const { tasks } = await engine.ecs('RunTask', { taskDefinition: 'train' });
    expect(tasks?.[0]?.containerInstanceArn).toBe(rich);
    expect(given(tasks?.[0])).toEqual([['gpu-0', 'gpu-1'], undefined]);
    expect(await left(rich)).toEqual([['gpu-0', 'gpu-1', 'gpu-2'], ['gpu-2']]);
    expect(await left(plain)).toEqual([undefined, undefined]);
    await engine.restart();
    const { failures } = await engine.ecs('RunTask', { taskDefinition: 'train' });
    const details = new Map(failures?.map(({ arn, detail }) => [arn, detail]));
    expect(details.get(plain)).toBe('RESOURCE:GPU needs 2, has 0');
    expect(details.get(rich)).toBe('RESOURCE:GPU needs 2, has 1');
    const [unplaced] = await engine.engine.unplaced('default');
    expect(unplaced).toMatchObject({
      needs: { gpus: 2 },
      smallestFix: expect.stringMatching(/^Free 1 GPUs on/) as unknown,
    });
    // One is still free, for whoever needs no more.
    const one = { containerOverrides: [{ name: 'a', ...gpus('1') }] };
    const second = (await engine.ecs('RunTask', { taskDefinition: 'train', overrides: one })).tasks?.[0];
    expect(given(second)).toEqual([['gpu-2'], undefined]);
    await engine.ecs('StopTask', { task: tasks?.[0]?.taskArn });
    await until('given back', async () => String((await left(rich))[1]) === 'gpu-0,gpu-1');
  });

  test('a service waits for a GPU and says which is missing', async () => {
    engine = await createEngineFixture({ simulated: true });
    await instance('gpu-0');
    await engine.definition('infer', {}, gpus('1'));
    await engine.ecs('CreateService', { serviceName: 'infer', taskDefinition: 'infer', desiredCount: 2 });
    await until('told', async () =>
      (await engine.service('infer')).events.some(({ message }) => message.includes('GPU')),
    );
    expect(await engine.tasks({ serviceName: 'infer' })).toHaveLength(1);
    await instance('gpu-0');
    await until('both', async () => (await engine.tasks({ serviceName: 'infer' })).length === 2);
  });

  test.each<[string, object]>([
    ['a share', gpus('1', { sharingStrategy: 'MPS' })],
    ['all of them', gpus('ALL')],
    ['another device', { resourceRequirements: [{ type: 'NeuronDevice', value: 'ALL' }] }],
    ['none', gpus('0')],
  ])('%s is refused by name', async (_, container) => {
    engine = await createEngineFixture({ simulated: true });
    const containerDefinitions = [{ name: 'a', image: 'x', memory: 64, ...container }];
    expect(await engine.refused('RegisterTaskDefinition', { family: 'f', containerDefinitions })).toMatchObject({
      __type: 'ClientException',
      message: expect.stringContaining('resourceRequirements') as unknown,
    });
  });
});

test('where containers run, an instance has none', async () => {
  engine = await createEngineFixture();
  const totalResources = ['CPU', 'MEMORY'].map((name) => ({ name, type: 'INTEGER', integerValue: 4096 }));
  const device = { platformDevices: [{ id: 'gpu-0', type: 'GPU' }] };
  const refused = await engine.refused('RegisterContainerInstance', { totalResources, ...device });
  expect(refused).toMatchObject({ __type: 'ClientException', message: expect.stringContaining('GPU') as unknown });
});
