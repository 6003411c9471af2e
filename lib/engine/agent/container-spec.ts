/** What the runtime is told about a container: the payload and the image's config, in the runtime's terms. */
import type { ContainerNames, ContainerSpec, NetworkMode, RuntimeMount } from '../../runtime/index.js';
import { containerProcess, mergeEnvironment } from './container-process.js';
import type { ResolvedImage } from './image-source.js';
import type { ContainerPayload } from './types.js';
import { runtimeMount, type VolumeMount } from './volumes.js';

export interface ContainerSurroundingsFound {
  readonly id: string;
  readonly rootfs: string;
  readonly network: NetworkMode;
  readonly volumes: readonly VolumeMount[];
  /** `NAME=value` out of environment files. */
  readonly filed: readonly string[];
  /** `NAME=value`, fetched for this one purpose. */
  readonly secrets: readonly string[];
  /** `NAME=value` that the agent itself sets, given what the container has else. */
  readonly ownEnvironment: (env: readonly string[]) => readonly string[];
  /** Asked for names, where the definition names no server and the container is on the bridge. */
  readonly resolver?: string;
  /** Of other containers of the task. */
  readonly linked: NonNullable<ContainerNames['hosts']>;
}

export function containerSpec(
  payload: ContainerPayload,
  image: ResolvedImage,
  found: ContainerSurroundingsFound,
): ContainerSpec {
  const hostname = payload.hostname ?? found.id.slice(0, 12);
  const command = containerProcess(payload, image.config, hostname, found.filed);
  return {
    id: found.id,
    rootfs: found.rootfs,
    process: {
      ...command,
      env: mergeEnvironment(command.env, [
        ...found.secrets,
        ...found.ownEnvironment([...command.env, ...found.secrets]),
      ]),
      ...(payload.terminal === undefined ? {} : { terminal: payload.terminal }),
    },
    hostname,
    mounts: [...found.volumes.map(runtimeMount), ...tmpfsMounts(payload)],
    network: found.network,
    limits: limits(payload),
    names: names(payload, found),
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

function names(payload: ContainerPayload, { linked, resolver }: ContainerSurroundingsFound): ContainerNames {
  const { dnsServers = [], dnsSearchDomains, extraHosts = [] } = payload;
  const servers = dnsServers.length === 0 && resolver !== undefined ? [resolver] : dnsServers;
  return {
    hosts: [...linked, ...extraHosts],
    ...(servers.length === 0 ? {} : { dnsServers: servers }),
    ...(dnsSearchDomains === undefined ? {} : { dnsSearchDomains }),
  };
}
