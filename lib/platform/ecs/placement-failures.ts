/** Why ECS found no place for a task, and whether asking again may find one (ECS API, "API failure reasons"). */
import type { Failure } from '@aws-sdk/client-ecs';
import { AppError } from '../../errors/index.js';

/** There is no room now and may be later; all else, such as a missing attribute or a wrong zone, says never. */
const PASSING = /^(RESOURCE:|AGENT$|EMPTY CAPACITY PROVIDER$|NO ACTIVE INSTANCES$|CAPACITY)/i;

/** The refusal of a task, with ECS's failures in its details. */
export function placementError(cluster: string, failures: readonly Failure[]): AppError {
  const reasons = [...new Set(failures.map((failure) => failure.reason ?? 'no reason given'))];
  return new AppError(
    'TASK_PLACEMENT_FAILED',
    `no instance of cluster ${cluster} can take the task: ${reasons.join(', ')}`,
    {
      kind: 'unavailable',
      // Asking again at once gives the same answer.
      retryable: false,
      hint: 'ask for less cpu or memory, free a fixed host port, stop other tasks, or give the cluster more instances',
      details: { failures },
    },
  );
}

/** Whether every instance said no for a reason that passes by itself. */
export function arePassing(failures: readonly Failure[]): boolean {
  return failures.length > 0 && failures.every(({ reason = '' }) => PASSING.test(reason));
}

/** The same of a refusal. */
export function isPassingPlacement(error: unknown): boolean {
  if (!(error instanceof AppError) || error.code !== 'TASK_PLACEMENT_FAILED') return false;
  return arePassing(error.details['failures'] as readonly Failure[]);
}
