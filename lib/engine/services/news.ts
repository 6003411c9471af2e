/**
 * What a service has to tell: the sentences of `events[]`, the EventBridge events, and the rows of its deployment
 * history. Collected while a decision is made, sent once the decision is written.
 */
import type { Context } from '../context.js';
import { serviceScope } from '../state/engine-state.js';
import type { DeploymentState, ServiceState } from '../state/model.js';
import type { ServiceDeploymentStatus } from '../state/side-model.js';

export interface News {
  /** Without the `(service NAME) ` in front. */
  readonly message?: string;
  readonly event?: {
    readonly type: 'ECS Deployment State Change' | 'ECS Service Action';
    readonly detail: Readonly<Record<string, unknown>>;
  };
  readonly history?: HistoryChange;
}

export interface HistoryChange {
  readonly deployment: DeploymentState;
  readonly status: ServiceDeploymentStatus;
  readonly reason?: string;
  readonly rollback?: { readonly reason: string; readonly startedAtMs: number; readonly revisionId: string };
}

const KEPT_MS = 7 * 24 * 3_600_000;

export async function publish(context: Context, service: ServiceState, news: readonly News[]): Promise<void> {
  const { clock, ids } = context.deps;
  const scope = serviceScope(service.clusterName, service.name);
  for (const item of news) {
    if (item.message !== undefined) {
      const nowMs = clock.nowMs();
      const id = ids.ulid();
      const message = `(service ${service.name}) ${item.message}`;
      await context.state.serviceEvents.create(scope, id, { id, createdAtMs: nowMs, message }, nowMs + KEPT_MS);
    }
    if (item.history !== undefined) await writeHistory(context, service, item.history);
    if (item.event !== undefined) {
      context.events.emit(item.event.type, [service.arn], {
        ...item.event.detail,
        clusterArn: service.clusterArn,
        updatedAt: new Date(clock.nowMs()).toISOString(),
      });
    }
  }
}

async function writeHistory(context: Context, service: ServiceState, change: HistoryChange): Promise<void> {
  const scope = serviceScope(service.clusterName, service.name);
  const nowMs = context.deps.clock.nowMs();
  const { deployment, status, reason, rollback } = change;
  await context.state.serviceDeployments.update(scope, deployment.serviceDeploymentId, (row) => ({
    ...row,
    status,
    updatedAtMs: nowMs,
    failureCount: deployment.failedTasks,
    ...(reason === undefined ? {} : { statusReason: reason }),
    ...(rollback === undefined
      ? {}
      : {
          rollback: {
            reason: rollback.reason,
            startedAtMs: rollback.startedAtMs,
            revisionArn: context.arns.serviceRevision(service.clusterName, service.name, rollback.revisionId),
          },
        }),
    ...(status === 'IN_PROGRESS' || status === 'ROLLBACK_IN_PROGRESS' ? {} : { finishedAtMs: nowMs }),
  }));
}

/** The first row of a deployment's history. */
export async function beginHistory(
  context: Context,
  service: ServiceState,
  deployment: DeploymentState,
  sourceRevisionId?: string,
): Promise<void> {
  const { arns, state } = context;
  const { clusterName: cluster, name } = service;
  await state.serviceDeployments.create(serviceScope(cluster, name), deployment.serviceDeploymentId, {
    id: deployment.serviceDeploymentId,
    arn: arns.serviceDeployment(cluster, name, deployment.serviceDeploymentId),
    serviceArn: service.arn,
    clusterArn: service.clusterArn,
    deploymentId: deployment.id,
    status: 'IN_PROGRESS',
    createdAtMs: deployment.createdAtMs,
    updatedAtMs: deployment.createdAtMs,
    revisionId: deployment.revisionId,
    revisionArn: arns.serviceRevision(cluster, name, deployment.revisionId),
    ...(sourceRevisionId === undefined
      ? {}
      : { sourceRevisionArn: arns.serviceRevision(cluster, name, sourceRevisionId) }),
    taskDefinitionArn: deployment.taskDefinitionArn,
    loadBalancers: deployment.loadBalancers,
    requestedTaskCount: service.desiredCount,
    minimumHealthyPercent: service.minimumHealthyPercent,
    maximumPercent: service.maximumPercent,
    circuitBreaker: service.circuitBreaker,
    failureCount: 0,
  });
}

export function deploymentEvent(
  deployment: DeploymentState,
  eventName: 'SERVICE_DEPLOYMENT_IN_PROGRESS' | 'SERVICE_DEPLOYMENT_COMPLETED' | 'SERVICE_DEPLOYMENT_FAILED',
  reason: string,
): NonNullable<News['event']> {
  return {
    type: 'ECS Deployment State Change',
    detail: {
      eventType: eventName === 'SERVICE_DEPLOYMENT_FAILED' ? 'ERROR' : 'INFO',
      eventName,
      deploymentId: deployment.id,
      reason,
    },
  };
}

export function serviceAction(
  eventName: 'SERVICE_STEADY_STATE' | 'SERVICE_TASK_START_IMPAIRED' | 'SERVICE_TASK_PLACEMENT_FAILURE',
  detail: Readonly<Record<string, unknown>> = {},
): NonNullable<News['event']> {
  const eventType = {
    SERVICE_STEADY_STATE: 'INFO',
    SERVICE_TASK_START_IMPAIRED: 'WARN',
    SERVICE_TASK_PLACEMENT_FAILURE: 'ERROR',
  }[eventName];
  return { type: 'ECS Service Action', detail: { eventType, eventName, ...detail } };
}
