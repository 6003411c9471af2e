/**
 * What has come about at a service since it was last looked at: deployments that are complete, given up, rolled back or
 * gone, the steady state, the end of a deleted service. Pure: the service as it should be written, and its news.
 */
import type { Ids } from '../../store/index.js';
import type { DeploymentState, ServiceState } from '../state/service-model.js';
import { breakerThreshold } from './bounds.js';
import { changePrimary, newDeployment, primaryOf, withPrimary } from './deployments.js';
import { deploymentEvent, serviceAction, type News } from './news.js';
import type { ServiceSight } from './plan.js';

export interface Settled {
  readonly service: ServiceState;
  readonly news: readonly News[];
}

export function settle(sight: ServiceSight, ids: Ids): Settled {
  const { service, tasks } = sight;
  if (service.status === 'DRAINING') {
    return { service: tasks.length === 0 ? { ...service, status: 'INACTIVE', deployments: [] } : service, news: [] };
  }
  const tripped = trip(sight, ids);
  if (tripped !== undefined) return tripped;
  const news: News[] = [];
  let next = dropEmptyDeployments(sight);
  const primary = primaryOf(next);
  if (primary === undefined) return { service: next, news };
  const healthy = tasks.filter(
    ({ task, health }) => task.deploymentId === primary.id && health.verdict === 'healthy',
  ).length;
  const alone = next.deployments.length === 1;
  if (primary.rolloutState === 'IN_PROGRESS' && alone && healthy >= next.desiredCount) {
    next = completed(next, sight.nowMs, news);
  }
  const settled =
    alone && primaryOf(next)?.rolloutState !== 'FAILED' && healthy === next.desiredCount && tasks.length === healthy;
  if (settled && !next.steady) {
    const { lastTrouble: _, ...untroubled } = next;
    next = { ...untroubled, steady: true };
    news.push({ message: 'has reached a steady state.', event: serviceAction('SERVICE_STEADY_STATE') });
  }
  if (!settled && next.steady) next = { ...next, steady: false };
  return { service: next, news };
}

function completed(service: ServiceState, nowMs: number, news: News[]): ServiceState {
  const primary = primaryOf(service);
  if (primary === undefined) return service;
  const reason = `ECS deployment ${primary.id} completed.`;
  news.push({
    message: `(deployment ${primary.id}) deployment completed.`,
    event: deploymentEvent(primary, 'SERVICE_DEPLOYMENT_COMPLETED', reason),
    history: { deployment: primary, status: primary.isRollback === true ? 'ROLLBACK_SUCCESSFUL' : 'SUCCESSFUL' },
  });
  const next = changePrimary(service, (deployment) => ({
    ...deployment,
    rolloutState: 'COMPLETED',
    rolloutStateReason: reason,
    updatedAtMs: nowMs,
  }));
  return {
    ...next,
    lastCompleted: {
      deploymentId: primary.id,
      revisionId: primary.revisionId,
      taskDefinitionArn: primary.taskDefinitionArn,
      loadBalancers: primary.loadBalancers,
      capacityProviderStrategy: primary.capacityProviderStrategy ?? [],
      ...(primary.serviceConnect === undefined ? {} : { serviceConnect: primary.serviceConnect }),
    },
  };
}

/** An old deployment is over when its last task has stopped. */
function dropEmptyDeployments({ service, tasks }: ServiceSight): ServiceState {
  const kept = service.deployments.filter(
    (deployment) => deployment.status === 'PRIMARY' || tasks.some(({ task }) => task.deploymentId === deployment.id),
  );
  return kept.length === service.deployments.length ? service : { ...service, deployments: kept };
}

/** The circuit breaker; undefined as long as it holds. */
function trip({ service, nowMs }: ServiceSight, ids: Ids): Settled | undefined {
  const primary = primaryOf(service);
  const breaker = service.circuitBreaker;
  if (primary?.rolloutState !== 'IN_PROGRESS' || !breaker.enable) return undefined;
  if (primary.failedTasks < breakerThreshold(breaker, service.desiredCount)) return undefined;
  const reason = 'ECS deployment circuit breaker: tasks failed to start.';
  const failed = changePrimary(service, (deployment) => ({
    ...deployment,
    rolloutState: 'FAILED',
    rolloutStateReason: reason,
    updatedAtMs: nowMs,
  }));
  const target = breaker.rollback ? service.lastCompleted : undefined;
  const back = target !== undefined && target.deploymentId !== primary.id ? target : undefined;
  const news: News[] = [
    {
      message: `(deployment ${primary.id}) deployment failed: tasks failed to start.`,
      event: deploymentEvent(primary, 'SERVICE_DEPLOYMENT_FAILED', reason),
      history: {
        deployment: primary,
        status:
          back === undefined ? (primary.isRollback === true ? 'ROLLBACK_FAILED' : 'STOPPED') : 'ROLLBACK_IN_PROGRESS',
        reason,
        ...(back === undefined ? {} : { rollback: { reason, startedAtMs: nowMs, revisionId: back.revisionId } }),
      },
    },
  ];
  if (back === undefined) return { service: failed, news };
  const why = `ECS deployment circuit breaker: rolling back to deploymentId ${back.deploymentId}.`;
  const begun = rollBack(failed, primary, back, { nowMs, ids, why });
  return { service: begun.service, news: [...news, ...begun.news] };
}

/**
 * What a client's StopServiceDeployment does: back to what was complete before.
 * @returns undefined when it is not this deployment that is under way, `nowhere` when nothing was ever complete
 */
export function stopDeployment(
  service: ServiceState,
  serviceDeploymentId: string,
  { nowMs, ids }: { readonly nowMs: number; readonly ids: Ids },
): Settled | 'nowhere' | undefined {
  const primary = primaryOf(service);
  if (primary?.serviceDeploymentId !== serviceDeploymentId) return undefined;
  if (primary.rolloutState !== 'IN_PROGRESS' || primary.isRollback === true) return undefined;
  const back = service.lastCompleted;
  if (back === undefined || back.deploymentId === primary.id) return 'nowhere';
  const reason = 'Deployment stopped by user.';
  const failed = changePrimary(service, (deployment) => ({
    ...deployment,
    rolloutState: 'FAILED',
    rolloutStateReason: reason,
    updatedAtMs: nowMs,
  }));
  const told: News = {
    message: `(deployment ${primary.id}) deployment stopped by user.`,
    event: deploymentEvent(primary, 'SERVICE_DEPLOYMENT_FAILED', reason),
    history: {
      deployment: primary,
      status: 'ROLLBACK_IN_PROGRESS',
      reason,
      rollback: { reason, startedAtMs: nowMs, revisionId: back.revisionId },
    },
  };
  const why = `ECS deployment stopped by user: rolling back to deploymentId ${back.deploymentId}.`;
  const begun = rollBack(failed, primary, back, { nowMs, ids, why });
  return { service: begun.service, news: [told, ...begun.news] };
}

/** Makes what was complete before the PRIMARY again. */
function rollBack(
  service: ServiceState,
  primary: DeploymentState,
  back: NonNullable<ServiceState['lastCompleted']>,
  { nowMs, ids, why }: { readonly nowMs: number; readonly ids: Ids; readonly why: string },
): Settled {
  const existing = service.deployments.find((deployment) => deployment.id === back.deploymentId);
  const next: DeploymentState = {
    ...(existing ?? newDeployment(ids, nowMs, back, service.desiredCount)),
    desiredCount: service.desiredCount,
    failedTasks: 0,
    rolloutState: 'IN_PROGRESS',
    rolloutStateReason: why,
    updatedAtMs: nowMs,
    revisionId: back.revisionId,
    // The way back is part of the deployment that failed.
    serviceDeploymentId: primary.serviceDeploymentId,
    isRollback: true,
  };
  const news: News = {
    message: `rolling back to deployment ${next.id}.`,
    event: deploymentEvent(next, 'SERVICE_DEPLOYMENT_IN_PROGRESS', why),
  };
  const result = withPrimary(service, next, nowMs);
  // A rollback that fails as well has nowhere further to go.
  return { service: { ...result, lastCompleted: { ...back, deploymentId: next.id } }, news: [news] };
}
