/** A container's place in its task's network: which ports of the host it takes, its address, and the names beside it. */
import type { ContainerNames, NetworkAttachment, NetworkMode } from '../../runtime/index.js';
import type { ContainerRunDeps, ContainerSurroundings } from './container-surroundings.js';
import type { ContainerPayload, NetworkBinding } from './types.js';

export interface ContainerPlace {
  readonly mode: NetworkMode;
  readonly address?: string;
  readonly macAddress?: string;
}

/** The ports of the host that lead to the container; kept for it from here on. @throws ContainerFailure */
export async function chooseBindings(
  deps: ContainerRunDeps,
  { payload: { networkMode } }: ContainerSurroundings,
  container: ContainerPayload,
  runtimeId: string,
): Promise<readonly NetworkBinding[]> {
  if (container.disableNetworking === true) return [];
  if (networkMode === 'bridge') return deps.ports.choose(runtimeId, container.portMappings);
  // An awsvpc task is reached at its own address: nothing of the host is taken.
  if (networkMode !== 'host') return [];
  return container.portMappings.map(({ containerPort, protocol }) => ({
    bindIP: '0.0.0.0',
    containerPort,
    hostPort: containerPort,
    protocol,
  }));
}

/**
 * Gives the container its network. Repeated, it answers with what is there.
 * @param joinable told of a place that the container may be set up in already, and must not be started in
 */
export async function attachNetwork(
  deps: ContainerRunDeps,
  task: ContainerSurroundings,
  container: ContainerPayload,
  attachment: { readonly runtimeId: string; readonly bindings: readonly NetworkBinding[] },
  joinable: (place: ContainerPlace) => void,
): Promise<ContainerPlace> {
  const { networkMode } = task.payload;
  if (container.disableNetworking === true) return { mode: { mode: 'none' } };
  if (networkMode === 'awsvpc') {
    const { netnsPath, ...place } = await task.sharedNetwork();
    return { mode: { mode: 'namespace', path: netnsPath }, ...place };
  }
  if (networkMode !== 'bridge') return { mode: { mode: networkMode } };
  const ports = attachment.bindings.map(({ bindIP, ...binding }) => ({ ...binding, hostIp: bindIP }));
  const told = (attached: NetworkAttachment): void => joinable(placeOf(attached));
  return placeOf(await deps.network.attach(attachment.runtimeId, { ports, joinable: told }));
}

function placeOf({ netnsPath, address, macAddress }: NetworkAttachment): ContainerPlace {
  return { mode: { mode: 'namespace', path: netnsPath }, address, macAddress };
}

/** The addresses of the containers that this one links to, under their names and aliases. */
export function linkedNames(
  task: ContainerSurroundings,
  { links = [] }: ContainerPayload,
): NonNullable<ContainerNames['hosts']> {
  return links.flatMap(({ container, alias }) => {
    const address = task.recordOf(container)?.address;
    return address === undefined ? [] : [...new Set([alias, container])].map((name) => ({ name, address }));
  });
}
