/**
 * Which tasks go first when a service shrinks: those that serve nobody, then by the service's placement strategies turned
 * round. `spread` takes from where most of the service's tasks are, `binpack` from the instance that is left with most
 * free. Then from the instance with most of them, the youngest first. Protected tasks are not offered at all.
 */
import { strategiesOf } from '../placement/strategy.js';
import type { InstanceState, PlacementStrategyState, TaskState } from '../state/model.js';
import type { Verdict } from './health.js';

interface Candidate {
  readonly task: TaskState;
  readonly health: Verdict;
}

export interface ScaleInView {
  /** The service's own; spread over zones when it has none. */
  readonly strategies: readonly PlacementStrategyState[];
  readonly instances: ReadonlyMap<string, Pick<InstanceState, 'attributes' | 'remaining'>>;
  readonly nowMs: number;
}

/** The task with more goes first. */
interface Measure {
  of(task: TaskState): number;
  /** The task goes. */
  note(task: TaskState): void;
}

const BY_INSTANCE: PlacementStrategyState = { type: 'spread', field: 'instanceId' };

/** @param most so many, or as many as may go */
export function scaleIn<T extends Candidate>(candidates: readonly T[], most: number, view: ScaleInView): T[] {
  const measures = [...strategiesOf(view.strategies), BY_INSTANCE].flatMap((strategy) => {
    if (strategy.type === 'binpack') return [roomLeft(strategy, view)];
    return strategy.type === 'spread' ? [crowd(strategy, view, candidates)] : [];
  });
  // Protected ones stay, and count where spreading counts.
  const left = new Set(candidates.filter(({ task }) => (task.protectedUntilMs ?? 0) <= view.nowMs));
  const gone: T[] = [];
  while (gone.length < most && left.size > 0) {
    const next = [...left].reduce((first, other) => (goesBefore(other, first, measures) ? other : first));
    left.delete(next);
    gone.push(next);
    for (const measure of measures) measure.note(next.task);
  }
  return gone;
}

function goesBefore(a: Candidate, b: Candidate, measures: readonly Measure[]): boolean {
  const order =
    rank(a) - rank(b) ||
    measures.reduce((found, measure) => found || measure.of(b.task) - measure.of(a.task), 0) ||
    b.task.createdAtMs - a.task.createdAtMs ||
    (a.task.id < b.task.id ? -1 : 1);
  return order < 0;
}

function rank({ task, health }: Candidate): number {
  if (task.lastStatus !== 'RUNNING') return 0;
  return health.verdict === 'healthy' ? 2 : 1;
}

/** What a task's instance would have free without it, and without those that go before it. */
function roomLeft({ field }: PlacementStrategyState, { instances }: ScaleInView): Measure {
  const size = ({ cpu, memoryMiB }: { readonly cpu: number; readonly memoryMiB: number }): number =>
    field?.toLowerCase() === 'cpu' ? cpu : memoryMiB;
  const free = new Map([...instances].map(([id, { remaining }]) => [id, size(remaining)]));
  const on = (task: TaskState): number => free.get(task.instanceId ?? '') ?? 0;
  return {
    of: (task) => on(task) + size(task.reserved),
    note: (task) => void free.set(task.instanceId ?? '', on(task) + size(task.reserved)),
  };
}

/** How many of the service's tasks are where this one is. */
function crowd(
  { field }: PlacementStrategyState,
  { instances }: ScaleInView,
  candidates: readonly Candidate[],
): Measure {
  const placeOf = (task: TaskState): string => {
    const name = field?.replace(/^attribute:/, '');
    if (name === undefined || name === 'instanceId' || name === 'host') return task.instanceId ?? '';
    if (name === 'ecs.availability-zone') return task.availabilityZone ?? '';
    const { attributes = [] } = instances.get(task.instanceId ?? '') ?? {};
    return attributes.find((attribute) => attribute.name === name)?.value ?? '';
  };
  const counts = new Map<string, number>();
  const add = (task: TaskState, by: 1 | -1): void =>
    void counts.set(placeOf(task), (counts.get(placeOf(task)) ?? 0) + by);
  for (const { task } of candidates) add(task, 1);
  return { of: (task) => counts.get(placeOf(task)) ?? 0, note: (task) => add(task, -1) };
}
