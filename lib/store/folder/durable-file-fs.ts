/** The few file operations that decide whether bytes survive a crash: whole writes, synced folders, who owns a temporary. */
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { errnoCode, toAppError } from '../../errors/index.js';
import { type Files, type OpenFile, systemFiles } from './files-fs.js';

export async function writeAll(file: OpenFile, bytes: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    done += (await file.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
  }
}

/** A new or renamed entry of a folder is durable only when the folder itself is synced. */
export async function syncDirectory(path: string, files: Files = systemFiles): Promise<void> {
  const directory = await files.open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** Makes a folder that will survive a crash, its new parents included. */
export async function makeDirectory(path: string, files: Files = systemFiles): Promise<void> {
  const first = await files.mkdir(path, { recursive: true, mode: 0o700 });
  if (first === undefined) return;
  for (let made = path; made.length >= first.length; made = dirname(made)) await syncDirectory(dirname(made), files);
}

/**
 * Syncs of the same folder that are asked for while one is running are one: that which begins after it. A sync that has
 * begun may have missed an entry made since.
 */
export class DirectorySyncs {
  private readonly running = new Map<string, Promise<void>>();
  private readonly waiting = new Map<string, Promise<void>>();

  constructor(private readonly files: Files) {}

  async sync(path: string): Promise<void> {
    const now = this.running.get(path);
    if (now === undefined) return this.begin(path);
    let next = this.waiting.get(path);
    if (next === undefined) {
      next = now
        .catch(() => {})
        .then(() => {
          this.waiting.delete(path);
          return this.begin(path);
        });
      this.waiting.set(path, next);
    }
    return next;
  }

  private begin(path: string): Promise<void> {
    const sync = syncDirectory(path, this.files).finally(() => {
      if (this.running.get(path) === sync) this.running.delete(path);
    });
    this.running.set(path, sync);
    return sync;
  }
}

/** The error to throw: a full disk becomes STORE_FULL, everything else stays what it is. */
export function diskError(error: unknown): unknown {
  const code = errnoCode(error);
  return code === 'ENOSPC' || code === 'EDQUOT' || code === 'EROFS' ? toAppError(error) : error;
}

/** Names a running process for good: a process id alone is used again. */
export function processMark(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const startTicks = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
    return `${pid}-${startTicks}`;
  } catch {
    return undefined;
  }
}

/** True while the process that wrote `<pid>-<start>` into a temporary name still runs. */
export function isMarkAlive(mark: string): boolean {
  return processMark(Number.parseInt(mark, 10)) === mark;
}
