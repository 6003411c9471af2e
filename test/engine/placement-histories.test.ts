/**
 * 10,000 random histories of a cluster: tasks come and go, instances drain, come back, join and leave. Whatever
 * happens, nothing is over-committed, no port and no GPU is taken twice, constraints hold, every refusal names a reason for each
 * instance; and the index always chooses as the definition does.
 */
import { describe, test } from '@jest/globals';
import * as fc from 'fast-check';
import { place, type Requirement } from '../../lib/engine/placement/place.js';
import { PlacementIndex } from '../../lib/engine/placement/placement-index.js';
import { adjusted, portKeys, withGpusOf, type InstanceSnapshot } from '../../lib/engine/placement/snapshot.js';

const HISTORIES = 10_000;

interface Placed {
  readonly instanceId: string;
  readonly requirement: Requirement;
}

const strategy = fc.constantFrom(
  { type: 'binpack', field: 'cpu' } as const,
  { type: 'binpack', field: 'memory' } as const,
  { type: 'spread', field: 'instanceId' } as const,
  { type: 'spread', field: 'attribute:ecs.availability-zone' } as const,
  { type: 'spread', field: 'attribute:nobody-has' } as const,
  { type: 'wharf:locality' } as const,
  { type: 'random' } as const,
);
const constraints = fc.constantFrom<Requirement['constraints']>(
  [],
  [],
  [{ type: 'distinctInstance' }],
  [{ type: 'memberOf', expression: 'attribute:ecs.availability-zone == a' }],
  [{ type: 'memberOf', expression: 'not(task:group == h)' }],
  [{ type: 'distinctInstance' }, { type: 'memberOf', expression: 'attribute:ecs.availability-zone in [a, b]' }],
);
const ask = fc.record({
  kind: fc.constant('ask' as const),
  cpu: fc.integer({ min: 0, max: 800 }),
  memoryMiB: fc.integer({ min: 1, max: 800 }),
  ports: fc.constantFrom<readonly number[]>([], [], [], [8000], [8001], [8000, 8002]),
  gpus: fc.constantFrom(0, 0, 0, 1, 2),
  group: fc.constantFrom('g', 'h'),
  strategies: fc.array(strategy, { maxLength: 3 }),
  constraints,
  held: fc.dictionary(fc.constantFrom('i000', 'i001', 'i002', 'i003'), fc.nat(5000)),
  random: fc.double({ min: 0, max: 0.999, noNaN: true }),
});
const step = fc.oneof(
  { weight: 6, arbitrary: ask },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('end' as const), which: fc.nat(100) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('instance' as const),
      which: fc.nat(6),
      change: fc.constantFrom('drain', 'activate', 'disconnect', 'leave', 'move'),
      cpu: fc.integer({ min: 1, max: 2000 }),
      memoryMiB: fc.integer({ min: 1, max: 2000 }),
    }),
  },
);

class Cluster {
  instances: InstanceSnapshot[] = [];
  placed: Placed[] = [];
  readonly index: PlacementIndex;

  constructor(
    sizes: readonly { readonly cpu: number; readonly memoryMiB: number }[],
    private readonly isShared: boolean,
  ) {
    this.instances = sizes.map((size, number) => empty(`i${String(number).padStart(3, '0')}`, size));
    this.index = new PlacementIndex(this.instances);
  }

  hostPorts(): ReadonlySet<string> {
    return new Set(this.isShared ? this.placed.flatMap(({ requirement }) => portKeys(requirement.needs)) : []);
  }

  /** Ids of GPUs that tasks have there. */
  gpusOn(id: string): readonly string[] {
    return this.placed.flatMap(({ instanceId, requirement }) =>
      instanceId === id ? (requirement.needs.gpuIds ?? []) : [],
    );
  }

  set(instance: InstanceSnapshot): void {
    const others = this.instances.filter(({ id }) => id !== instance.id);
    this.instances = [...others, instance].sort((a, b) => (a.id < b.id ? -1 : 1));
    this.index.set(instance);
  }

  leave(id: string): void {
    this.instances = this.instances.filter((instance) => instance.id !== id);
    this.placed = this.placed.filter(({ instanceId }) => instanceId !== id);
    this.index.delete(id);
  }

  take({ instanceId, requirement }: Placed, sign: 1 | -1): void {
    const instance = this.instances.find(({ id }) => id === instanceId);
    if (instance === undefined) return;
    const { group, needs } = requirement;
    const groups = new Map([...instance.groups, [group, (instance.groups.get(group) ?? 0) - sign]]);
    if (groups.get(group) === 0) groups.delete(group);
    this.set({
      ...instance,
      remaining: adjusted(instance.remaining, needs, sign),
      groups,
      taskCount: instance.taskCount - sign,
    });
  }
}

function empty(id: string, { cpu, memoryMiB }: { cpu: number; memoryMiB: number }, zone?: string): InstanceSnapshot {
  return {
    id,
    arn: `arn:${id}`,
    ec2InstanceId: `i-${id}`,
    status: 'ACTIVE',
    agentConnected: true,
    agentVersion: '1.80.0',
    registeredAtMs: 0,
    attributes: new Map([['ecs.availability-zone', zone ?? ['a', 'b', 'c'][Number(id.slice(1)) % 3]]]),
    remaining: { cpu, memoryMiB, tcpPorts: [], udpPorts: [], ...(cpu > 1000 ? { gpuIds: ['x', 'y', 'z'] } : {}) },
    groups: new Map(),
    taskCount: 0,
    runningTasksCount: 0,
  };
}

const pullsOf = (held: Readonly<Record<string, number>>): NonNullable<Requirement['pulls']> => ({
  totalBytes: 5_000_000,
  heldBytes: new Map(Object.entries(held).map(([id, count]) => [id, count * 1000])),
});

function must(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

function asked(cluster: Cluster, wanted: Requirement, random: () => number): void {
  const hostPorts = cluster.hostPorts();
  const result = place({ instances: cluster.instances, hostPorts }, wanted, random);
  const chosen = cluster.index.choose(wanted, hostPorts, random);
  must(chosen?.id === (result.placed ? result.instance.id : undefined), 'the index chooses another instance');
  if (!result.placed) {
    must(result.rejections.length === cluster.instances.length, 'an instance is missing in the table');
    must(
      result.rejections.every(({ findings }) => findings.length > 0),
      'an instance was refused for nothing',
    );
    return;
  }
  const { instance } = result;
  const keys = portKeys(wanted.needs);
  must(instance.status === 'ACTIVE' && instance.agentConnected, 'placed where nothing may go');
  must(!keys.some((key) => hostPorts.has(key) || portKeys(instance.remaining).includes(key)), 'a port taken twice');
  for (const { type, expression } of wanted.constraints) {
    if (type === 'distinctInstance') must((instance.groups.get(wanted.group) ?? 0) === 0, 'not distinct');
    if (expression?.includes('==') === true && expression.includes('attribute')) {
      must(instance.attributes.get('ecs.availability-zone') === 'a', 'the wrong zone');
    }
    if (expression?.includes('task:group') === true) must(!instance.groups.has('h'), 'beside group h');
  }
  const needs = withGpusOf(instance.remaining, wanted.needs);
  const gpuIds = needs.gpuIds ?? [];
  must(gpuIds.length === (needs.gpus ?? 0), 'fewer GPUs than needed');
  const others = cluster.gpusOn(instance.id);
  must(!gpuIds.some((id) => others.includes(id)), 'a GPU given twice');
  const placed = { instanceId: instance.id, requirement: { ...wanted, needs } };
  cluster.placed.push(placed);
  cluster.take(placed, -1);
  const after = cluster.instances.find(({ id }) => id === instance.id);
  must((after?.remaining.cpu ?? -1) >= 0 && (after?.remaining.memoryMiB ?? -1) >= 0, 'over-committed');
}

describe('placement', () => {
  test(`keeps its promises over ${String(HISTORIES)} random histories, and so does its index`, () => {
    const size = fc.record({ cpu: fc.integer({ min: 1, max: 2000 }), memoryMiB: fc.integer({ min: 1, max: 2000 }) });
    fc.assert(
      fc.property(
        fc.array(size, { minLength: 1, maxLength: 6 }),
        fc.array(step, { maxLength: 25 }),
        fc.boolean(),
        (sizes, steps, isShared) => {
          const cluster = new Cluster(sizes, isShared);
          for (const next of steps) {
            if (next.kind === 'end') {
              const [task] = cluster.placed.splice(next.which % Math.max(1, cluster.placed.length), 1);
              if (task !== undefined) cluster.take(task, 1);
            } else if (next.kind === 'instance') changeInstance(cluster, next);
            else {
              const { cpu, memoryMiB, ports, gpus, group, strategies, constraints: wanted, held, random } = next;
              const needs = { cpu, memoryMiB, tcpPorts: ports, udpPorts: [], ...(gpus > 0 ? { gpus } : {}) };
              asked(cluster, { needs, constraints: wanted, strategies, group, pulls: pullsOf(held) }, () => random);
            }
          }
        },
      ),
      { numRuns: HISTORIES },
    );
  }, 60_000);

  test('its index walks over hundreds of instances and chooses as the definition does', () => {
    const size = fc.record({ cpu: fc.integer({ min: 1, max: 5000 }), memoryMiB: fc.integer({ min: 1, max: 5000 }) });
    fc.assert(
      fc.property(
        fc.array(size, { minLength: 100, maxLength: 300 }),
        fc.array(ask, { minLength: 50, maxLength: 150 }),
        fc.boolean(),
        (sizes, asks, isShared) => {
          const cluster = new Cluster(sizes, isShared);
          for (const { cpu, memoryMiB, ports, gpus, held, random, ...rest } of asks) {
            const own = gpus > 0 ? { gpus } : {};
            const needs = { cpu: cpu * 4, memoryMiB: memoryMiB * 4, tcpPorts: ports, udpPorts: [], ...own };
            asked(cluster, { ...rest, needs, pulls: pullsOf(held) }, () => random);
          }
        },
      ),
      { numRuns: 40 },
    );
  }, 60_000);
});

function changeInstance(
  cluster: Cluster,
  { which, change, cpu, memoryMiB }: { which: number; change: string; cpu: number; memoryMiB: number },
): void {
  const id = `i${String(which).padStart(3, '0')}`;
  const instance = cluster.instances.find((one) => one.id === id);
  if (instance === undefined) cluster.set(empty(id, { cpu, memoryMiB }));
  else if (change === 'leave') cluster.leave(id);
  else if (change === 'drain') cluster.set({ ...instance, status: 'DRAINING' });
  else if (change === 'disconnect') cluster.set({ ...instance, agentConnected: false });
  else if (change === 'move') cluster.set({ ...instance, attributes: new Map([['ecs.availability-zone', 'a']]) });
  else cluster.set({ ...instance, status: 'ACTIVE', agentConnected: true });
}
