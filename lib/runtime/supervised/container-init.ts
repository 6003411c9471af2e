/**
 * The first process of a container, as its runtime wrote it down: its number, and when it began, which no later process
 * of that number shares. What the runtime would find out in a process of its own is found here in three reads.
 */
import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { scopePaths } from '../host/host-scope.js';
import { OCI_RUNTIMES, type OciRuntime } from '../oci-runtime/oci-runtime.js';
import type { HostScope } from '../types.js';

export interface ContainerInit {
  readonly pid: number;
  /** False when it has ended, be it that nobody has asked for its exit code yet. */
  readonly lives: boolean;
  /** Whether it waits for the container's start: the runtime takes away what it waits at. */
  readonly waits: boolean;
}

/** Where each runtime writes the two figures: the file in the container's folder, and their names in it. */
const STATE: Readonly<Record<OciRuntime, { readonly file: string; readonly pid: string; readonly start: string }>> = {
  runc: { file: 'state.json', pid: 'init_process_pid', start: 'init_process_start' },
  crun: { file: 'status', pid: 'pid', start: 'process-start-time' },
};

/** Undefined when no runtime knows such a container, or writes its state down otherwise: it is asked then. */
export async function containerInit(scope: HostScope, id: string): Promise<ContainerInit | undefined> {
  for (const runtime of OCI_RUNTIMES) {
    const folder = join(scopePaths.runtimeRoot(scope, runtime), id);
    const { file, ...names } = STATE[runtime];
    const state = parsed(await readFile(join(folder, file), 'utf8').catch(() => '{}'));
    const [pid, start] = [state[names.pid], state[names.start]];
    if (typeof pid !== 'number' || typeof start !== 'number' || pid <= 0) continue;
    const waits = await access(join(folder, 'exec.fifo')).then(
      () => true,
      () => false,
    );
    return { pid, lives: await livesSince(pid, start), waits };
  }
  return undefined;
}

/** proc(5): the name in brackets may hold anything; after it comes the state, and the start as the twentieth field. */
async function livesSince(pid: number, start: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(fields[19]) === start && !['Z', 'X'].includes(fields[0] ?? '');
}

function parsed(text: string): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(text) as Readonly<Record<string, unknown>>;
  } catch {
    // Half written: the runtime knows.
    return {};
  }
}
