/**
 * What the end of a task means for its service: a failure for the circuit breaker, a longer wait before the next
 * launch, or nothing. Pure.
 */
import type { TaskState } from '../state/model.js';
import type { ServiceState } from '../state/service-model.js';
import { changePrimary, primaryOf } from './deployments.js';
import { serviceAction, type News } from './news.js';

export interface EndRules {
  readonly relaunchDelayMs: number;
  readonly earlyExitFailsDeployment: boolean;
  readonly nowMs: number;
}

/** Ends that say nothing about the task: somebody wanted them, or its instance is gone. */
const ASKED = new Set(['ServiceSchedulerInitiated', 'UserInitiated', 'TerminationNotice']);
const LONGEST_WAIT_MS = 15 * 60_000;
const IMPAIRED_AFTER = 3;

export function afterTaskEnd(
  service: ServiceState,
  task: TaskState,
  rules: EndRules,
): { readonly service: ServiceState; readonly news: readonly News[] } {
  const unchanged = { service, news: [] };
  const asked = ASKED.has(task.stopCode ?? '');
  const failedRegistration = task.stoppedReason?.startsWith('Task failed to register its targets') === true;
  if (asked && !failedRegistration) return unchanged;
  if (task.deploymentId !== primaryOf(service)?.id) return unchanged;
  if (task.startedAtMs === undefined) {
    const launchFailures = service.launchFailures + 1;
    const waitMs = Math.min(LONGEST_WAIT_MS, rules.relaunchDelayMs * 2 ** (launchFailures - 1));
    return {
      service: {
        ...withFailure(service, rules.nowMs),
        launchFailures,
        launchNotBeforeMs: rules.nowMs + waitMs,
      },
      news:
        launchFailures === IMPAIRED_AFTER
          ? [
              {
                message: `is unable to consistently start tasks successfully. The last one stopped with: ${lastReason(task)}`,
                event: serviceAction('SERVICE_TASK_START_IMPAIRED'),
              },
            ]
          : [],
    };
  }
  // It ran and ended by itself. ECS starts the next one at once; a short wait keeps a crash loop from spinning.
  if (task.healthyAtMs !== undefined) return unchanged;
  const counted = rules.earlyExitFailsDeployment ? withFailure(service, rules.nowMs) : service;
  return { service: { ...counted, launchNotBeforeMs: rules.nowMs + rules.relaunchDelayMs }, news: [] };
}

/** One failure more for the PRIMARY deployment. */
export function withFailure(service: ServiceState, nowMs: number): ServiceState {
  return changePrimary(service, (deployment) => ({
    ...deployment,
    failedTasks: deployment.failedTasks + 1,
    updatedAtMs: nowMs,
  }));
}

/** A task of the PRIMARY counted as healthy for the first time. */
export function afterTaskHealthy(service: ServiceState, task: TaskState): ServiceState {
  if (task.deploymentId !== primaryOf(service)?.id) return service;
  const reset = service.circuitBreaker.resetOnHealthyTask;
  const calm: ServiceState = { ...service, launchFailures: 0 };
  return reset ? changePrimary(calm, (deployment) => ({ ...deployment, failedTasks: 0 })) : calm;
}

function lastReason(task: TaskState): string {
  const container = task.containers.find((candidate) => candidate.reason !== undefined);
  return container?.reason ?? task.stoppedReason ?? 'no reason';
}
