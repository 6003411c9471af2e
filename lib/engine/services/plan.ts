/**
 * What a service needs done now: how many tasks to start and which to stop, never with fewer healthy tasks than the
 * lower bound nor more tasks meant to run than the upper one. A pure function of the service and its tasks; the
 * scheduler carries it out and asks again when something has changed.
 */
import type { InstanceState, TaskState } from '../state/model.js';
import type { ServiceState } from '../state/service-model.js';
import { deploymentBounds } from './bounds.js';
import type { Verdict } from './health.js';
import { scaleIn } from './scale-in.js';

export interface ServiceSight {
  readonly service: ServiceState;
  /** Unfinished tasks of the service, with what is known of their health. */
  readonly tasks: readonly { readonly task: TaskState; readonly health: Verdict }[];
  /** Instances that are to be emptied, or are gone. */
  readonly leaving: ReadonlySet<string>;
  /** Where tasks are, for the strategies by which a service shrinks. */
  readonly instances: ReadonlyMap<string, Pick<InstanceState, 'attributes' | 'remaining'>>;
  readonly nowMs: number;
}

export type StopCause = 'scale-in' | 'deployment' | 'unhealthy' | 'draining' | 'deleted';

export interface Stop {
  readonly taskId: string;
  readonly cause: StopCause;
  /** For `unhealthy`: the reason that the task will show. */
  readonly because?: string;
}

export interface Plan {
  readonly starts: number;
  readonly stops: readonly Stop[];
  /** The percentages leave no room to start and none to stop: nothing will ever happen. */
  readonly deadlocked: boolean;
}

interface Seen {
  readonly task: TaskState;
  readonly health: Verdict;
  /** Why this task must make way; undefined for a task that is as it should be. */
  readonly outdated: Exclude<StopCause, 'scale-in' | 'deleted'> | undefined;
  readonly isOfPrimary: boolean;
}

/** @returns counts and ids; starts belong to the PRIMARY deployment */
export function planService(sight: ServiceSight): Plan {
  const { service, nowMs } = sight;
  const primary = service.deployments.find((deployment) => deployment.status === 'PRIMARY');
  const meant = sight.tasks.filter(({ task }) => task.desiredStatus === 'RUNNING');
  if (service.status !== 'ACTIVE' || primary === undefined) {
    return { starts: 0, stops: meant.map(({ task }) => ({ taskId: task.id, cause: 'deleted' })), deadlocked: false };
  }
  const seen = meant.map((entry): Seen => ({
    ...entry,
    outdated: whyOutdated(entry, primary.id, sight.leaving),
    isOfPrimary: entry.task.deploymentId === primary.id,
  }));
  const current = seen.filter((entry) => entry.outdated === undefined);
  const outdated = seen.filter((entry) => entry.outdated !== undefined);
  const desired = service.desiredCount;
  const { lower, upper } = deploymentBounds(desired, service.minimumHealthyPercent, service.maximumPercent);
  if (current.length > desired) {
    const view = { strategies: service.placementStrategy, instances: sight.instances, nowMs };
    const surplus = scaleIn(current, current.length - desired, view);
    const kept = seen.filter((entry) => !surplus.includes(entry));
    const room = { desired, lower, blocked: 0, complete: true, failed: false, isSettled: true };
    const stops: Stop[] = surplus.map(({ task }) => ({ taskId: task.id, cause: 'scale-in' }));
    return { starts: 0, stops: [...stops, ...stopsOf(kept, outdated.filter(canStop(nowMs)), room)], deadlocked: false };
  }
  const missing = desired - current.length;
  const mayStart = Math.max(0, missing - endingByThemselves(sight, primary.id));
  const failed = primary.rolloutState === 'FAILED';
  const starts = failed ? 0 : Math.max(0, Math.min(mayStart, upper - seen.length));
  const stops = stopsOf(seen, outdated.filter(canStop(nowMs)), {
    desired,
    lower,
    // A deployment that was given up makes nothing of its own any more, so nothing may make way for it.
    blocked: failed ? 0 : Math.max(0, mayStart - starts),
    complete: missing === 0,
    failed,
    isSettled:
      starts === 0 &&
      isNothingUnderWay(sight, seen, ({ outdated, health }) =>
        outdated === undefined ? health.verdict === 'healthy' : true,
      ),
  });
  const deadlocked =
    !failed &&
    missing > 0 &&
    starts === 0 &&
    stops.length === 0 &&
    isNothingUnderWay(sight, seen, ({ health, task }) => health.verdict === 'healthy' && task.lastStatus === 'RUNNING');
  return { starts, stops, deadlocked };
}

/** They are replaced once they have ended, when it is known whether the next launch has to wait. */
function endingByThemselves(sight: ServiceSight, primaryId: string): number {
  return sight.tasks.filter(
    ({ task }) => task.deploymentId === primaryId && task.desiredStatus === 'STOPPED' && task.stopCode === undefined,
  ).length;
}

function whyOutdated(
  { task, health }: { readonly task: TaskState; readonly health: Verdict },
  primaryId: string,
  leaving: ReadonlySet<string>,
): Seen['outdated'] {
  if (health.verdict === 'unhealthy') return 'unhealthy';
  if (task.instanceId !== undefined && leaving.has(task.instanceId)) return 'draining';
  return task.deploymentId === primaryId ? undefined : 'deployment';
}

/** Protected tasks are left alone by deployments and drains; one that is ill goes all the same. */
const canStop =
  (nowMs: number) =>
  ({ task, outdated }: Seen): boolean =>
    outdated === 'unhealthy' || (task.protectedUntilMs ?? 0) <= nowMs;

interface Room {
  readonly desired: number;
  readonly lower: number;
  /** Tasks that are missing and have no room under the upper bound. */
  readonly blocked: number;
  readonly complete: boolean;
  readonly failed: boolean;
  /** No task is coming up or going down. */
  readonly isSettled: boolean;
}

function stopsOf(seen: readonly Seen[], outdated: readonly Seen[], room: Room): Stop[] {
  const healthy = (entry: Seen): boolean => entry.health.verdict === 'healthy';
  const idle = outdated.filter((entry) => !healthy(entry));
  if (room.failed) return idle.filter((entry) => entry.outdated === 'unhealthy').map(stopOf);
  const healthyCount = seen.filter(healthy).length;
  const stops: Stop[] = [];
  let blocked = room.blocked;
  let isOneGoing = false;
  for (const entry of idle) {
    // What has not even started goes at once. Others stay until they are replaced, unless they are in the way.
    const starting = entry.task.lastStatus !== 'RUNNING';
    const replaced = room.complete && healthyCount >= room.desired;
    if (!starting && !replaced) {
      if (blocked <= 0) continue;
      // Ill ones of what is to stay make room one by one, the next when the last has been replaced.
      if (entry.isOfPrimary && (!room.isSettled || isOneGoing)) continue;
      isOneGoing ||= entry.isOfPrimary;
    }
    stops.push(stopOf(entry));
    blocked -= 1;
  }
  // Healthy ones go when others have taken their place, or when only that makes room for the next ones.
  const replaced = Math.max(0, healthyCount - Math.max(room.desired, room.lower));
  const forRoom = Math.min(Math.max(0, blocked), Math.max(0, healthyCount - room.lower));
  const goers = outdated.filter(healthy).slice(0, Math.max(replaced, forRoom));
  return [...stops, ...goers.map(stopOf)];
}

function stopOf({ task, outdated, health }: Seen): Stop {
  return {
    taskId: task.id,
    cause: outdated ?? 'deployment',
    ...(health.verdict === 'unhealthy' ? { because: health.because } : {}),
  };
}

/** Nothing is starting or ending that could make room by itself. */
function isNothingUnderWay(sight: ServiceSight, seen: readonly Seen[], isSettled: (entry: Seen) => boolean): boolean {
  return sight.tasks.length === seen.length && seen.every(isSettled);
}
