/** The arithmetic of managed scaling and of strategies, without an engine around it. */
import { describe, expect, test } from '@jest/globals';
import { groupOf, type AutoScalingGroup } from '../../lib/engine/capacity/group.js';
import {
  desiredInstances,
  instancesFor,
  leavers,
  reservation,
  type GroupInstance,
  type WaitingTask,
} from '../../lib/engine/capacity/scaling.js';
import { nextProvider } from '../../lib/engine/capacity/strategy.js';

const GROUP: AutoScalingGroup = {
  minimum: 0,
  maximum: 20,
  cpu: 1024,
  memoryMiB: 2048,
  instanceType: 'local',
  zones: ['a'],
};

function waiting(count: number, cpu: number, memoryMiB = 1, isAlone = false): WaitingTask[] {
  return Array.from({ length: count }, () => ({ needs: { cpu, memoryMiB, tcpPorts: [], udpPorts: [] }, isAlone }));
}

function instances(...tasks: readonly number[]): GroupInstance[] {
  return tasks.map((count, index) => ({ id: `i${index}`, zone: 'a', registeredAtMs: index, tasks: count }));
}

const settings = (change: object = {}) => ({
  managedScaling: {
    status: 'ENABLED' as const,
    targetCapacity: 100,
    minimumScalingStepSize: 1,
    maximumScalingStepSize: 10_000,
    instanceWarmupPeriod: 300,
    ...change,
  },
});

describe('CapacityProviderReservation', () => {
  test.each([
    ['nothing at all', instances(), [], 100],
    ['tasks and no instance', instances(), waiting(1, 512), 200],
    ['every instance in use', instances(1, 2), [], 100],
    ['half of the instances idle', instances(1, 0), [], 50],
    ['two instances and as many missing', instances(2, 2), waiting(4, 512), 200],
  ])('with %s', (_, present, tasks, percent) => {
    expect(reservation(GROUP, present, tasks).percent).toBe(percent);
  });

  test('counts the size that needs most instances, never one that fits on none', () => {
    expect(instancesFor(GROUP, waiting(5, 512))).toBe(3);
    expect(instancesFor(GROUP, [...waiting(5, 512), ...waiting(4, 256, 2048)])).toBe(4);
    expect(instancesFor(GROUP, waiting(3, 16, 1, true))).toBe(3);
    expect(instancesFor(GROUP, waiting(3, 2048))).toBe(0);
  });
});

describe('the size a group should have', () => {
  const wanted = (m: number, n: number, change: object = {}, surplus = false): number =>
    desiredInstances(GROUP, settings(change), { m, n, percent: 0 }, surplus);

  test.each<[string, number, number]>([
    ['two from an empty group', wanted(1, 0), 2],
    ['what is needed', wanted(5, 3), 5],
    ['at least the smallest step', wanted(4, 3, { minimumScalingStepSize: 3 }), 6],
    ['at most the largest step', wanted(9, 3, { maximumScalingStepSize: 2 }), 5],
    ['never above the maximum', wanted(50, 3), 20],
    ['headroom for a target below 100', wanted(4, 4, { targetCapacity: 80 }), 5],
    ['unchanged while too large only for now', wanted(1, 4), 4],
    ['what is needed once too large for long', wanted(1, 4, {}, true), 1],
    ['none when nothing is needed', wanted(0, 4, {}, true), 0],
    ['as it is without managed scaling', wanted(9, 3, { status: 'DISABLED' }), 3],
  ])('is %s', (_, actual, expected) => {
    expect(actual).toBe(expected);
  });

  test('gives up instances of the fullest zone first, the oldest there, and protected ones never', () => {
    const some: GroupInstance[] = [
      { id: 'old', zone: 'a', registeredAtMs: 1, tasks: 1 },
      { id: 'b1', zone: 'b', registeredAtMs: 2, tasks: 0 },
      { id: 'young', zone: 'a', registeredAtMs: 3, tasks: 0 },
    ];
    expect(leavers(some, 2, false)).toEqual(['old', 'b1']);
    expect(leavers(some, 2, true)).toEqual(['young', 'b1']);
    expect(leavers(some, 3, true)).toEqual(['young', 'b1']);
  });

  test('is told by tags', () => {
    const options = { region: 'eu-central-1', instanceSize: { cpu: 4096, memoryMiB: 8192 } };
    const tag = (key: string, value: string) => ({ key, value });
    expect(groupOf([], options)).toMatchObject({ minimum: 0, maximum: 4, cpu: 4096, zones: ['eu-central-1a'] });
    expect(groupOf([tag('wharf:minimum', '6'), tag('wharf:zones', 'x y')], options)).toMatchObject({
      minimum: 6,
      maximum: 6,
      zones: ['x', 'y'],
    });
    expect(() => groupOf([tag('wharf:minimum', '6'), tag('wharf:maximum', '2')], options)).toThrow('is above');
  });
});

describe('the provider of the next task', () => {
  const spread = (strategy: Parameters<typeof nextProvider>[0], count: number): Record<string, number> => {
    const counts = new Map<string, number>();
    for (let task = 0; task < count; task += 1) {
      const name = nextProvider(strategy, counts) ?? 'none';
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    return Object.fromEntries(counts);
  };

  test.each([
    [
      'by weights',
      [
        { capacityProvider: 'a', weight: 1 },
        { capacityProvider: 'b', weight: 4 },
      ],
      10,
      { a: 2, b: 8 },
    ],
    [
      'the base first',
      [
        { capacityProvider: 'a', base: 3 },
        { capacityProvider: 'b', weight: 1 },
      ],
      5,
      { a: 3, b: 2 },
    ],
    ['one alone without a weight', [{ capacityProvider: 'a' }], 3, { a: 3 }],
    [
      'none of weight 0',
      [
        { capacityProvider: 'a', weight: 0 },
        { capacityProvider: 'b', weight: 1 },
      ],
      3,
      { b: 3 },
    ],
  ])('is chosen %s', (_, strategy, count, expected) => {
    expect(spread(strategy, count)).toEqual(expected);
  });
});
