/**
 * What the kernel tells of processes, mounts and cgroups, and small files that were just written: read at once. Nothing of it
 * waits for a disk, and by way of Node's threads each look takes ten times as long.
 */
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';

/** Empty when there is no such file (any more). */
export function textNow(path: string): string {
  try {
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  } catch {
    return '';
  }
}

/** What is in a folder; nothing when it is not there. */
export function namesNow(path: string): readonly string[] {
  return existsSync(path) ? readdirSync(path) : [];
}

/** Names of the folders in a folder; undefined when it is not there. */
export function foldersNow(path: string): readonly string[] | undefined {
  if (!existsSync(path)) return undefined;
  try {
    return readdirSync(path, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
  } catch {
    return undefined;
  }
}

/** Takes a file or folder in memory away with all that is in it; fine when it is not there. */
export function removeNow(path: string): void {
  rmSync(path, { recursive: true, force: true });
}
