/** A task record as DescribeTasks shows it: epoch seconds, long ARNs, `include: TAGS` honoured. */
import type { HealthStatus } from '../agent/types.js';
import type { ContainerState, TaskState } from '../state/model.js';
import { attachmentViews, bindingViews, interfaceViews } from './task-network-view.js';

export const epochSeconds = (ms: number | undefined): number | undefined => (ms === undefined ? undefined : ms / 1000);

/** The mark of what the simulated runtime plays, on tasks and on instances. */
export const RUNTIME_ATTRIBUTE = 'wharf.runtime';

export function taskView(task: TaskState, withTags = false): object {
  return {
    attachments: attachmentViews(task),
    // Not a word of ECS: only a task that nothing real runs has it.
    attributes: task.runtime === undefined ? [] : [{ name: RUNTIME_ATTRIBUTE, value: task.runtime }],
    availabilityZone: task.availabilityZone,
    capacityProviderName: task.capacityProviderName,
    clusterArn: task.clusterArn,
    connectivity: task.instanceId === undefined ? undefined : 'CONNECTED',
    connectivityAt: task.instanceId === undefined ? undefined : epochSeconds(task.connectedAtMs ?? task.createdAtMs),
    containerInstanceArn: task.instanceArn,
    containers: task.containers.map((container) => containerView(container, task)),
    cpu: String(task.cpu),
    createdAt: epochSeconds(task.createdAtMs),
    desiredStatus: task.desiredStatus,
    enableExecuteCommand: task.enableExecuteCommand,
    executionStoppedAt: epochSeconds(task.executionStoppedAtMs),
    group: task.group,
    healthStatus: taskHealth(task.containers),
    lastStatus: task.lastStatus,
    launchType: 'EC2',
    memory: String(task.memoryMiB),
    overrides: {
      ...task.overrides,
      containerOverrides: task.containers.map(
        (container) =>
          task.overrides.containerOverrides?.find((override) => override.name === container.name) ?? {
            name: container.name,
          },
      ),
      inferenceAcceleratorOverrides: [],
    },
    pullStartedAt: epochSeconds(task.pullStartedAtMs),
    pullStoppedAt: epochSeconds(task.pullStoppedAtMs),
    startedAt: epochSeconds(task.startedAtMs),
    startedBy: task.startedBy,
    stopCode: task.stopCode,
    stoppedAt: epochSeconds(task.stoppedAtMs),
    stoppedReason: task.stoppedReason,
    stoppingAt: epochSeconds(task.stoppingAtMs),
    tags: withTags ? task.tags : [],
    taskArn: task.arn,
    taskDefinitionArn: task.taskDefinitionArn,
    version: task.version,
  };
}

function containerView(container: ContainerState, task: TaskState): object {
  return {
    containerArn: container.arn,
    taskArn: task.arn,
    name: container.name,
    image: container.image,
    imageDigest: container.imageDigest,
    runtimeId: container.runtimeId,
    lastStatus: container.lastStatus,
    exitCode: container.exitCode,
    reason: container.reason,
    networkBindings: bindingViews(container.networkBindings),
    networkInterfaces: interfaceViews(container, task),
    healthStatus: container.healthStatus,
    cpu: String(container.cpu),
    memory: container.memoryMiB === undefined ? undefined : String(container.memoryMiB),
    memoryReservation:
      container.memoryReservationMiB === undefined ? undefined : String(container.memoryReservationMiB),
    gpuIds: container.gpuIds,
  };
}

/** UNHEALTHY over UNKNOWN over HEALTHY, over the essential containers that have a health check. */
export function taskHealth(containers: readonly ContainerState[]): HealthStatus {
  const checked = containers.filter((container) => container.essential && container.hasHealthCheck);
  if (checked.some((container) => container.healthStatus === 'UNHEALTHY')) return 'UNHEALTHY';
  if (checked.length === 0 || checked.some((container) => container.healthStatus === 'UNKNOWN')) return 'UNKNOWN';
  return 'HEALTHY';
}
