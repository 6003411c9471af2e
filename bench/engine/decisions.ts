/** (D) Placement alone: an instance is chosen and claimed, on a cluster that is kept about four fifths full. */
import { PlacementIndex } from '../../lib/engine/placement/placement-index.js';
import type { Requirement } from '../../lib/engine/placement/place.js';
import { type InstanceSnapshot, withTask } from '../../lib/engine/placement/snapshot.js';
import { percentile, short, table } from '../figures.js';
import type { Session } from '../session.js';

/** (D) Places and ends tasks on a cluster that is kept about four fifths full. */
export function benchDecisions(session: Session, sizes: readonly number[], steps: number): string {
  const requirements: readonly (readonly [string, Partial<Requirement>])[] = [
    ['binpack memory', { strategies: [{ type: 'binpack', field: 'memory' }] }],
    ['spread zone', { strategies: [{ type: 'spread', field: 'attribute:ecs.availability-zone' }] }],
    [
      'spread zone, binpack cpu',
      {
        strategies: [
          { type: 'spread', field: 'attribute:ecs.availability-zone' },
          { type: 'binpack', field: 'cpu' },
        ],
      },
    ],
    [
      'memberOf, binpack memory',
      {
        strategies: [{ type: 'binpack', field: 'memory' }],
        constraints: [{ type: 'memberOf', expression: 'attribute:ecs.availability-zone in [a, b]' }],
      },
    ],
  ];
  const rows = [
    ['(D) decisions/s of processor time, with their claims', ...sizes.map(String), 'instances; p99 at the last'],
  ];
  for (const [name, change] of requirements) {
    const figures = sizes.map((size) => decide(size, change, steps));
    for (const each of figures) session.record('decisions', { name, ...each });
    rows.push([name, ...figures.map(({ perSecond }) => short(perSecond)), `${short(figures.at(-1)?.p99Us ?? 0)} µs`]);
  }
  return table(rows);
}

function decide(
  size: number,
  change: Partial<Requirement>,
  steps: number,
): { size: number; perSecond: number; p99Us: number } {
  const index = new PlacementIndex(Array.from({ length: size }, (_, number) => emptyInstance(number)));
  const running: { readonly id: string; readonly requirement: Requirement }[] = [];
  let seed = 1;
  const random = (): number => (seed = (seed * 48_271) % 0x7fff_ffff) / 0x7fff_ffff;
  const noPorts: ReadonlySet<string> = new Set();
  const claim = (id: string, { needs, group }: Requirement, sign: 1 | -1): void => {
    const instance = index.instance(id);
    if (instance !== undefined) index.set(withTask(instance, needs, group, sign));
  };
  const next = (): Requirement => ({
    needs: {
      cpu: 64 + Math.floor(random() * 4) * 64,
      memoryMiB: 128 + Math.floor(random() * 8) * 128,
      tcpPorts: [],
      udpPorts: [],
    },
    constraints: [],
    strategies: [],
    group: `service:s${String(Math.floor(random() * 50))}`,
    ...change,
  });
  const step = (): void => {
    const requirement = next();
    const chosen = index.choose(requirement, noPorts, random);
    if (chosen !== undefined) {
      claim(chosen.id, requirement, -1);
      running.push({ id: chosen.id, requirement });
    }
    if (chosen !== undefined && running.length < size * 8) return;
    const which = Math.floor(random() * running.length);
    const gone = running[which];
    const last = running.pop();
    if (gone === undefined || last === undefined) return;
    if (which < running.length) running[which] = last;
    claim(gone.id, gone.requirement, 1);
  };
  for (let warm = 0; warm < size * 10; warm += 1) step();
  const times: number[] = [];
  // Seconds of the processor: others on the machine do not make a decision harder.
  const begin = process.cpuUsage();
  for (let done = 0; done < steps; done += 10) {
    const at = performance.now();
    for (let count = 0; count < 10; count += 1) step();
    times.push((performance.now() - at) / 10);
  }
  const { user, system } = process.cpuUsage(begin);
  return { size, perSecond: steps / ((user + system) / 1e6), p99Us: percentile(times, 0.99) * 1000 };
}

function emptyInstance(number: number): InstanceSnapshot {
  const id = String(number).padStart(32, '0');
  return {
    id,
    arn: `arn:${id}`,
    ec2InstanceId: `i-${id}`,
    status: 'ACTIVE',
    agentConnected: true,
    agentVersion: undefined,
    registeredAtMs: 0,
    attributes: new Map([['ecs.availability-zone', 'abc'.charAt(number % 3)]]),
    remaining: { cpu: 4096, memoryMiB: 8192, tcpPorts: [22], udpPorts: [] },
    groups: new Map(),
    taskCount: 0,
    runningTasksCount: 0,
  };
}
