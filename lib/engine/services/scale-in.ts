/**
 * Which tasks go first when a service shrinks: those that serve nobody, then from where most of the service's tasks are
 * (zone, then instance), the youngest first. Protected tasks are not offered at all.
 */
import type { TaskState } from '../state/model.js';
import type { Verdict } from './health.js';

interface Candidate {
  readonly task: TaskState;
  readonly health: Verdict;
}

export function scaleInOrder<T extends Candidate>(candidates: readonly T[], nowMs: number): T[] {
  const left = candidates.filter(({ task }) => (task.protectedUntilMs ?? 0) <= nowMs);
  const order: T[] = [];
  while (left.length > 0) {
    const zones = counted(left, ({ task }) => task.availabilityZone ?? '');
    const instances = counted(left, ({ task }) => task.instanceId ?? '');
    left.sort(
      (a, b) =>
        rank(a) - rank(b) ||
        (zones.get(b.task.availabilityZone ?? '') ?? 0) - (zones.get(a.task.availabilityZone ?? '') ?? 0) ||
        (instances.get(b.task.instanceId ?? '') ?? 0) - (instances.get(a.task.instanceId ?? '') ?? 0) ||
        b.task.createdAtMs - a.task.createdAtMs ||
        (a.task.id < b.task.id ? -1 : 1),
    );
    const next = left.shift();
    if (next !== undefined) order.push(next);
  }
  return order;
}

function rank({ task, health }: Candidate): number {
  if (task.lastStatus !== 'RUNNING') return 0;
  return health.verdict === 'healthy' ? 2 : 1;
}

function counted<T>(list: readonly T[], key: (item: T) => string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const item of list) counts.set(key(item), (counts.get(key(item)) ?? 0) + 1);
  return counts;
}
