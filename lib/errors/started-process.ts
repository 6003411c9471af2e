/** The start of a process where the host, or we, may have no file left to open. */
import type { ChildProcess } from 'node:child_process';
import { filesExhausted } from './app-error.js';

/**
 * What `spawn` gave, if it is whole. Without a descriptor left Node gives a child that has no streams, and says so a
 * moment later to whoever listens: nobody does who has stumbled over the missing streams before, and that ends us.
 * @example const child = startedProcess(spawn('tar', args));
 * @throws AppError HOST_FILES_EXHAUSTED
 */
export function startedProcess<T extends ChildProcess>(child: T): T {
  if ((child.stdio as unknown) !== undefined) return child;
  child.once('error', () => undefined);
  throw filesExhausted(`${child.spawnfile} could not be started`);
}
