/** The processes of conmon and of OCI runtimes that belong to a scope, found by the scope's folders among their arguments. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoCode } from '../../errors/index.js';
import { containerInit } from '../supervised/container-init.js';
import { scopePaths } from './host-scope.js';
import type { HostScope } from '../types.js';

export interface HostProcess {
  readonly pid: number;
  readonly command: string;
  readonly args: readonly string[];
  /** The container it looks after, for a conmon. */
  readonly containerId?: string;
}

/** Reads at once: these files never wait for a disk, and hundreds of them by way of threads take ten times as long. */
export async function scopeProcesses(scope: HostScope): Promise<readonly HostProcess[]> {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const folders = [`${scope.directory}/`, `${scopePaths.run(scope)}/`];
  const found: HostProcess[] = [];
  for (const pid of pids) {
    const args = commandLine(pid).split('\0');
    if (!/(^|\/)(conmon|runc|crun)$/.test(args[0] ?? '')) continue;
    if (!args.some((arg) => folders.some((folder) => arg.startsWith(folder)))) continue;
    if (await isContainerInit(scope, Number(pid), args)) continue;
    const flag = args.indexOf('-c');
    const containerId = flag < 0 ? undefined : args[flag + 1];
    const command = args.join(' ').slice(0, 120);
    found.push({ pid: Number(pid), args, command, ...(containerId === undefined ? {} : { containerId }) });
  }
  return found;
}

/** A container that waits for its start still has the command line of the crun that made it. */
async function isContainerInit(scope: HostScope, pid: number, args: readonly string[]): Promise<boolean> {
  const id = args.findLast((arg) => arg !== '');
  return id !== undefined && args[0]?.endsWith('crun') === true && (await containerInit(scope, id))?.pid === pid;
}

/** Empty for one that has ended. */
function commandLine(pid: string): string {
  try {
    return readFileSync(join('/proc', pid, 'cmdline'), 'utf8');
  } catch {
    return '';
  }
}

/** SIGKILL; one that is gone already is fine. */
export function killProcess(pid: number): void {
  signalProcess(pid, 9);
}

/** False when it is gone already. */
export function signalProcess(pid: number, signal: number): boolean {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    if (errnoCode(error) !== 'ESRCH') throw error;
    return false;
  }
}
