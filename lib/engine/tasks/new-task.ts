/** A task record as it begins, without a place, and with the one it was given. */
import type { Context } from '../context.js';
import type { Requirement } from '../placement/place.js';
import { withGpusOf } from '../placement/snapshot.js';
import type { ContainerState, InstanceState, TaskState } from '../state/model.js';
import type { LaunchRequest } from './launch.js';
import { containerSize, overrideOf } from './sizes.js';
import type { PlacedTask } from './task-changes.js';

/** @param provider the capacity provider it goes to, if any */
export function newTask(
  context: Context,
  request: LaunchRequest,
  requirement: Requirement,
  id: string,
  provider: string | undefined,
): TaskState {
  const { arns, deps } = context;
  const { cluster, definition, service } = request;
  return {
    id,
    arn: arns.task(cluster.name, id),
    clusterName: cluster.name,
    clusterArn: cluster.arn,
    ...(provider === undefined ? {} : { capacityProviderName: provider }),
    placement: { constraints: requirement.constraints, strategies: requirement.strategies },
    taskDefinitionArn: definition.arn,
    family: definition.family,
    revision: definition.revision,
    group: request.group,
    ...(request.startedBy === undefined ? {} : { startedBy: request.startedBy }),
    ...(service === undefined ? {} : { serviceName: service.name, deploymentId: service.deploymentId }),
    version: 1,
    desiredStatus: 'RUNNING',
    lastStatus: 'PROVISIONING',
    containers: definition.definition.containerDefinitions.map((container): ContainerState => ({
      arn: arns.container(cluster.name, id, deps.ids.hex(16)),
      name: container.name ?? '',
      image: container.image ?? '',
      essential: container.essential,
      hasHealthCheck: container.healthCheck !== undefined && container.healthCheck.command[0] !== 'NONE',
      ...containerSize(container, overrideOf(request.overrides, container.name ?? '')),
      lastStatus: 'PENDING',
      healthStatus: 'UNKNOWN',
      networkBindings: [],
    })),
    ...(deps.agent.runtime === undefined ? {} : { runtime: deps.agent.runtime }),
    overrides: request.overrides,
    cpu: requirement.needs.cpu,
    memoryMiB: requirement.needs.memoryMiB,
    reserved: requirement.needs,
    loadBalancers: service?.loadBalancers ?? [],
    targets: [],
    enableExecuteCommand: request.enableExecuteCommand,
    ...(request.networkConfiguration === undefined ? {} : { networkConfiguration: request.networkConfiguration }),
    tags: request.tags,
    createdAtMs: deps.clock.nowMs(),
  };
}

/** What a task without a place asks for. */
export function requirementOf(task: TaskState): Requirement {
  return {
    needs: task.reserved,
    constraints: task.placement?.constraints ?? [],
    strategies: task.placement?.strategies ?? [],
    group: task.group,
    ...(task.capacityProviderName === undefined ? {} : { provider: task.capacityProviderName }),
  };
}

/** The task once it has its instance, each container with its GPUs of those that the instance has left. */
export function placedOn(waiting: TaskState, instance: InstanceState): PlacedTask {
  const { placement: _, ...task } = waiting;
  const zone = instance.attributes.find((attribute) => attribute.name === 'ecs.availability-zone')?.value;
  const reserved = withGpusOf(instance.remaining, task.reserved);
  const gpuIds = [...(reserved.gpuIds ?? [])];
  return {
    ...task,
    reserved,
    containers: task.containers.map((container) =>
      container.gpus === undefined ? container : { ...container, gpuIds: gpuIds.splice(0, container.gpus) },
    ),
    instanceId: instance.id,
    instanceArn: instance.arn,
    ...(zone === undefined ? {} : { availabilityZone: zone }),
    lastStatus: 'PENDING',
  };
}
