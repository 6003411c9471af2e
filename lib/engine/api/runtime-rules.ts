/** What must hold between the members that describe a container's surroundings: volumes, links, names, port ranges. */
import { parseEnvironmentFile } from '../agent/environment-files.js';
import { logLimits } from '../agent/log-limits.js';
import { parseSecretReference } from '../agent/secret-source.js';
import { clientError } from '../ecs-error.js';
import { tmpfsOptions } from '../../runtime/index.js';
import type { ContainerDefinitionInput } from './container-definition-input.js';
import type { TaskDefinitionInput } from './task-definition-input.js';

const MOST_IN_RANGE = 100;
const MOST_FILES = 10;

/** @throws ClientException with the first rule that does not hold */
export function checkRuntimeMembers(definition: TaskDefinitionInput): void {
  const volumes = new Set<string>();
  for (const { name = '', host, dockerVolumeConfiguration } of definition.volumes) {
    if (!/^[a-zA-Z0-9_-]{1,255}$/.test(name)) throw clientError(`Invalid volume name "${name}".`);
    if (volumes.has(name)) throw clientError(`Volume names must be unique: ${name} is there twice.`);
    if (host?.sourcePath !== undefined && dockerVolumeConfiguration !== undefined) {
      throw clientError(`Volume ${name} has both host and dockerVolumeConfiguration.`);
    }
    if (dockerVolumeConfiguration?.autoprovision === true && dockerVolumeConfiguration.scope !== 'shared') {
      throw clientError(`Volume ${name}: autoprovision is for scope shared.`);
    }
    volumes.add(name);
  }
  const containers = new Set(definition.containerDefinitions.map(({ name }) => name ?? ''));
  for (const container of definition.containerDefinitions) {
    checkMounts(container, volumes, containers);
    checkNetwork(container, definition, containers);
    checkRanges(container, definition);
    for (const { name, valueFrom } of container.secrets ?? []) {
      const reference = parseSecretReference(valueFrom);
      if ('problem' in reference) throw clientError(`Invalid secret ${name}: ${reference.problem}.`);
    }
    checkEnvironmentFiles(container.environmentFiles);
    checkLogOptions(container);
    for (const { mountOptions = [], size } of container.linuxParameters?.tmpfs ?? []) {
      if (size <= 0) throw clientError('The size of a tmpfs must be above 0 MiB.');
      try {
        tmpfsOptions(mountOptions);
      } catch (error) {
        throw clientError(error instanceof Error ? error.message : String(error));
      }
    }
  }
}

function checkLogOptions({ name = '', logConfiguration }: ContainerDefinitionInput): void {
  const limits = logLimits(logConfiguration?.logDriver, logConfiguration?.options);
  if ('problem' in limits) throw clientError(`Container '${name}': logConfiguration.options: ${limits.problem}.`);
}

/** Also of overrides. @throws ClientException */
export function checkEnvironmentFiles(files: ContainerDefinitionInput['environmentFiles'] = []): void {
  if (files.length > MOST_FILES) throw clientError(`A container has at most ${String(MOST_FILES)} environmentFiles.`);
  for (const { value } of files) {
    if (parseEnvironmentFile(value) !== undefined) continue;
    throw clientError(
      `environmentFiles: "${value}" is none: the ARN of an S3 object whose name ends in .env is wanted.`,
    );
  }
}

function checkMounts(
  container: ContainerDefinitionInput,
  volumes: ReadonlySet<string>,
  containers: ReadonlySet<string>,
): void {
  const where = `Container '${container.name ?? ''}'`;
  const paths = new Set<string>();
  for (const { sourceVolume = '', containerPath = '' } of container.mountPoints) {
    if (!volumes.has(sourceVolume)) throw clientError(`Unknown volume '${sourceVolume}'.`);
    if (!containerPath.startsWith('/') || containerPath.split('/').includes('..')) {
      throw clientError(`${where}: mount point "${containerPath}" is no absolute path.`);
    }
    if (paths.has(containerPath)) throw clientError(`${where} mounts twice at ${containerPath}.`);
    paths.add(containerPath);
  }
  for (const { sourceContainer = '' } of container.volumesFrom) {
    if (sourceContainer === container.name || !containers.has(sourceContainer)) {
      throw clientError(`${where}: volumesFrom names '${sourceContainer}', which is no other container of the task.`);
    }
  }
}

function checkNetwork(
  container: ContainerDefinitionInput,
  definition: TaskDefinitionInput,
  containers: ReadonlySet<string>,
): void {
  const where = `Container '${container.name ?? ''}'`;
  const mode = definition.networkMode ?? 'bridge';
  const given = (list: readonly unknown[] | undefined): boolean => (list?.length ?? 0) > 0;
  const bridgeOnly: readonly (readonly [string, boolean])[] = [
    ['links', given(container.links)],
    ['disableNetworking', container.disableNetworking === true],
  ];
  for (const [member, present] of bridgeOnly) {
    if (present && mode !== 'bridge') throw clientError(`${where}: ${member} is only for networkMode bridge.`);
  }
  const notShared: readonly (readonly [string, boolean])[] = [
    ['hostname', container.hostname !== undefined],
    ['dnsServers', given(container.dnsServers)],
    ['dnsSearchDomains', given(container.dnsSearchDomains)],
    ['extraHosts', given(container.extraHosts)],
  ];
  for (const [member, present] of notShared) {
    if (present && mode === 'awsvpc') throw clientError(`${where}: ${member} is not valid for networkMode awsvpc.`);
  }
  const { hostname } = container;
  if (hostname !== undefined && !/^[A-Za-z0-9]([A-Za-z0-9.-]{0,62})$/.test(hostname)) {
    throw clientError(`${where}: invalid hostname "${hostname}".`);
  }
  for (const text of [...(container.dnsServers ?? []), ...(container.extraHosts ?? []).map((e) => e.ipAddress)]) {
    if (!/^[0-9A-Fa-f:.]+$/.test(text)) throw clientError(`${where}: "${text}" is no IP address.`);
  }
  for (const text of [...(container.dnsSearchDomains ?? []), ...(container.extraHosts ?? []).map((e) => e.hostname)]) {
    if (!/^[A-Za-z0-9_.-]+$/.test(text)) throw clientError(`${where}: "${text}" is no host or domain name.`);
  }
  for (const link of container.links ?? []) {
    const [name = '', alias = name] = link.split(':');
    if (name === container.name || !containers.has(name)) {
      throw clientError(`${where}: links names '${name}', which is no other container of the task.`);
    }
    if (!/^[A-Za-z0-9_.-]+$/.test(alias)) throw clientError(`${where}: invalid alias in link "${link}".`);
  }
  if (mode === 'host' && container.systemControls.some(({ namespace }) => namespace?.startsWith('net.') === true)) {
    throw clientError(`${where}: systemControls of the network are not valid for networkMode host.`);
  }
}

function checkRanges(container: ContainerDefinitionInput, definition: TaskDefinitionInput): void {
  const earlier: { readonly text: string; readonly first: number; readonly last: number; readonly protocol: string }[] =
    [];
  for (const { containerPort, hostPort, containerPortRange, protocol } of container.portMappings) {
    if (containerPortRange === undefined) continue;
    const where = `Container '${container.name ?? ''}': containerPortRange ${containerPortRange}`;
    const [, first = '', last = ''] = /^(\d{1,5})-(\d{1,5})$/.exec(containerPortRange) ?? [];
    const length = Number(last) - Number(first) + 1;
    if (first === '' || Number(first) === 0 || Number(last) > 65_535 || length < 2) {
      throw clientError(`${where} is no range of ports such as 8000-8009.`);
    }
    if (length > MOST_IN_RANGE) throw clientError(`${where} has more than ${String(MOST_IN_RANGE)} ports.`);
    if (containerPort !== undefined || hostPort !== undefined) {
      throw clientError(`${where} stands beside containerPort or hostPort; use one or the other.`);
    }
    if (definition.networkMode === 'host') throw clientError(`${where} is not valid for networkMode host.`);
    const range = { text: containerPortRange, first: Number(first), last: Number(last), protocol };
    const other = earlier.find(
      (one) => one.protocol === protocol && one.first <= range.last && range.first <= one.last,
    );
    if (other !== undefined) throw clientError(`${where} overlaps ${other.text}; give each port once.`);
    earlier.push(range);
  }
}
