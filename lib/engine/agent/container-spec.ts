/** What the runtime is told about a container: the payload and the image's config, in the runtime's terms. */
import type { ContainerNames, ContainerSpec, NetworkMode, RuntimeMount } from '../../runtime/index.js';
import { containerProcess } from './container-process.js';
import type { ResolvedImage } from './image-source.js';
import type { ContainerPayload } from './types.js';
import { runtimeMount, type VolumeMount } from './volumes.js';

export interface ContainerSurroundingsFound {
  readonly id: string;
  readonly rootfs: string;
  readonly network: NetworkMode;
  readonly volumes: readonly VolumeMount[];
  /** `NAME=value`, fetched for this one purpose. */
  readonly secrets: readonly string[];
  /** Of other containers of the task. */
  readonly linked: NonNullable<ContainerNames['hosts']>;
}

export function containerSpec(
  payload: ContainerPayload,
  image: ResolvedImage,
  found: ContainerSurroundingsFound,
): ContainerSpec {
  const hostname = payload.hostname ?? found.id.slice(0, 12);
  const command = containerProcess(payload, image.config, hostname);
  return {
    id: found.id,
    rootfs: found.rootfs,
    process: {
      ...command,
      env: withSecrets(command.env, found.secrets),
      ...(payload.terminal === undefined ? {} : { terminal: payload.terminal }),
    },
    hostname,
    mounts: [...found.volumes.map(runtimeMount), ...tmpfsMounts(payload)],
    network: found.network,
    limits: limits(payload),
    names: names(payload, found.linked),
    ...(payload.readonlyRootFilesystem === undefined ? {} : { readonlyRootfs: payload.readonlyRootFilesystem }),
    ...(payload.privileged === undefined ? {} : { privileged: payload.privileged }),
    ...(payload.capabilities === undefined ? {} : { capabilities: payload.capabilities }),
    ...(payload.shmBytes === undefined ? {} : { shmBytes: payload.shmBytes }),
    ...(payload.sysctls === undefined ? {} : { sysctls: payload.sysctls }),
    ...(payload.init === undefined ? {} : { init: payload.init }),
    ...(payload.stdin === undefined ? {} : { stdin: payload.stdin }),
    ...(payload.ulimits === undefined
      ? {}
      : { ulimits: payload.ulimits.map((one) => ({ name: one.name, soft: one.softLimit, hard: one.hardLimit })) }),
  };
}

/** A secret wins over a variable of the same name, as it is the one that was fetched on purpose. */
function withSecrets(env: readonly string[], secrets: readonly string[]): readonly string[] {
  const names = new Set(secrets.map((entry) => entry.slice(0, entry.indexOf('='))));
  return [...env.filter((entry) => !names.has(entry.split('=')[0] ?? '')), ...secrets];
}

function tmpfsMounts(payload: ContainerPayload): RuntimeMount[] {
  return (payload.tmpfs ?? []).map(({ path, sizeBytes, options }) => ({
    destination: path,
    type: 'tmpfs',
    sizeBytes,
    // As docker does, nothing on it is run unless that is asked for.
    options: options.includes('exec') ? options : ['noexec', ...options],
  }));
}

function limits({ memoryBytes, memoryReservationBytes, cpuUnits }: ContainerPayload): ContainerSpec['limits'] {
  return {
    ...(memoryBytes === undefined ? {} : { memoryBytes }),
    ...(memoryReservationBytes === undefined ? {} : { memoryReservationBytes }),
    ...(cpuUnits === undefined ? {} : { cpuUnits }),
  };
}

function names(payload: ContainerPayload, linked: NonNullable<ContainerNames['hosts']>): ContainerNames {
  const { dnsServers, dnsSearchDomains, extraHosts = [] } = payload;
  return {
    hosts: [...linked, ...extraHosts],
    ...(dnsServers === undefined ? {} : { dnsServers }),
    ...(dnsSearchDomains === undefined ? {} : { dnsSearchDomains }),
  };
}
