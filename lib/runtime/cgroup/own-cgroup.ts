/**
 * Makes room for containers below the cgroup of a container that is itself one. With cgroup v2 a group that has
 * processes cannot give controllers to groups below it, so all processes here move aside first.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Does nothing on cgroup v1, or where it was done. @param root where the hierarchy is mounted */
export async function ownCgroup(root = '/sys/fs/cgroup'): Promise<void> {
  const controllers = await readFile(join(root, 'cgroup.controllers'), 'utf8').catch(() => undefined);
  if (controllers === undefined) return;
  const aside = join(root, 'worker');
  await mkdir(aside, { recursive: true });
  const processes = (await readFile(join(root, 'cgroup.procs'), 'utf8')).split('\n').filter((line) => line !== '');
  for (const pid of processes) {
    // One that has just ended cannot be moved, and need not be.
    await writeFile(join(aside, 'cgroup.procs'), pid).catch(() => undefined);
  }
  const wanted = controllers
    .trim()
    .split(' ')
    .filter((name) => name !== '');
  await writeFile(join(root, 'cgroup.subtree_control'), wanted.map((name) => `+${name}`).join(' '));
}
