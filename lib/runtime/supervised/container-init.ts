/**
 * The first process of a container, as its runtime wrote it down: its number, and when it began, which no later process
 * of that number shares. What the runtime would find out in a process of its own is found here in three reads; at once,
 * since these files are in memory and a way by threads takes ten times as long.
 */
import { closeSync, existsSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { scopePaths } from '../host/host-scope.js';
import { textNow } from '../host/files-now.js';
import { OCI_RUNTIMES, type OciRuntime } from '../oci-runtime/oci-runtime.js';
import type { HostScope } from '../types.js';

export interface ContainerInit {
  readonly pid: number;
  /** False when it has ended, be it that nobody has asked for its exit code yet. */
  readonly lives: boolean;
  /** Whether it lives and waits for the container's start. */
  readonly waits: boolean;
}

interface Written {
  readonly file: string;
  readonly pid: string;
  readonly start: string;
  /** What the process is called while it waits; nothing where that is not known. */
  readonly waiting: string;
}

/** Where each runtime writes the two figures: the file in the container's folder, and their names in it. */
const STATE: Readonly<Record<OciRuntime, Written>> = {
  runc: { file: 'state.json', pid: 'init_process_pid', start: 'init_process_start', waiting: 'runc:[' },
  crun: { file: 'status', pid: 'pid', start: 'process-start-time', waiting: '' },
};

/** Undefined when no runtime knows such a container, or writes its state down otherwise: it is asked then. */
export async function containerInit(scope: HostScope, id: string): Promise<ContainerInit | undefined> {
  for (const runtime of OCI_RUNTIMES) {
    const folder = join(scopePaths.runtimeRoot(scope, runtime), id);
    const { file, waiting, ...names } = STATE[runtime];
    const state = firstText(join(folder, file));
    const [pid, start] = [figure(state, names.pid), figure(state, names.start)];
    if (pid === undefined || start === undefined || pid <= 0) continue;
    const command = commandSince(pid, start);
    const lives = command !== undefined;
    // What it waits at is there until its start has been seen; a process of runc's it is until that start.
    const waits = lives && existsSync(join(folder, 'exec.fifo')) && command.startsWith(waiting);
    return { pid, lives, waits };
  }
  return undefined;
}

/**
 * What the process is called; undefined when it has ended. proc(5): the name in brackets may hold anything; after it comes the
 * state, and the start as the twentieth field.
 */
function commandSince(pid: number, start: number): string | undefined {
  const stat = textNow(`/proc/${pid}/stat`);
  const nameEnd = stat.lastIndexOf(')');
  const fields = stat.slice(nameEnd + 2).split(' ');
  const lives = Number(fields[19]) === start && !['Z', 'X'].includes(fields[0] ?? '');
  return lives ? stat.slice(stat.indexOf('(') + 1, nameEnd) : undefined;
}

/** runc's file goes on with the whole configuration of the container, which is not wanted here. */
const FIRST_BYTES = 512;

/** The beginning of a file, where both runtimes have the two figures; empty when there is no such file. */
function firstText(path: string): string {
  if (!existsSync(path)) return '';
  const bytes = Buffer.alloc(FIRST_BYTES);
  try {
    const file = openSync(path, 'r');
    try {
      return bytes.toString('utf8', 0, readSync(file, bytes, 0, FIRST_BYTES, 0));
    } finally {
      closeSync(file);
    }
  } catch {
    return '';
  }
}

/** A figure that is not there, or half written, is one the runtime knows. */
function figure(text: string, name: string): number | undefined {
  const digits = new RegExp(`"${name}": ?(\\d+)[,}\\s]`).exec(text)?.[1];
  return digits === undefined ? undefined : Number(digits);
}
