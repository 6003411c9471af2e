/**
 * The first process of a container, as runc wrote it down: its number, and when it began, which no later process of
 * that number shares. What runc would find out in a process of its own is found here in two reads.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { scopePaths } from './host-scope.js';
import type { HostScope } from './types.js';

export interface ContainerInit {
  readonly pid: number;
  /** False when it has ended, be it that nobody has asked for its exit code yet. */
  readonly lives: boolean;
}

/** Undefined when the runtime knows no such container, or writes its state down otherwise: the runtime is asked then. */
export async function containerInit(scope: HostScope, id: string): Promise<ContainerInit | undefined> {
  const state = await readFile(join(scopePaths.runcRoot(scope), id, 'state.json'), 'utf8').catch(() => '{}');
  const { init_process_pid: pid, init_process_start: start } = parsed(state);
  if (typeof pid !== 'number' || typeof start !== 'number' || pid <= 0) return undefined;
  return { pid, lives: await livesSince(pid, start) };
}

/** proc(5): the name in brackets may hold anything; after it comes the state, and the start as the twentieth field. */
async function livesSince(pid: number, start: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(fields[19]) === start && !['Z', 'X'].includes(fields[0] ?? '');
}

function parsed(text: string): { readonly init_process_pid?: unknown; readonly init_process_start?: unknown } {
  try {
    return JSON.parse(text) as object;
  } catch {
    // Half written: the runtime knows.
    return {};
  }
}
