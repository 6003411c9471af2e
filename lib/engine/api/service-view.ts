/** A service as DescribeServices shows it; counts are those of its tasks at this moment. */
import type { Context } from '../context.js';
import { serviceScope } from '../state/engine-state.js';
import type { TaskState } from '../state/model.js';
import type { CircuitBreaker, DeploymentState, ServiceConnectState, ServiceState } from '../state/service-model.js';
import { epochSeconds } from './task-view.js';

const SHOWN_EVENTS = 100;

export async function serviceView(context: Context, service: ServiceState, withTags: boolean): Promise<object> {
  const { state, arns } = context;
  const scope = serviceScope(service.clusterName, service.name);
  const tasks = (await state.live.of(service.clusterName)).tasksOfService(service.name);
  const newest = await state.serviceEvents.newest(scope, SHOWN_EVENTS);
  // What is older is of a deleted service that had the same name.
  const events = newest.filter(({ createdAtMs }) => createdAtMs >= service.createdAtMs);
  const primary = service.deployments[0];
  return {
    serviceArn: service.arn,
    serviceName: service.name,
    clusterArn: service.clusterArn,
    loadBalancers: service.loadBalancers,
    networkConfiguration: service.networkConfiguration,
    serviceRegistries: [],
    status: service.status,
    desiredCount: service.desiredCount,
    ...counts(tasks),
    ...launchView(service.capacityProviderStrategy),
    taskDefinition: service.taskDefinitionArn,
    deploymentConfiguration: deploymentConfigurationView(service),
    deployments: service.deployments.map((deployment) => deploymentView(deployment, service, tasks)),
    currentServiceDeployment:
      primary?.rolloutState === 'IN_PROGRESS'
        ? arns.serviceDeployment(service.clusterName, service.name, primary.serviceDeploymentId)
        : undefined,
    currentServiceRevisions: service.deployments.map((deployment) => {
      const own = counts(tasks.filter((task) => task.deploymentId === deployment.id));
      return {
        arn: arns.serviceRevision(service.clusterName, service.name, deployment.revisionId),
        requestedTaskCount: desiredOf(deployment, service, tasks),
        runningTaskCount: own.runningCount,
        pendingTaskCount: own.pendingCount,
      };
    }),
    events: events.map((event) => ({
      id: event.id,
      createdAt: epochSeconds(event.createdAtMs),
      message: event.message,
    })),
    createdAt: epochSeconds(service.createdAtMs),
    placementConstraints: service.placementConstraints,
    placementStrategy: service.placementStrategy,
    healthCheckGracePeriodSeconds: service.loadBalancers.length > 0 ? service.healthCheckGracePeriodSeconds : undefined,
    schedulingStrategy: service.schedulingStrategy,
    deploymentController: { type: 'ECS' },
    tags: withTags ? service.tags : [],
    enableECSManagedTags: service.enableECSManagedTags,
    propagateTags: service.propagateTags,
    enableExecuteCommand: service.enableExecuteCommand,
    availabilityZoneRebalancing: 'DISABLED',
  };
}

/** A launch type, or the strategy that stands for it. */
export function launchView(strategy: ServiceState['capacityProviderStrategy'] = []): object {
  return strategy.length === 0 ? { launchType: 'EC2' } : { capacityProviderStrategy: strategy };
}

/** The names a deployment gives its service. */
function connectView(connect: ServiceConnectState | undefined): object {
  if (connect === undefined) return {};
  return {
    serviceConnectConfiguration: connect.configuration,
    serviceConnectResources: connect.endpoints.map(({ discoveryName }) => ({ discoveryName })),
  };
}

/** The configuration in the shape of the API, for services and for their deployments. */
export function deploymentConfigurationView(from: {
  readonly circuitBreaker: CircuitBreaker;
  readonly maximumPercent: number;
  readonly minimumHealthyPercent: number;
}): object {
  const { circuitBreaker: breaker } = from;
  return {
    deploymentCircuitBreaker: {
      enable: breaker.enable,
      rollback: breaker.rollback,
      thresholdConfiguration: { type: breaker.thresholdType, value: breaker.thresholdValue },
      resetOnHealthyTask: breaker.resetOnHealthyTask,
    },
    maximumPercent: from.maximumPercent,
    minimumHealthyPercent: from.minimumHealthyPercent,
    strategy: 'ROLLING',
    bakeTimeInMinutes: 0,
  };
}

/** Tasks that are starting count as pending; those on their way down count as neither. */
export function counts(tasks: readonly TaskState[]): { readonly runningCount: number; readonly pendingCount: number } {
  return {
    runningCount: tasks.filter((task) => task.lastStatus === 'RUNNING').length,
    pendingCount: tasks.filter(
      (task) => task.desiredStatus === 'RUNNING' && ['PROVISIONING', 'PENDING', 'ACTIVATING'].includes(task.lastStatus),
    ).length,
  };
}

function deploymentView(deployment: DeploymentState, service: ServiceState, tasks: readonly TaskState[]): object {
  return {
    id: deployment.id,
    status: deployment.status,
    taskDefinition: deployment.taskDefinitionArn,
    desiredCount: desiredOf(deployment, service, tasks),
    ...counts(tasks.filter((task) => task.deploymentId === deployment.id)),
    failedTasks: deployment.failedTasks,
    createdAt: epochSeconds(deployment.createdAtMs),
    updatedAt: epochSeconds(deployment.updatedAtMs),
    ...launchView(deployment.capacityProviderStrategy),
    rolloutState: deployment.rolloutState,
    rolloutStateReason: deployment.rolloutStateReason,
    ...connectView(deployment.serviceConnect),
  };
}

/** An older deployment wants just what it has left. */
function desiredOf(deployment: DeploymentState, service: ServiceState, tasks: readonly TaskState[]): number {
  if (deployment.status === 'PRIMARY') return service.desiredCount;
  return tasks.filter((task) => task.deploymentId === deployment.id && task.desiredStatus === 'RUNNING').length;
}
