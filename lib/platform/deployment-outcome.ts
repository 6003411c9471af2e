/**
 * What ECS's view of a service says about one of our deployments: a pure function, so that every turn a rolling update
 * can take is a line in a test.
 */
import type { EcsDeployment, EcsService } from './ecs/index.js';
import type { Deployment } from './types.js';

export type Outcome =
  | { readonly state: 'open'; readonly note?: string }
  | { readonly state: 'completed' }
  /** The breaker tripped and nothing older could be put back. */
  | { readonly state: 'failed'; readonly reason: string }
  /** The breaker tripped; `taskDefinitionArn` runs again. */
  | { readonly state: 'rolled-back'; readonly reason: string; readonly taskDefinitionArn: string };

export interface OutcomeContext {
  /** Whether an earlier release was ever complete, so that ECS has something to go back to. */
  readonly hasEarlier: boolean;
}

export function outcomeOf(deployment: Deployment, service: EcsService | undefined, context: OutcomeContext): Outcome {
  if (service === undefined || service.status === 'INACTIVE') {
    return { state: 'failed', reason: 'ECS no longer knows the service' };
  }
  const deployments = service.deployments ?? [];
  const own = deployments.find(({ id }) => id === deployment.ecsDeploymentId);
  const primary = deployments.find(({ status }) => status === 'PRIMARY');
  if (own !== undefined && (primary === undefined || primary.id === own.id)) return ownOutcome(own, service, context);
  const reason = own?.rolloutStateReason ?? deployment.reason ?? 'the deployment circuit breaker was triggered';
  if (primary === undefined) return { state: 'open', note: reason };
  if (isSteady(primary, service)) {
    return { state: 'rolled-back', reason, taskDefinitionArn: primary.taskDefinition ?? '' };
  }
  if (primary.rolloutState === 'FAILED') return { state: 'failed', reason };
  return { state: 'open', note: reason };
}

function ownOutcome(own: EcsDeployment, service: EcsService, context: OutcomeContext): Outcome {
  if (isSteady(own, service)) return { state: 'completed' };
  if (own.rolloutState !== 'FAILED') return withNote(latestMessage(service, own));
  const reason = own.rolloutStateReason ?? 'the deployment circuit breaker was triggered';
  // ECS puts the earlier release back in its next step; until then ours is still the primary deployment.
  return context.hasEarlier ? { state: 'open', note: reason } : { state: 'failed', reason };
}

function isSteady(deployment: EcsDeployment, service: EcsService): boolean {
  return (
    deployment.rolloutState === 'COMPLETED' &&
    (deployment.runningCount ?? 0) === (service.desiredCount ?? 0) &&
    (deployment.pendingCount ?? 0) === 0
  );
}

/** What the scheduler said last, if it said it of this deployment and it is more than "has started 1 tasks". */
function latestMessage(service: EcsService, own: EcsDeployment): string | undefined {
  const started = own.createdAt?.getTime() ?? 0;
  const event = (service.events ?? []).find(({ createdAt }) => (createdAt?.getTime() ?? 0) >= started);
  const message = event?.message;
  return message !== undefined && /unable|failed|unhealthy/i.test(message) ? message : undefined;
}

function withNote(note: string | undefined): Outcome {
  return note === undefined ? { state: 'open' } : { state: 'open', note };
}
