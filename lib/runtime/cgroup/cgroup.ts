/**
 * Control groups of a scope's containers, below `/wharf-<scope>` in every hierarchy: who is still in there, whether the
 * kernel killed for memory, and the end of it. Reads both cgroup v1 and v2, and hosts that have both mounted.
 */
import { existsSync } from 'node:fs';
import { rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoCode } from '../../errors/index.js';
import type { Clock } from '../../store/index.js';
import { killProcess } from '../host/host-processes.js';
import { cgroupPath } from '../host/host-scope.js';
import { foldersNow, textNow } from '../host/files-now.js';
import type { HostScope } from '../types.js';

interface Hierarchy {
  readonly mountPoint: string;
  readonly version: 1 | 2;
  readonly controllers: readonly string[];
}

let known: readonly Hierarchy[] | undefined;

/** Those of this host, looked for once: they are mounted before anything runs on it. */
export async function cgroupHierarchies(): Promise<readonly Hierarchy[]> {
  known ??= mountedHierarchies();
  return known;
}

function mountedHierarchies(): readonly Hierarchy[] {
  const text = textNow('/proc/self/mountinfo');
  return text.split('\n').flatMap((line): Hierarchy[] => {
    if (!line.includes(' - cgroup')) return [];
    const [before, after] = line.split(' - ');
    const mountPoint = before?.split(' ')[4];
    const [type, , options] = after?.split(' ') ?? [];
    if (mountPoint === undefined) return [];
    if (type === 'cgroup2') return [{ mountPoint, version: 2, controllers: [] }];
    if (type === 'cgroup') return [{ mountPoint, version: 1, controllers: options?.split(',') ?? [] }];
    return [];
  });
}

/** The controllers that v2 holds on a host that has v1 as well; none where there is only one of the two. */
export async function controllersBesideV1(): Promise<readonly string[]> {
  const hierarchies = await cgroupHierarchies();
  const unified = hierarchies.find(({ version }) => version === 2);
  if (unified === undefined || !hierarchies.some(({ version }) => version === 1)) return [];
  const text = textNow(join(unified.mountPoint, 'cgroup.controllers'));
  return text.split(/\s+/).filter((name) => name !== '');
}

/** Folders of a container's cgroup (or of the whole scope) that exist. */
export async function cgroupFolders(scope: HostScope, id?: string): Promise<readonly string[]> {
  const folders = (await cgroupHierarchies()).map(({ mountPoint }) => join(mountPoint, cgroupPath(scope, id)));
  return [...new Set(folders)].filter((folder) => existsSync(folder));
}

/** Ids of the containers that have a cgroup. */
export async function cgroupContainers(scope: HostScope): Promise<readonly string[]> {
  const ids = new Set<string>();
  for (const folder of await cgroupFolders(scope)) {
    for (const name of foldersNow(folder) ?? []) ids.add(name);
  }
  return [...ids];
}

/** Processes of a container, or of all of the scope, on this host's numbering. */
export async function cgroupProcesses(scope: HostScope, id?: string): Promise<readonly number[]> {
  const pids = new Set<number>();
  for (const folder of await cgroupFolders(scope, id)) {
    for (const pid of processesBelow(folder)) pids.add(pid);
  }
  return [...pids];
}

/** How often the kernel killed a process of the container because its memory limit was reached. */
export async function oomKills(scope: HostScope, id: string): Promise<number> {
  let kills = 0;
  for (const folder of await cgroupFolders(scope, id)) {
    for (const file of ['memory.events', 'memory.oom_control']) {
      const text = textNow(join(folder, file));
      kills = Math.max(kills, Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0));
    }
  }
  return kills;
}

/** Kills everything in the container's cgroup and removes it. Resolves to whether nothing is left. */
export async function destroyCgroup(scope: HostScope, id: string, clock: Clock): Promise<boolean> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const folders = await cgroupFolders(scope, id);
    if (folders.length === 0) return true;
    for (const folder of folders) {
      // Mostly nothing is in it any more.
      if (await isRemoved(folder)) continue;
      // One write kills a whole tree on cgroup v2 since Linux 5.14.
      const killAll = join(folder, 'cgroup.kill');
      if (existsSync(killAll)) await writeFile(killAll, '1').catch(() => undefined);
      for (const pid of processesBelow(folder)) killProcess(pid);
      await removeTree(folder);
    }
    if (attempt > 0) await clock.sleep(20);
  }
  return (await cgroupFolders(scope, id)).length === 0;
}

/** Removes the scope's own folder when no container is in it. */
export async function removeScopeCgroup(scope: HostScope): Promise<void> {
  for (const folder of await cgroupFolders(scope)) await removeTree(folder);
}

function processesBelow(folder: string): readonly number[] {
  const pids = textNow(join(folder, 'cgroup.procs'))
    .split('\n')
    .filter((line) => line !== '' && line !== '0')
    .map(Number);
  for (const name of foldersNow(folder) ?? []) pids.push(...processesBelow(join(folder, name)));
  return pids;
}

/** Deepest first; a folder that is still in use stays. */
async function removeTree(folder: string): Promise<void> {
  for (const name of foldersNow(folder) ?? []) await removeTree(join(folder, name));
  await isRemoved(folder);
}

async function isRemoved(folder: string): Promise<boolean> {
  try {
    await rmdir(folder);
    return true;
  } catch (error) {
    const code = errnoCode(error) ?? '';
    if (!['EBUSY', 'ENOENT', 'ENOTEMPTY'].includes(code)) throw error;
    return code === 'ENOENT';
  }
}
