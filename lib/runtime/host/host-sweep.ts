/**
 * What a scope has left on the host, and the broom for it. Everything is found by the scope's own names, never by what
 * a record says, so it works after any crash and leaves other platforms and other engines alone.
 */
import { access, rm } from 'node:fs/promises';
import type { Clock } from '../../store/index.js';
import { attachedIds } from '../network/attachments.js';
import { BridgeNetwork } from '../network/bridge-network.js';
import { removeNetwork, ruleOwner, scopeNamespaces } from '../network/network-remains.js';
import { cgroupContainers, cgroupProcesses, removeScopeCgroup } from '../cgroup/cgroup.js';
import { runCommand } from './host-command.js';
import { killProcess, scopeProcesses } from './host-processes.js';
import { bridgeName, cgroupPath, scopePaths } from './host-scope.js';
import { mountPoints, unmountOverlay } from '../root/overlay.js';
import { readOwnRules } from '../network/packet-rules.js';
import { SupervisedContainers } from '../supervised/supervised-containers.js';
import type { HostScope } from '../types.js';

/**
 * Removes every container, mount, namespace, packet rule and cgroup of the scope that belongs to no kept container.
 * With nothing to keep the network goes as well, and after it `hostResidue` is empty.
 * Logs and exit codes stay.
 */
export async function sweepHost(
  deps: { readonly scope: HostScope; readonly clock: Clock },
  keep: ReadonlySet<string>,
): Promise<void> {
  const { scope } = deps;
  const isStray = (id: string): boolean => !keep.has(id);
  await sweepContainers(deps, isStray);
  for (const { pid, containerId } of await scopeProcesses(scope)) {
    if (containerId === undefined || isStray(containerId)) killProcess(pid);
  }
  for (const path of [...(await scopeMounts(scope))].reverse()) {
    // A mount belongs to a container when its path has the container's id as a component.
    if (!path.split('/').some((part) => keep.has(part))) await unmountOverlay(path);
  }
  if (keep.size > 0) return sweepNetwork(scope, isStray);
  await removeNetwork(scope);
  await removeScopeCgroup(scope);
  await unmountOverlay(scopePaths.memory(scope));
  await rm(scopePaths.run(scope), { recursive: true, force: true });
}

/**
 * Removes the containers that are stray, with their mounts and networks, and nothing else of the scope: for one part
 * of a platform that cleans up after itself while others are at work. Each id is asked about right before it goes.
 */
export async function sweepStray(
  deps: { readonly scope: HostScope; readonly clock: Clock },
  isStray: (id: string) => boolean,
): Promise<void> {
  await sweepContainers(deps, isStray);
  for (const path of [...(await scopeMounts(deps.scope))].reverse()) {
    if (path.split('/').some(isStray)) await unmountOverlay(path);
  }
  await sweepNetwork(deps.scope, isStray);
}

async function sweepContainers(
  deps: { readonly scope: HostScope; readonly clock: Clock },
  isStray: (id: string) => boolean,
): Promise<void> {
  const containers = new SupervisedContainers(deps);
  const ids = new Set([...(await containers.list()), ...(await cgroupContainers(deps.scope))]);
  for (const id of ids) if (isStray(id)) await containers.delete(id);
}

async function sweepNetwork(scope: HostScope, isStray: (id: string) => boolean): Promise<void> {
  const ids = new Set([...(await scopeNamespaces(scope)), ...attachedIds(scope)]);
  if (![...ids].some(isStray)) return;
  const network = await BridgeNetwork.open(scope);
  for (const id of ids) if (isStray(id)) await network.detach(id);
}

/** One sentence for each thing of the scope that is still on the host; empty when nothing is. */
export async function hostResidue(scope: HostScope): Promise<readonly string[]> {
  const found: string[] = [];
  for (const pid of await cgroupProcesses(scope)) found.push(`process ${pid} in cgroup ${cgroupPath(scope)}`);
  for (const { pid, command } of await scopeProcesses(scope)) found.push(`process ${pid}: ${command}`);
  for (const path of await scopeMounts(scope)) found.push(`mount ${path}`);
  if ((await mountPoints()).includes(scopePaths.memory(scope))) found.push(`mount ${scopePaths.memory(scope)}`);
  for (const id of await scopeNamespaces(scope)) found.push(`network namespace of ${id}`);
  const link = await runCommand('ip', ['link', 'show', bridgeName(scope)]);
  if (link.exitCode === 0) found.push(`bridge ${bridgeName(scope)}`);
  const { rules } = await readOwnRules(await ruleOwner(scope));
  for (const { table, rule } of rules) found.push(`iptables ${table}: ${rule}`);
  for (const id of await cgroupContainers(scope)) found.push(`cgroup ${cgroupPath(scope)}/${id}`);
  if (await isThere(scopePaths.run(scope))) found.push(`folder ${scopePaths.run(scope)}`);
  return found;
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** Mount points in the scope's folder, in mount order. */
async function scopeMounts(scope: HostScope): Promise<readonly string[]> {
  return (await mountPoints()).filter((path) => path.startsWith(`${scope.directory}/`));
}
