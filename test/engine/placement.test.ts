/** Placement as a pure function: the strategies by example. What always holds is in placement-histories.test.ts. */
import { describe, expect, test } from '@jest/globals';
import { place, type Requirement } from '../../lib/engine/placement/place.js';
import { adjusted, type InstanceSnapshot, type Snapshot } from '../../lib/engine/placement/snapshot.js';
import { checkStrategies } from '../../lib/engine/placement/strategy.js';

interface Size {
  readonly cpu?: number;
  readonly memoryMiB?: number;
  readonly zone?: string;
  readonly groups?: Readonly<Record<string, number>>;
  readonly tcpPorts?: readonly number[];
}

function instance(
  id: string,
  { cpu = 1024, memoryMiB = 1024, zone = 'a', groups = {}, tcpPorts = [] }: Size = {},
): InstanceSnapshot {
  const counts = new Map(Object.entries(groups));
  return {
    id,
    arn: `arn:${id}`,
    ec2InstanceId: `i-${id}`,
    status: 'ACTIVE',
    agentConnected: true,
    agentVersion: '1.80.0',
    registeredAtMs: 0,
    attributes: new Map([['ecs.availability-zone', zone]]),
    remaining: { cpu, memoryMiB, tcpPorts, udpPorts: [] },
    groups: counts,
    taskCount: [...counts.values()].reduce((sum, count) => sum + count, 0),
    runningTasksCount: 0,
  };
}

function requirement(
  change: Partial<Requirement> & { cpu?: number; memoryMiB?: number; tcpPorts?: number[] } = {},
): Requirement {
  const { cpu = 100, memoryMiB = 100, tcpPorts = [], ...rest } = change;
  return { needs: { cpu, memoryMiB, tcpPorts, udpPorts: [] }, constraints: [], strategies: [], group: 'g', ...rest };
}

const of = (...instances: InstanceSnapshot[]): Snapshot => ({ instances, hostPorts: new Set() });
const zero = (): number => 0;

function placedOn(snapshot: Snapshot, needs: Requirement, random = zero): string | undefined {
  const result = place(snapshot, needs, random);
  return result.placed ? result.instance.id : undefined;
}

describe('placement', () => {
  test('what a task takes it gives back', () => {
    const before = { cpu: 1000, memoryMiB: 1000, tcpPorts: [22], udpPorts: [] };
    const needs = { cpu: 1, memoryMiB: 2, tcpPorts: [80], udpPorts: [53] };
    expect(adjusted(adjusted(before, needs, -1), needs, 1)).toEqual(before);
  });

  test('binpack takes the instance with the least left that still fits', () => {
    const snapshot = of(instance('big'), instance('small', { memoryMiB: 150 }), instance('full', { memoryMiB: 50 }));
    expect(placedOn(snapshot, requirement({ strategies: [{ type: 'binpack', field: 'memory' }] }))).toBe('small');
  });

  test('spread evens out a group over zones, counting full instances too, then over instances', () => {
    const snapshot = of(
      instance('a1', { zone: 'a', groups: { g: 2 }, cpu: 0 }),
      instance('a2', { zone: 'a' }),
      instance('b1', { zone: 'b', groups: { g: 1 } }),
      instance('b2', { zone: 'b' }),
    );
    const strategies = [
      { type: 'spread', field: 'attribute:ecs.availability-zone' },
      { type: 'spread', field: 'instanceId' },
    ] as const;
    expect(placedOn(snapshot, requirement({ strategies }))).toBe('b2');
  });

  test('random follows the dice', () => {
    const snapshot = of(instance('x'), instance('y'), instance('z'));
    const needs = requirement({ strategies: [{ type: 'random' }] });
    expect([0, 0.5, 0.99].map((dice) => placedOn(snapshot, needs, () => dice))).toEqual(['x', 'y', 'z']);
  });

  test('nothing goes to an instance that drains or whose agent is gone', () => {
    const result = place(
      of({ ...instance('x'), status: 'DRAINING' }, { ...instance('y'), agentConnected: false }),
      requirement(),
      zero,
    );
    expect(result).toMatchObject({
      placed: false,
      rejections: [{ findings: [{ reason: 'INACTIVE' }] }, { findings: [{ reason: 'AGENT' }] }],
    });
  });

  test('a field that a strategy does not have is refused', () => {
    for (const strategy of [
      { type: 'binpack', field: 'disk' },
      { type: 'spread', field: 'cpu' },
      { type: 'random', field: 'cpu' },
    ] as const) {
      expect(() => checkStrategies([strategy])).toThrow(/field/);
    }
  });
});
