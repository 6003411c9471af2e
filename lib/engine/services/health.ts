/**
 * Whether a service may count on a task. With container health checks: HEALTHY. With load balancers: every target
 * healthy. With neither: some time after RUNNING.
 */
import { taskHealth } from '../api/task-view.js';
import type { TaskState } from '../state/model.js';
import type { ServiceState } from '../state/service-model.js';
import type { TargetGroups } from '../types.js';

export type Verdict =
  | { readonly verdict: 'healthy' }
  /** Not yet; look again at this time, or when something is reported. */
  | { readonly verdict: 'waiting'; readonly untilMs?: number }
  | { readonly verdict: 'unhealthy'; readonly because: string };

export interface HealthRules {
  readonly targetGroups: Pick<TargetGroups, 'health'> | undefined;
  readonly healthyAfterRunningMs: number;
  readonly nowMs: number;
}

export function judge(task: TaskState, service: ServiceState, rules: HealthRules): Verdict {
  if (task.lastStatus !== 'RUNNING' || task.desiredStatus !== 'RUNNING' || task.startedAtMs === undefined) {
    return { verdict: 'waiting' };
  }
  const graceUntilMs = task.startedAtMs + service.healthCheckGracePeriodSeconds * 1000;
  const failed = (because: string): Verdict =>
    rules.nowMs < graceUntilMs ? { verdict: 'waiting', untilMs: graceUntilMs } : { verdict: 'unhealthy', because };
  const checked = task.containers.some((container) => container.essential && container.hasHealthCheck);
  if (checked) {
    const health = taskHealth(task.containers);
    if (health === 'UNHEALTHY') return failed('Task failed container health checks');
    if (health === 'UNKNOWN') return { verdict: 'waiting' };
  }
  for (const { targetGroupArn, host, port } of task.targets) {
    const health = rules.targetGroups?.health(targetGroupArn, { host, port }) ?? 'unused';
    if (health === 'unhealthy') return failed(`Task failed ELB health checks in (target-group ${targetGroupArn})`);
    // Target groups are asked, they do not tell: look again soon.
    if (health !== 'healthy') return { verdict: 'waiting', untilMs: rules.nowMs };
  }
  if (checked || task.targets.length > 0) return { verdict: 'healthy' };
  const countsAtMs = task.startedAtMs + rules.healthyAfterRunningMs;
  return rules.nowMs >= countsAtMs ? { verdict: 'healthy' } : { verdict: 'waiting', untilMs: countsAtMs };
}
