/**
 * What a task claims on its instance. CPU and memory of the task when it states them, else the sum over its containers
 * (`memoryReservation` before `memory`), GPUs of all containers; only fixed host ports are claimed, dynamic ones are the
 * agent's choice.
 */
import { clientError } from '../ecs-error.js';
import type { ContainerDefinitionInput } from '../api/container-definition-input.js';
import type { ContainerOverrideInput, TaskDefinitionInput, TaskOverrideInput } from '../api/task-definition-input.js';
import type { Resources } from '../state/model.js';

export interface SizedContainer {
  readonly cpu: number;
  readonly memoryMiB?: number;
  readonly memoryReservationMiB?: number;
  readonly gpus?: number;
}

/** A container's own size, overrides applied. */
export function containerSize(
  container: ContainerDefinitionInput,
  override: ContainerOverrideInput | undefined,
): SizedContainer {
  const memoryMiB = override?.memory ?? container.memory;
  const memoryReservationMiB = override?.memoryReservation ?? container.memoryReservation;
  const gpus = gpuCount(override?.resourceRequirements ?? container.resourceRequirements);
  return {
    cpu: override?.cpu ?? container.cpu,
    ...(memoryMiB === undefined ? {} : { memoryMiB }),
    ...(memoryReservationMiB === undefined ? {} : { memoryReservationMiB }),
    ...(gpus === 0 ? {} : { gpus }),
  };
}

/** @throws ClientException for what is no number of GPUs */
export function gpuCount(requirements: ContainerDefinitionInput['resourceRequirements'] = []): number {
  return requirements
    .filter(({ type }) => type === 'GPU')
    .map(({ value = '' }) => {
      if (/^[1-9]\d{0,2}$/.test(value)) return Number(value);
      throw clientError(`resourceRequirements: "${value}" is no number of GPUs: 1 to 999 is wanted.`);
    })
    .reduce((sum, each) => sum + each, 0);
}

export function overrideOf(overrides: TaskOverrideInput, container: string): ContainerOverrideInput | undefined {
  return overrides.containerOverrides?.find((override) => override.name === container);
}

/** @throws ClientException for a task size that is none */
export function taskNeeds(definition: TaskDefinitionInput, overrides: TaskOverrideInput): Resources {
  const sizes = definition.containerDefinitions.map((container) =>
    containerSize(container, overrideOf(overrides, container.name ?? '')),
  );
  const sum = (of: (size: SizedContainer) => number): number => sizes.reduce((total, size) => total + of(size), 0);
  const cpu = overrides.cpu ?? definition.cpu;
  const memory = overrides.memory ?? definition.memory;
  const ports = fixedHostPorts(definition);
  const gpus = sum((size) => size.gpus ?? 0);
  return {
    cpu: cpu === undefined ? sum((size) => size.cpu) : parseCpu(cpu),
    memoryMiB:
      memory === undefined ? sum((size) => size.memoryReservationMiB ?? size.memoryMiB ?? 0) : parseMemory(memory),
    tcpPorts: ports.filter((port) => port.protocol === 'tcp').map((port) => port.port),
    udpPorts: ports.filter((port) => port.protocol === 'udp').map((port) => port.port),
    ...(gpus === 0 ? {} : { gpus }),
  };
}

/** In host mode the container's port is the host's; in bridge mode only a host port above 0 is fixed. */
export function fixedHostPorts(
  definition: TaskDefinitionInput,
): readonly { readonly port: number; readonly protocol: 'tcp' | 'udp' }[] {
  const host = definition.networkMode === 'host';
  // Nothing of the host is taken.
  const none = definition.networkMode === 'none' || definition.networkMode === 'awsvpc';
  return definition.containerDefinitions
    .flatMap((container) => container.portMappings)
    .map((mapping) => ({
      port: (host ? (mapping.hostPort ?? mapping.containerPort) : mapping.hostPort) ?? 0,
      protocol: mapping.protocol,
    }))
    .filter((mapping) => !none && mapping.port > 0);
}

/** `256` (units) or `.25 vCPU`. */
export function parseCpu(text: string): number {
  const match = /^(\d*\.?\d+)\s*(vcpu)?$/i.exec(text.trim());
  const value = Number(match?.[1]) * (match?.[2] === undefined ? 1 : 1024);
  if (match === null || !Number.isInteger(value)) {
    throw clientError(`Invalid 'cpu' setting for task: "${text}"; CPU units such as 256, or .25 vCPU.`);
  }
  return value;
}

/** `512` (MiB), `512 MB` or `0.5 GB`. */
export function parseMemory(text: string): number {
  const match = /^(\d*\.?\d+)\s*(gb|mb)?$/i.exec(text.trim());
  const value = Number(match?.[1]) * (match?.[2]?.toLowerCase() === 'gb' ? 1024 : 1);
  if (match === null || !Number.isInteger(value)) {
    throw clientError(`Invalid 'memory' setting for task: "${text}"; MiB such as 512, or 0.5 GB.`);
  }
  return value;
}
