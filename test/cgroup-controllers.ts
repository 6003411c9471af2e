/**
 * crun refuses a host on which cgroup v2 beside v1 still holds a controller. For a suite that runs it, such controllers
 * are bound to a v1 hierarchy, in a mount namespace of its own: runc, elsewhere on the host, could not stand the sight of
 * it. When its holder ends, the kernel gives them back.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { controllersBesideV1 } from '../lib/runtime/index.js';

/** Returns the way back. */
export async function takeControllersFromV2(): Promise<() => Promise<void>> {
  const controllers = await controllersBesideV1();
  if (controllers.length === 0) return () => Promise.resolve();
  // Ends with us: its standard input does.
  const script = `mount -t cgroup -o ${controllers.join(',')} none /mnt && echo held && exec cat`;
  const flags = ['--mount', '--propagation', 'private', 'sh', '-c', script];
  const holder = spawn('unshare', flags, { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(holder, 'exit');
  await Promise.race([once(holder.stdout, 'data'), ended]);
  if (holder.exitCode !== null) throw new Error(`cgroup v2 keeps ${controllers.join(', ')}`);
  return async () => {
    holder.stdin.end();
    await ended;
  };
}
