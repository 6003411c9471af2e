/** Kernel settings that belong to a namespace of the container: setting one changes nothing outside it. */
import { AppError } from '../../errors/index.js';

/** Of the IPC namespace (ipc_namespaces(7)). */
const IPC = new Set(
  'kernel.msgmax kernel.msgmnb kernel.msgmni kernel.sem kernel.shmall kernel.shmmax kernel.shmmni kernel.shm_rmid_forced'.split(
    ' ',
  ),
);

/** Whether the setting is a container's own; those of the network only where it has a network of its own. */
export function isNamespacedSysctl(name: string, ownNetwork: boolean): boolean {
  if (!/^[a-z0-9_]+(?:\.[A-Za-z0-9_-]+)+$/.test(name)) return false;
  return IPC.has(name) || name.startsWith('fs.mqueue.') || (ownNetwork && name.startsWith('net.'));
}

/** @throws AppError SYSCTL_NOT_NAMESPACED */
export function namespacedSysctls(
  sysctls: Readonly<Record<string, string>>,
  ownNetwork: boolean,
): Readonly<Record<string, string>> {
  for (const name of Object.keys(sysctls)) {
    if (isNamespacedSysctl(name, ownNetwork)) continue;
    throw new AppError('SYSCTL_NOT_NAMESPACED', `${name} is not a setting of the container alone`, {
      hint: `${[...IPC].join(', ')}, fs.mqueue.*${ownNetwork ? ', net.*' : '; net.* where the container has a network of its own'}`,
    });
  }
  return sysctls;
}
