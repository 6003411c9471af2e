/** The conmon and runc processes of a scope, found by the scope's folders among their arguments. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoCode } from '../errors/index.js';
import { scopePaths } from './host-scope.js';
import type { HostScope } from './types.js';

export interface HostProcess {
  readonly pid: number;
  readonly command: string;
  readonly args: readonly string[];
  /** The container it looks after, for a conmon. */
  readonly containerId?: string;
}

export async function scopeProcesses(scope: HostScope): Promise<readonly HostProcess[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const folders = [`${scope.directory}/`, `${scopePaths.run(scope)}/`];
  const found: HostProcess[] = [];
  for (const pid of pids) {
    const args = (await readFile(join('/proc', pid, 'cmdline'), 'utf8').catch(() => '')).split('\0');
    if (!/(^|\/)(conmon|runc)$/.test(args[0] ?? '')) continue;
    if (!args.some((arg) => folders.some((folder) => arg.startsWith(folder)))) continue;
    const flag = args.indexOf('-c');
    const containerId = flag < 0 ? undefined : args[flag + 1];
    const command = args.join(' ').slice(0, 120);
    found.push({ pid: Number(pid), args, command, ...(containerId === undefined ? {} : { containerId }) });
  }
  return found;
}

/** SIGKILL; one that is gone already is fine. */
export function killProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (errnoCode(error) !== 'ESRCH') throw error;
  }
}
