/** What must hold inside a task definition beyond its shape. ECS answers these with a ClientException. */
import { clientError } from '../ecs-error.js';
import { parseQuery } from '../placement/query.js';
import { parseCpu, parseMemory, taskNeeds } from '../tasks/sizes.js';
import type { ContainerDefinitionInput } from './container-definition-input.js';
import type { TaskDefinitionInput } from './task-definition-input.js';
import { checkRuntimeMembers } from './runtime-rules.js';

const LARGEST_BYTES = 64 * 1024;
const MOST_CONTAINERS = 10;
const LEAST_MEMORY_MIB = 6;

/** @throws ClientException with the first rule that does not hold */
export function checkTaskDefinition(definition: TaskDefinitionInput): void {
  const containers = definition.containerDefinitions;
  if (containers.length === 0) throw clientError('Container list cannot be empty.');
  if (containers.length > MOST_CONTAINERS) {
    throw clientError(
      `A task definition has at most ${String(MOST_CONTAINERS)} containers, not ${String(containers.length)}.`,
    );
  }
  if (Buffer.byteLength(JSON.stringify(definition)) > LARGEST_BYTES) {
    throw clientError('Actual length of the task definition is above the limit of 64 KiB.');
  }
  const names = new Set<string>();
  for (const container of containers) {
    checkContainer(container, definition);
    const name = container.name ?? '';
    if (names.has(name)) throw clientError(`Container names must be unique: ${name} is there twice.`);
    names.add(name);
  }
  if (!containers.some((container) => container.essential)) {
    throw clientError('Essential containers list cannot be empty: at least one container must be essential.');
  }
  checkRuntimeMembers(definition);
  checkDependencies(containers);
  if (definition.cpu !== undefined) parseCpu(definition.cpu);
  const memory = definition.memory === undefined ? undefined : parseMemory(definition.memory);
  const sum = taskNeeds({ ...definition, memory: undefined, cpu: undefined }, {});
  if (memory !== undefined && sum.memoryMiB > memory) {
    throw clientError(`The containers need ${String(sum.memoryMiB)} MiB, the task has only ${String(memory)}.`);
  }
  for (const constraint of definition.placementConstraints) parseQuery(constraint.expression ?? '');
}

function checkContainer(container: ContainerDefinitionInput, definition: TaskDefinitionInput): void {
  const { name, image, memory, memoryReservation } = container;
  if (name === undefined || name === '') throw clientError('Container.name should not be null or empty.');
  if (!/^[a-zA-Z0-9_-]{1,255}$/.test(name)) {
    throw clientError(`Invalid container name "${name}": up to 255 letters, numbers, hyphens and underscores.`);
  }
  if (image === undefined || image === '') throw clientError('Container.image should not be null or empty.');
  if (/\s/.test(image)) throw clientError(`Container.image contains invalid characters: "${image}".`);
  const taskMemory = definition.memory !== undefined;
  if (memory === undefined && memoryReservation === undefined && !taskMemory) {
    throw clientError(
      `Invalid setting for container '${name}'. At least one of 'memory' or 'memoryReservation' must be specified.`,
    );
  }
  for (const value of [memory, memoryReservation]) {
    if (value !== undefined && value < LEAST_MEMORY_MIB) {
      throw clientError(
        `Invalid memory ${String(value)} for container '${name}': at least ${String(LEAST_MEMORY_MIB)} MiB.`,
      );
    }
  }
  if (memory !== undefined && memoryReservation !== undefined && memory < memoryReservation) {
    throw clientError(`Invalid setting for container '${name}'. 'memory' must not be below 'memoryReservation'.`);
  }
  checkPorts(container, definition);
}

function checkPorts(container: ContainerDefinitionInput, definition: TaskDefinitionInput): void {
  for (const { containerPort, hostPort } of container.portMappings) {
    if (definition.networkMode === 'awsvpc' && hostPort !== undefined && hostPort !== 0 && hostPort !== containerPort) {
      throw clientError('When networkMode=awsvpc, the host ports and container ports in port mappings must match.');
    }
    if (containerPort === 0) throw clientError(`Invalid containerPort 0 for container '${container.name ?? ''}'.`);
    if (definition.networkMode === 'host' && hostPort !== undefined && hostPort !== 0 && hostPort !== containerPort) {
      throw clientError(
        `In networkMode host the host port (${String(hostPort)}) must equal the container port (${String(containerPort)}).`,
      );
    }
  }
  if (definition.networkMode === 'none' && container.portMappings.length > 0) {
    throw clientError(`Container '${container.name ?? ''}' has portMappings, which networkMode none does not allow.`);
  }
}

/** Links and volumes of others order containers too. */
function needsOf(container: ContainerDefinitionInput): readonly string[] {
  return [
    ...(container.dependsOn ?? []).map(({ containerName }) => containerName),
    ...(container.links ?? []).map((link) => link.split(':')[0] ?? ''),
    ...container.volumesFrom.map(({ sourceContainer = '' }) => sourceContainer),
  ];
}

function checkDependencies(containers: readonly ContainerDefinitionInput[]): void {
  const byName = new Map(containers.map((container) => [container.name ?? '', container]));
  for (const container of containers) {
    for (const { containerName, condition } of container.dependsOn ?? []) {
      const on = byName.get(containerName);
      const where = `Container '${container.name ?? ''}' depends on '${containerName}'`;
      if (on === undefined) throw clientError(`${where}, which is not in the task definition.`);
      if ((condition === 'COMPLETE' || condition === 'SUCCESS') && on.essential) {
        throw clientError(`${where} with ${condition}, but an essential container must not end.`);
      }
      if (condition === 'HEALTHY' && on.healthCheck === undefined) {
        throw clientError(`${where} with HEALTHY, but that has no healthCheck.`);
      }
    }
  }
  const done = new Set<string>();
  const visit = (name: string, path: readonly string[]): void => {
    if (path.includes(name))
      throw clientError(`Containers depend on one another in a circle: ${[...path, name].join(' → ')}.`);
    if (done.has(name)) return;
    const container = byName.get(name);
    for (const needed of container === undefined ? [] : needsOf(container)) visit(needed, [...path, name]);
    done.add(name);
  };
  for (const name of byName.keys()) visit(name, []);
}
