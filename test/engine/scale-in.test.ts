/** Which tasks go when a service shrinks: by the placement strategies, turned round. */
import { describe, expect, test } from '@jest/globals';
import type { Verdict } from '../../lib/engine/services/health.js';
import { scaleIn } from '../../lib/engine/services/scale-in.js';
import type { PlacementStrategyState, TaskState } from '../../lib/engine/state/model.js';

interface Row {
  readonly id: string;
  readonly on: string;
  readonly zone?: string;
  readonly protectedUntilMs?: number;
  readonly status?: 'PENDING' | 'RUNNING';
  readonly verdict?: Verdict;
}

const NOW = 1000;
/** Free on each instance, and its rack. */
const INSTANCES = new Map(
  Object.entries({ full: [0, 0, 'r1'], half: [500, 100, 'r1'], empty: [200, 900, 'r2'] } as const).map(
    ([id, [cpu, memoryMiB, rack]]) => [
      id,
      { remaining: { cpu, memoryMiB, tcpPorts: [], udpPorts: [] }, attributes: [{ name: 'rack', value: rack }] },
    ],
  ),
);

function gone(rows: readonly Row[], most: number, ...strategies: PlacementStrategyState[]): string[] {
  const candidates = rows.map(({ id, on, zone = 'a', status = 'RUNNING', verdict, ...rest }, index) => ({
    task: {
      id,
      instanceId: on,
      availabilityZone: zone,
      lastStatus: status,
      createdAtMs: index,
      reserved: { cpu: 100, memoryMiB: 100, tcpPorts: [], udpPorts: [] },
      ...rest,
    } as unknown as TaskState,
    health: verdict ?? ({ verdict: 'healthy' } as const),
  }));
  return scaleIn(candidates, most, { strategies, instances: INSTANCES, nowMs: NOW }).map(({ task }) => task.id);
}

const spreadOver = (field: string): PlacementStrategyState => ({ type: 'spread', field });
const pack = (field: string): PlacementStrategyState => ({ type: 'binpack', field });
const one: readonly Row[] = [
  { id: 'f', on: 'full' },
  { id: 'h', on: 'half' },
  { id: 'e', on: 'empty' },
];

describe('a service that shrinks', () => {
  test.each<[string, string, PlacementStrategyState[]]>([
    // The instance that is left with most of it free.
    ['binpack memory', 'e', [pack('memory')]],
    ['binpack cpu', 'h', [pack('cpu')]],
    ['binpack CPU, in capitals', 'h', [pack('CPU')]],
    ['spread, then binpack within what is even', 'e', [spreadOver('instanceId'), pack('memory')]],
    // Two of three are in rack r1; within it the one with more memory free.
    ['spread over racks, then binpack', 'h', [spreadOver('attribute:rack'), pack('memory')]],
    ['random', 'e', [{ type: 'random' }]],
  ])('by %s loses %s first', (_, id, strategies) => {
    expect(gone(one, 1, ...strategies)).toEqual([id]);
  });

  test('by binpack goes on where it began, until the instance is empty of it', () => {
    const rows = ['half', 'empty', 'half', 'empty', 'full'].map((on, i) => ({ id: `${on}${String(i)}`, on }));
    expect(gone(rows, 3, pack('memory'))).toEqual(['empty3', 'empty1', 'half2']);
  });

  test('keeps zones even without a strategy of its own, counting protected tasks too', () => {
    const zones = ['a', 'a', 'b', 'b', 'b'].map((zone, i) => ({
      id: `${zone}${String(i)}`,
      on: `i${String(i)}`,
      zone,
    }));
    expect(gone(zones, 3)).toEqual(['b4', 'b3', 'a1']);
    const kept = zones.map((row) => (row.zone === 'a' ? row : { ...row, protectedUntilMs: NOW + 1 }));
    expect(gone(kept, 5)).toEqual(['a1', 'a0']);
    const half = zones.map((row, i) => (i >= 3 ? { ...row, protectedUntilMs: NOW + 1 } : row));
    expect(gone(half, 1)).toEqual(['b2']);
  });

  test('loses first what serves nobody: what has not started, then what is not healthy', () => {
    const rows: Row[] = [
      { id: 'well', on: 'empty' },
      { id: 'waits', on: 'full', verdict: { verdict: 'waiting' } },
      { id: 'starts', on: 'full', status: 'PENDING', verdict: { verdict: 'waiting' } },
    ];
    expect(gone(rows, 3, pack('memory'))).toEqual(['starts', 'waits', 'well']);
  });

  test('leaves protected tasks alone until their time is over', () => {
    const rows = [
      { id: 'now', on: 'empty', protectedUntilMs: NOW + 1 },
      { id: 'over', on: 'full', protectedUntilMs: NOW },
    ];
    expect(gone(rows, 2, pack('memory'))).toEqual(['over']);
  });

  test('by thousands of tasks takes no time to speak of', () => {
    const rows = Array.from({ length: 5000 }, (_, i) => ({
      id: String(i),
      on: `i${String(i % 50)}`,
      zone: String(i % 3),
    }));
    expect(gone(rows, 200)).toHaveLength(200);
  });
});
