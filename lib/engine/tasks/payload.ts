/** A task record and its definition become what the agent runs: overrides applied, units turned into bytes. */
import type { ContainerDefinitionInput } from '../api/container-definition-input.js';
import type { TaskDefinitionInput } from '../api/task-definition-input.js';
import type { ContainerPayload, TaskPayload, VolumePayload } from '../agent/types.js';
import type { TaskState } from '../state/model.js';
import type { PlacedTask } from './task-changes.js';
import { containerSize, overrideOf } from './sizes.js';

const MIB = 1024 * 1024;
const DEFAULT_RESTART_SECONDS = 300;

export function taskPayload(task: PlacedTask, definition: TaskDefinitionInput): TaskPayload {
  const networkMode = definition.networkMode ?? 'bridge';
  return {
    taskId: task.id,
    taskArn: task.arn,
    clusterName: task.clusterName,
    clusterArn: task.clusterArn,
    containerInstanceId: task.instanceId,
    group: task.group,
    family: task.family,
    revision: task.revision,
    networkMode,
    containers: definition.containerDefinitions.map((container) => containerPayload(container, task)),
    volumes: definition.volumes.map(volumePayload),
    ...dropUndefined({
      containerInstanceArn: task.instanceArn,
      availabilityZone: task.availabilityZone,
      serviceName: task.serviceName,
      taskRoleArn: task.overrides.taskRoleArn ?? definition.taskRoleArn,
      limits: taskLimits(task, definition),
    }),
  };
}

function taskLimits(task: TaskState, definition: TaskDefinitionInput): TaskPayload['limits'] {
  const isSet = [definition.cpu, definition.memory, task.overrides.cpu, task.overrides.memory].some(Boolean);
  return isSet ? { cpuUnits: task.cpu, memoryBytes: task.memoryMiB * MIB } : undefined;
}

function volumePayload(volume: TaskDefinitionInput['volumes'][number]): VolumePayload {
  return dropUndefined({
    name: volume.name ?? '',
    scope: volume.dockerVolumeConfiguration?.scope ?? 'task',
    hostPath: volume.host?.sourcePath,
  });
}

function containerPayload(container: ContainerDefinitionInput, task: TaskState): ContainerPayload {
  const name = container.name ?? '';
  const override = overrideOf(task.overrides, name);
  const size = containerSize(container, override);
  const linux = container.linuxParameters;
  const capabilities = linux?.capabilities;
  return dropUndefined({
    name,
    arn: task.containers.find((one) => one.name === name)?.arn,
    labels: container.dockerLabels,
    logDriver: container.logConfiguration?.logDriver,
    logOptions: container.logConfiguration?.options,
    image: container.image ?? '',
    essential: container.essential,
    entryPoint: container.entryPoint,
    command: override?.command ?? container.command,
    environment: environmentOf(container, override?.environment ?? []),
    workingDirectory: container.workingDirectory,
    user: container.user,
    cpuUnits: size.cpu > 0 ? size.cpu : undefined,
    memoryBytes: toBytes(size.memoryMiB),
    memoryReservationBytes: toBytes(size.memoryReservationMiB),
    portMappings: container.portMappings.map(portMapping),
    readonlyRootFilesystem: container.readonlyRootFilesystem,
    privileged: container.privileged,
    stopTimeoutSeconds: container.stopTimeout,
    startTimeoutSeconds: container.startTimeout,
    dependsOn: container.dependsOn,
    healthCheck: container.healthCheck && {
      command: container.healthCheck.command,
      intervalSeconds: container.healthCheck.interval,
      timeoutSeconds: container.healthCheck.timeout,
      retries: container.healthCheck.retries,
      startPeriodSeconds: container.healthCheck.startPeriod ?? 0,
    },
    ulimits: container.ulimits,
    capabilities: capabilities && dropUndefined({ add: capabilities.add, drop: capabilities.drop }),
    restartPolicy:
      container.restartPolicy?.enabled === true
        ? {
            ignoredExitCodes: container.restartPolicy.ignoredExitCodes ?? [],
            attemptPeriodSeconds: container.restartPolicy.restartAttemptPeriod ?? DEFAULT_RESTART_SECONDS,
          }
        : undefined,
    hostname: container.hostname,
    extraHosts: container.extraHosts?.map(({ hostname, ipAddress }) => ({ name: hostname, address: ipAddress })),
    dnsServers: container.dnsServers,
    dnsSearchDomains: container.dnsSearchDomains,
    init: linux?.initProcessEnabled,
    shmBytes: toBytes(linux?.sharedMemorySize),
    tmpfs: linux?.tmpfs?.map(({ containerPath, size, mountOptions = [] }) => ({
      path: containerPath,
      sizeBytes: size * MIB,
      options: mountOptions,
    })),
    sysctls:
      container.systemControls.length === 0
        ? undefined
        : Object.fromEntries(container.systemControls.map(({ namespace = '', value = '' }) => [namespace, value])),
    stdin: container.interactive,
    terminal: container.pseudoTerminal,
    disableNetworking: container.disableNetworking,
    links: container.links?.map((link) => {
      const [name = '', alias = name] = link.split(':');
      return { container: name, alias };
    }),
    mountPoints: container.mountPoints.map(({ sourceVolume = '', containerPath = '', readOnly = false }) => ({
      volume: sourceVolume,
      path: containerPath,
      readonly: readOnly,
    })),
    volumesFrom: container.volumesFrom.map(({ sourceContainer = '', readOnly = false }) => ({
      container: sourceContainer,
      readonly: readOnly,
    })),
    environmentFiles: (override?.environmentFiles ?? container.environmentFiles)?.map(({ value }) => value),
    secrets: container.secrets,
  });
}

function portMapping(
  mapping: ContainerDefinitionInput['portMappings'][number],
): ContainerPayload['portMappings'][number] {
  const { protocol, hostPort, containerPortRange } = mapping;
  if (containerPortRange !== undefined) {
    const [first = 0, last = first] = containerPortRange.split('-').map(Number);
    return { containerPort: first, lastContainerPort: last, protocol };
  }
  const containerPort = mapping.containerPort ?? 0;
  return { containerPort, protocol, ...(hostPort === undefined || hostPort === 0 ? {} : { hostPort }) };
}

type Pairs = readonly { readonly name?: string | undefined; readonly value?: string | undefined }[];

function environmentOf(container: ContainerDefinitionInput, overrides: Pairs): string[] {
  const values = new Map<string, string>();
  for (const { name, value } of [...container.environment, ...overrides]) {
    if (name !== undefined && name !== '') values.set(name, value ?? '');
  }
  return [...values].map(([name, value]) => `${name}=${value}`);
}

function toBytes(mib: number | undefined): number | undefined {
  return mib === undefined ? undefined : mib * MIB;
}

type Defined<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>;
};

/** The object without members that are undefined, typed accordingly. */
export function dropUndefined<T extends object>(value: T): Defined<T> {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as Defined<T>;
}
