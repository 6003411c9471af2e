/**
 * DAEMON services: one task on every ACTIVE instance that meets the constraints. What runs elsewhere, or is of an older
 * deployment, is stopped first; with the default percentages a daemon never runs twice on an instance. Pure.
 */
import { evaluate } from '../placement/evaluate.js';
import { parseQuery } from '../placement/query.js';
import type { InstanceSnapshot } from '../placement/snapshot.js';
import type { PlacementConstraintState } from '../state/model.js';
import { primaryOf } from './deployments.js';
import type { ServiceSight, Stop } from './plan.js';
import { deploymentBounds } from './bounds.js';

export interface DaemonPlan {
  /** Instances that want a task now. */
  readonly startOn: readonly string[];
  readonly stops: readonly Stop[];
}

/** Ids of the instances a daemon belongs on. */
export function daemonInstances(
  instances: readonly InstanceSnapshot[],
  constraints: readonly PlacementConstraintState[],
): string[] {
  const queries = constraints.flatMap((constraint) =>
    constraint.type === 'memberOf' ? [parseQuery(constraint.expression ?? '')] : [],
  );
  return instances
    .filter((instance) => instance.status === 'ACTIVE' && queries.every((query) => evaluate(query, instance)))
    .map((instance) => instance.id);
}

export function planDaemon(sight: ServiceSight, wanted: readonly string[]): DaemonPlan {
  const { service } = sight;
  const primary = primaryOf(service);
  const meant = sight.tasks.filter(({ task }) => task.desiredStatus === 'RUNNING');
  if (service.status !== 'ACTIVE' || primary === undefined) {
    return { startOn: [], stops: meant.map(({ task }) => ({ taskId: task.id, cause: 'deleted' })) };
  }
  const { lower } = deploymentBounds(wanted.length, service.minimumHealthyPercent, service.maximumPercent);
  const failed = primary.rolloutState === 'FAILED';
  let spare = meant.filter(({ health }) => health.verdict === 'healthy').length - lower;
  const stops: Stop[] = [];
  for (const { task, health } of meant) {
    const astray = !wanted.includes(task.instanceId ?? '');
    const ill = health.verdict === 'unhealthy';
    const old = task.deploymentId !== primary.id && !failed;
    if (!astray && !ill && !old) continue;
    const serves = health.verdict === 'healthy';
    if (!astray && serves && spare <= 0) continue;
    if (serves) spare -= 1;
    stops.push({
      taskId: task.id,
      cause: ill ? 'unhealthy' : astray ? 'draining' : 'deployment',
      ...(ill ? { because: health.because } : {}),
    });
  }
  // An instance is free once its earlier task is really gone.
  const busy = new Set(sight.tasks.map(({ task }) => task.instanceId));
  return { startOn: failed ? [] : wanted.filter((id) => !busy.has(id)), stops };
}
