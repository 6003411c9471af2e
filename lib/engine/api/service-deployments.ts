/** The history of a service's deployments and the revisions they went to. */
import * as z from 'zod';
import { EcsError, clientError, invalidParameter, serviceNotFound } from '../ecs-error.js';
import { breakerThreshold } from '../services/bounds.js';
import { changeService } from '../services/service-changes.js';
import { stopDeployment } from '../services/settle.js';
import { serviceScope } from '../state/engine-state.js';
import type { ServiceState } from '../state/service-model.js';
import type { ServiceDeploymentState } from '../state/side-model.js';
import { cluster, maxResults, nextToken, strings, text } from './input.js';
import { operation, requireCluster, type Api, type Failure, type Operation } from './operation.js';
import { pageOf } from './page.js';
import { counts, deploymentConfigurationView, launchView } from './service-view.js';
import { epochSeconds } from './task-view.js';
import { requireTaskDefinition } from './task-definitions.js';

const STATUSES = [
  'PENDING',
  'SUCCESSFUL',
  'STOPPED',
  'STOP_REQUESTED',
  'IN_PROGRESS',
  'ROLLBACK_REQUESTED',
  'ROLLBACK_IN_PROGRESS',
  'ROLLBACK_SUCCESSFUL',
  'ROLLBACK_FAILED',
] as const;

const listServiceDeployments = operation(
  z.object({
    service: text.min(1),
    cluster,
    status: z.array(z.enum(STATUSES)).optional(),
    createdAt: z.object({ before: z.number().optional(), after: z.number().optional() }).optional(),
    nextToken,
    maxResults: maxResults(),
  }),
  async (api, input) => {
    const owner = await requireCluster(api, input.cluster);
    const name = api.context.arns.shortName('service', input.service, owner.name);
    const service = await api.context.state.services.get(owner.name, name);
    if (service === undefined) throw serviceNotFound();
    const all = await api.context.state.serviceDeployments.all(serviceScope(owner.name, name));
    const { before = Infinity, after = -Infinity } = input.createdAt ?? {};
    const rows = all
      // Not those of a deleted service that had the same name.
      .filter((row) => row.createdAtMs >= service.createdAtMs)
      .filter((row) => input.status === undefined || input.status.length === 0 || input.status.includes(row.status))
      .filter((row) => row.createdAtMs / 1000 < before && row.createdAtMs / 1000 > after)
      .map((row) => ({ row, sort: `${String(1e15 - row.createdAtMs)}#${row.id}` }))
      .sort((a, b) => (a.sort < b.sort ? -1 : 1));
    const page = pageOf(rows, (item) => item.sort, input, 20);
    return {
      serviceDeployments: page.items.map(({ row }) => ({
        serviceDeploymentArn: row.arn,
        serviceArn: row.serviceArn,
        clusterArn: row.clusterArn,
        startedAt: epochSeconds(row.createdAtMs),
        createdAt: epochSeconds(row.createdAtMs),
        finishedAt: epochSeconds(row.finishedAtMs),
        targetServiceRevisionArn: row.revisionArn,
        status: row.status,
        statusReason: row.statusReason,
      })),
      nextToken: page.nextToken,
    };
  },
);

const describeServiceDeployments = operation(
  z.object({ serviceDeploymentArns: strings.min(1).max(20) }),
  async (api, input) => {
    const serviceDeployments: object[] = [];
    const failures: Failure[] = [];
    for (const arn of input.serviceDeploymentArns) {
      const found = await findDeployment(api, arn);
      if (found === undefined) failures.push({ arn, reason: 'MISSING' });
      else serviceDeployments.push(await deploymentView(api, found.row, found.service));
    }
    return { serviceDeployments, failures };
  },
);

const describeServiceRevisions = operation(
  z.object({ serviceRevisionArns: strings.min(1).max(20) }),
  async (api, input) => {
    const serviceRevisions: object[] = [];
    const failures: Failure[] = [];
    for (const arn of input.serviceRevisionArns) {
      const parsed = api.context.arns.parse(arn);
      if (parsed?.kind !== 'service-revision') throw invalidParameter(`"${arn}" is not the ARN of a service-revision.`);
      const [clusterName = '', name = '', id = ''] = parsed.path;
      const rows = await api.context.state.serviceDeployments.all(serviceScope(clusterName, name));
      const row = rows.find((candidate) => candidate.revisionId === id);
      if (row === undefined) failures.push({ arn, reason: 'MISSING' });
      else serviceRevisions.push(await revisionView(api, row));
    }
    return { serviceRevisions, failures };
  },
);

async function findDeployment(
  api: Api,
  arn: string,
): Promise<{ readonly row: ServiceDeploymentState; readonly service: ServiceState | undefined } | undefined> {
  const parsed = api.context.arns.parse(arn);
  if (parsed?.kind !== 'service-deployment') throw invalidParameter(`"${arn}" is not the ARN of a service-deployment.`);
  const [clusterName = '', name = '', id = ''] = parsed.path;
  const row = await api.context.state.serviceDeployments.get(serviceScope(clusterName, name), id);
  if (row === undefined) return undefined;
  return { row, service: await api.context.state.services.get(clusterName, name) };
}

async function deploymentView(
  api: Api,
  row: ServiceDeploymentState,
  service: ServiceState | undefined,
): Promise<object> {
  const live = service?.deployments.find((deployment) => deployment.serviceDeploymentId === row.id);
  const tasks = service === undefined ? [] : await api.context.state.tasks.all(service.clusterName);
  const own = counts(tasks.filter((task) => task.deploymentId === row.deploymentId));
  return {
    serviceDeploymentArn: row.arn,
    serviceArn: row.serviceArn,
    clusterArn: row.clusterArn,
    createdAt: epochSeconds(row.createdAtMs),
    startedAt: epochSeconds(row.createdAtMs),
    finishedAt: epochSeconds(row.finishedAtMs),
    updatedAt: epochSeconds(row.updatedAtMs),
    sourceServiceRevisions: row.sourceRevisionArn === undefined ? [] : [{ arn: row.sourceRevisionArn }],
    targetServiceRevision: {
      arn: row.revisionArn,
      requestedTaskCount: row.requestedTaskCount,
      runningTaskCount: own.runningCount,
      pendingTaskCount: own.pendingCount,
    },
    status: row.status,
    statusReason: row.statusReason,
    deploymentConfiguration: deploymentConfigurationView(row),
    rollback: row.rollback && {
      reason: row.rollback.reason,
      startedAt: epochSeconds(row.rollback.startedAtMs),
      serviceRevisionArn: row.rollback.revisionArn,
    },
    deploymentCircuitBreaker: {
      status: breakerStatus(row),
      failureCount: live === undefined || live.isRollback === true ? row.failureCount : live.failedTasks,
      threshold: breakerThreshold(row.circuitBreaker, row.requestedTaskCount),
    },
  };
}

function breakerStatus(row: ServiceDeploymentState): string {
  if (!row.circuitBreaker.enable) return 'DISABLED';
  if (row.status === 'IN_PROGRESS') return 'MONITORING';
  // One that was superseded or stopped by a client ended before its breaker did anything.
  const tripped = row.failureCount >= breakerThreshold(row.circuitBreaker, row.requestedTaskCount);
  return row.status !== 'SUCCESSFUL' && tripped ? 'TRIGGERED' : 'MONITORING_COMPLETE';
}

async function revisionView(api: Api, row: ServiceDeploymentState): Promise<object> {
  const definition = await requireTaskDefinition(api, row.taskDefinitionArn);
  return {
    serviceRevisionArn: row.revisionArn,
    serviceArn: row.serviceArn,
    clusterArn: row.clusterArn,
    taskDefinition: row.taskDefinitionArn,
    ...launchView(row.capacityProviderStrategy),
    loadBalancers: row.loadBalancers,
    serviceRegistries: [],
    serviceConnectConfiguration: row.serviceConnect?.configuration,
    containerImages: definition.definition.containerDefinitions.map((container) => ({
      containerName: container.name,
      image: container.image,
    })),
    createdAt: epochSeconds(row.createdAtMs),
  };
}

const stopServiceDeployment = operation(
  z.object({ serviceDeploymentArn: text.min(1), stopType: z.enum(['ABORT', 'ROLLBACK']).optional() }),
  async (api, input) => {
    const found = await findDeployment(api, input.serviceDeploymentArn);
    if (found === undefined) {
      throw new EcsError('ServiceDeploymentNotFoundException', 'The service deployment was not found.');
    }
    if (input.stopType === 'ABORT') {
      throw new EcsError(
        'UnsupportedFeatureException',
        'StopServiceDeployment with stopType ABORT is not supported by this engine: use ROLLBACK.',
      );
    }
    const { row, service } = found;
    const { deps } = api.context;
    const after =
      service &&
      (await changeService(api.context, service.clusterName, service.name, (now) => {
        const stopped = stopDeployment(now, row.id, { nowMs: deps.clock.nowMs(), ids: deps.ids });
        if (stopped === 'nowhere') throw clientError('The service has no completed deployment to roll back to.');
        if (stopped !== undefined) return stopped;
        throw new EcsError('ConflictException', 'The service deployment is not in progress.', {
          resourceIds: [row.arn],
        });
      }));
    if (after === undefined) throw serviceNotFound();
    api.scheduler.wake(after.clusterName, after.name);
    return { serviceDeploymentArn: row.arn };
  },
);

export const serviceDeploymentOperations: Readonly<Record<string, Operation>> = {
  ListServiceDeployments: listServiceDeployments,
  DescribeServiceDeployments: describeServiceDeployments,
  DescribeServiceRevisions: describeServiceRevisions,
  StopServiceDeployment: stopServiceDeployment,
};
