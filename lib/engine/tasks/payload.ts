/** A task record and its definition become what the agent runs: overrides applied, units turned into bytes. */
import type { ContainerDefinitionInput } from '../api/container-definition-input.js';
import type { TaskDefinitionInput } from '../api/task-definition-input.js';
import type { ContainerPayload, TaskPayload } from '../agent/types.js';
import type { TaskState } from '../state/model.js';
import { containerSize, overrideOf } from './sizes.js';

const MIB = 1024 * 1024;

export function taskPayload(task: TaskState, definition: TaskDefinitionInput): TaskPayload {
  const networkMode = definition.networkMode ?? 'bridge';
  return {
    taskId: task.id,
    taskArn: task.arn,
    clusterName: task.clusterName,
    containerInstanceId: task.instanceId,
    family: task.family,
    revision: task.revision,
    // awsvpc is refused when a definition is registered.
    networkMode: networkMode === 'awsvpc' ? 'bridge' : networkMode,
    containers: definition.containerDefinitions.map((container) => containerPayload(container, task)),
  };
}

function containerPayload(container: ContainerDefinitionInput, task: TaskState): ContainerPayload {
  const name = container.name ?? '';
  const override = overrideOf(task.overrides, name);
  const size = containerSize(container, override);
  const capabilities = container.linuxParameters?.capabilities;
  return dropUndefined({
    name,
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
    portMappings: container.portMappings.map((mapping) => ({
      containerPort: mapping.containerPort ?? 0,
      ...(mapping.hostPort === undefined || mapping.hostPort === 0 ? {} : { hostPort: mapping.hostPort }),
      protocol: mapping.protocol,
    })),
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
  });
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
