/**
 * crun refuses a host on which cgroup v2 beside v1 still holds a controller. For a suite that runs it, such controllers
 * are bound to a v1 hierarchy, in a mount namespace of its own: runc, elsewhere on the host, could not stand the sight of
 * it. When its holder ends, the kernel gives them back.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { cgroupHierarchies } from '../lib/runtime/cgroup/cgroup.js';
import { controllersBesideV1 } from '../lib/runtime/index.js';

/** Returns the way back. Several suites may hold the controllers at once: the last to go gives them back. */
export async function takeControllersFromV2(): Promise<() => Promise<void>> {
  const controllers = [...(await controllersBesideV1()), ...(await boundOutOfSight())];
  if (controllers.length === 0) return () => Promise.resolve();
  // Ends with us: its standard input does.
  const mounts = controllers.map((name) => `mount -t cgroup -o ${name} none /mnt`).join('; ');
  const flags = ['--mount', '--propagation', 'private', 'sh', '-c', `${mounts}; echo held && exec cat`];
  const holder = spawn('unshare', flags, { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(holder, 'exit');
  await Promise.race([once(holder.stdout, 'data'), ended]);
  const left = await controllersBesideV1();
  if (holder.exitCode !== null || left.length > 0) throw new Error(`cgroup v2 keeps ${left.join(', ')}`);
  return async () => {
    holder.stdin.end();
    await ended;
  };
}

/**
 * Controllers bound to a v1 hierarchy that is mounted nowhere here: in another suite's namespace, then. It is held from
 * here too, since that suite may end first.
 */
async function boundOutOfSight(): Promise<string[]> {
  const [, ...rows] = (await readFile('/proc/cgroups', 'utf8')).trim().split('\n');
  const bound = rows.map((row) => row.split('\t')).filter(([, hierarchy]) => hierarchy !== '0');
  const seen = new Set((await cgroupHierarchies()).flatMap(({ controllers }) => controllers));
  return bound.flatMap(([name]) => (name === undefined || seen.has(name) ? [] : [name]));
}
