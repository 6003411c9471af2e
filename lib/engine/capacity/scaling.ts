/**
 * Managed scaling as ECS documents it: the metric CapacityProviderReservation is M / N in percent, where N is the number
 * of instances that are there and M the number that is needed, and the group follows it to the target capacity. Pure.
 */
import type { Resources } from '../state/model.js';
import type { AutoScalingGroupProvider } from '../state/side-model.js';
import type { AutoScalingGroup } from './group.js';

/** A task that waits for capacity of this provider. */
export interface WaitingTask {
  readonly needs: Resources;
  /** At most one on an instance, by its constraints. */
  readonly isAlone: boolean;
}

export interface GroupInstance {
  readonly id: string;
  readonly zone: string;
  readonly registeredAtMs: number;
  /** Tasks on it that are no daemon's. */
  readonly tasks: number;
}

export interface Reservation {
  /** Instances that are needed. */
  readonly m: number;
  /** Instances that are there and take tasks. */
  readonly n: number;
  /** Percent: 100 is exactly enough. */
  readonly percent: number;
}

export function reservation(
  group: AutoScalingGroup,
  instances: readonly GroupInstance[],
  waiting: readonly WaitingTask[],
): Reservation {
  const n = instances.length;
  const more = instancesFor(group, waiting);
  const m = more > 0 ? n + more : instances.filter(({ tasks }) => tasks > 0).length;
  if (n === 0) return { m, n, percent: m === 0 ? 100 : 200 };
  return { m, n, percent: (m / n) * 100 };
}

/**
 * A lower bound of the instances that the waiting tasks need: tasks of the same size are packed on empty instances, and
 * the size that needs most of them counts. What is larger than an instance never asks for one.
 */
export function instancesFor(group: AutoScalingGroup, waiting: readonly WaitingTask[]): number {
  const sizes = new Map<string, { readonly task: WaitingTask; readonly count: number }>();
  for (const task of waiting) {
    const key = JSON.stringify([task.needs, task.isAlone]);
    sizes.set(key, { task, count: (sizes.get(key)?.count ?? 0) + 1 });
  }
  const bounds = [...sizes.values()].map(({ task, count }) => {
    const each = fitting(group, task);
    return each === 0 ? 0 : Math.ceil(count / each);
  });
  return Math.max(0, ...bounds);
}

function fitting(group: AutoScalingGroup, { needs, isAlone }: WaitingTask): number {
  const times = (have: number, need: number): number => (need === 0 ? Infinity : Math.floor(have / need));
  const bySize = Math.min(times(group.cpu, needs.cpu), times(group.memoryMiB, needs.memoryMiB));
  // Instances of a group have no GPUs.
  if (needs.gpus !== undefined) return 0;
  const one = isAlone || needs.tcpPorts.length > 0 || needs.udpPorts.length > 0;
  return one ? Math.min(1, bySize) : bySize;
}

/** From an empty group ECS starts two instances, whatever waits. */
const FIRST_STEP = 2;

/**
 * How many instances the group should have.
 * @param surplus whether it has had too many for long enough
 */
export function desiredInstances(
  group: AutoScalingGroup,
  { managedScaling: scaling }: Pick<AutoScalingGroupProvider, 'managedScaling'>,
  { m, n }: Reservation,
  surplus: boolean,
): number {
  const bounded = (count: number): number => Math.min(group.maximum, Math.max(group.minimum, count));
  if (scaling.status === 'DISABLED') return bounded(n);
  const target = Math.ceil((m * 100) / scaling.targetCapacity);
  if (target > n) {
    const least = n === 0 ? Math.max(FIRST_STEP, scaling.minimumScalingStepSize) : scaling.minimumScalingStepSize;
    const step = Math.min(scaling.maximumScalingStepSize, Math.max(least, target - n));
    return bounded(n + step);
  }
  return surplus ? bounded(target) : bounded(n);
}

/** Whether the group has more instances than its target asks for, so that it shrinks if that lasts. */
export function isSurplus(
  group: AutoScalingGroup,
  provider: Pick<AutoScalingGroupProvider, 'managedScaling'>,
  now: Reservation,
): boolean {
  return desiredInstances(group, provider, now, true) < desiredInstances(group, provider, now, false);
}

/**
 * Which instances go. With termination protection only those without a task; without it the group does as Auto Scaling
 * does, which knows no tasks: from the zone that has most, the oldest first.
 */
export function leavers(instances: readonly GroupInstance[], count: number, isProtected: boolean): string[] {
  const left = instances.filter(({ tasks }) => !isProtected || tasks === 0);
  const all = [...instances];
  const gone: string[] = [];
  while (gone.length < count && left.length > 0) {
    const inZone = (zone: string): number => all.filter((each) => each.zone === zone).length;
    left.sort(
      (a, b) => inZone(b.zone) - inZone(a.zone) || a.registeredAtMs - b.registeredAtMs || (a.id < b.id ? -1 : 1),
    );
    const next = left.shift();
    if (next === undefined) break;
    gone.push(next.id);
    all.splice(all.indexOf(next), 1);
  }
  return gone;
}
