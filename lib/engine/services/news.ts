/**
 * What a service has to tell: the sentences of `events[]`, the EventBridge events, and the rows of its deployment
 * history. Sentences and rows are written in the same transaction as the service they tell of; events are sent once
 * that stands.
 */
import type { RecordWrite } from '../../store/index.js';
import type { Context } from '../context.js';
import { serviceScope } from '../state/engine-state.js';
import type { DeploymentState, ServiceState } from '../state/service-model.js';
import type { ServiceDeploymentState, ServiceDeploymentStatus } from '../state/side-model.js';

export interface News {
  /** Without the `(service NAME) ` in front. */
  readonly message?: string;
  readonly event?: {
    readonly type: 'ECS Deployment State Change' | 'ECS Service Action';
    readonly detail: Readonly<Record<string, unknown>>;
  };
  readonly history?: HistoryChange;
  /** A deployment whose first row is to be written. */
  readonly begun?: { readonly deployment: DeploymentState; readonly sourceRevisionId?: string | undefined };
}

export interface HistoryChange {
  readonly deployment: DeploymentState;
  readonly status: ServiceDeploymentStatus;
  readonly reason?: string;
  readonly rollback?: { readonly reason: string; readonly startedAtMs: number; readonly revisionId: string };
}

const KEPT_MS = 7 * 24 * 3_600_000;

/** The writes that go with the service's own. */
export async function newsWrites(
  context: Context,
  service: ServiceState,
  news: readonly News[],
): Promise<readonly RecordWrite[]> {
  const writes: RecordWrite[] = [];
  for (const item of news) {
    if (item.message !== undefined) writes.push(messageWrite(context, service, item.message));
    if (item.begun !== undefined) writes.push(firstRow(context, service, item.begun));
    const row = item.history && (await changedRow(context, service, item.history));
    if (row !== undefined) writes.push(row);
  }
  return writes;
}

export function emitNews(context: Context, service: ServiceState, news: readonly News[]): void {
  for (const { event } of news) {
    if (event === undefined) continue;
    const now = new Date(context.deps.clock.nowMs()).toISOString();
    context.events.emit(event.type, [service.arn], {
      ...event.detail,
      clusterArn: service.clusterArn,
      ...(event.type === 'ECS Service Action' ? { createdAt: now } : { updatedAt: now }),
    });
  }
}

type Told = Pick<ServiceState, 'clusterName' | 'name'>;

/** One sentence that goes with no change of the service. */
export async function tellOfService(context: Context, service: Told, text: string): Promise<void> {
  await context.state.records.transact([messageWrite(context, service, text)]);
}

function messageWrite(context: Context, service: Told, text: string): RecordWrite {
  const nowMs = context.deps.clock.nowMs();
  const id = context.deps.ids.ulid();
  return {
    op: 'put',
    key: context.state.serviceEvents.key(serviceScope(service.clusterName, service.name), id),
    value: { id, createdAtMs: nowMs, message: `(service ${service.name}) ${text}` },
    expiresAtMs: nowMs + KEPT_MS,
  };
}

/** Undefined when there is no such row: the history is a by-product, a deployment does not wait for it. */
async function changedRow(
  context: Context,
  service: ServiceState,
  change: HistoryChange,
): Promise<RecordWrite | undefined> {
  const { deployment, status, reason, rollback } = change;
  const scope = serviceScope(service.clusterName, service.name);
  const before = await context.state.serviceDeployments.get(scope, deployment.serviceDeploymentId);
  if (before === undefined) return undefined;
  const nowMs = context.deps.clock.nowMs();
  const revisionArn = rollback && context.arns.serviceRevision(service.clusterName, service.name, rollback.revisionId);
  const row: ServiceDeploymentState = {
    ...before,
    status,
    updatedAtMs: nowMs,
    failureCount: deployment.isRollback === true ? before.failureCount : deployment.failedTasks,
    ...(reason === undefined ? {} : { statusReason: reason }),
    ...(rollback === undefined || revisionArn === undefined
      ? {}
      : { rollback: { reason: rollback.reason, startedAtMs: rollback.startedAtMs, revisionArn } }),
    ...(status === 'IN_PROGRESS' || status === 'ROLLBACK_IN_PROGRESS' ? {} : { finishedAtMs: nowMs }),
  };
  return {
    op: 'put',
    key: context.state.serviceDeployments.key(scope, deployment.serviceDeploymentId),
    value: row,
  };
}

function firstRow(context: Context, service: ServiceState, begun: NonNullable<News['begun']>): RecordWrite {
  const { arns, state } = context;
  const { clusterName: cluster, name } = service;
  const { deployment, sourceRevisionId } = begun;
  const row: ServiceDeploymentState = {
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
    capacityProviderStrategy: deployment.capacityProviderStrategy ?? [],
    ...(deployment.serviceConnect === undefined ? {} : { serviceConnect: deployment.serviceConnect }),
    requestedTaskCount: service.desiredCount,
    minimumHealthyPercent: service.minimumHealthyPercent,
    maximumPercent: service.maximumPercent,
    circuitBreaker: service.circuitBreaker,
    failureCount: 0,
  };
  return {
    op: 'put',
    key: state.serviceDeployments.key(serviceScope(cluster, name), deployment.serviceDeploymentId),
    value: row,
  };
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

const ACTIONS = {
  SERVICE_STEADY_STATE: 'INFO',
  SERVICE_TASK_START_IMPAIRED: 'WARN',
  SERVICE_TASK_PLACEMENT_FAILURE: 'ERROR',
} as const;

export function serviceAction(
  eventName: keyof typeof ACTIONS,
  detail: Readonly<Record<string, unknown>> = {},
): NonNullable<News['event']> {
  return { type: 'ECS Service Action', detail: { eventType: ACTIONS[eventName], eventName, ...detail } };
}
