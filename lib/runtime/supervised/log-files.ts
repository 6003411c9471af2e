/**
 * The files of one container's log. `<log>` is being written; those put away are `<log>.<number>`, with ever larger
 * numbers, so that a name always means the same lines and whoever reads never finds them moved.
 */
import { readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { errnoCode } from '../../errors/index.js';

export const putAwayPath = (log: string, number: number): string => `${log}.${String(number)}`;

/** Numbers of the files put away, the oldest first. */
export async function putAwayNumbers(log: string): Promise<readonly number[]> {
  const prefix = `${basename(log)}.`;
  const names = await readdir(dirname(log)).catch(() => []);
  return names
    .flatMap((name) => (name.startsWith(prefix) && /^\d+$/.test(name.slice(prefix.length)) ? [name] : []))
    .map((name) => Number(name.slice(prefix.length)))
    .sort((a, b) => a - b);
}

/** Of a file; undefined when it is not there. */
export async function fileFacts(path: string): Promise<{ readonly size: number; readonly inode: number } | undefined> {
  try {
    const { size, ino: inode } = await stat(path);
    return { size, inode };
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** The file that is being written becomes the newest of those put away; its writer goes on in it until told. */
export async function putAway(log: string): Promise<void> {
  const newest = (await putAwayNumbers(log)).at(-1) ?? 0;
  await rename(log, putAwayPath(log, newest + 1));
}

/** Removes the oldest beyond so many files or bytes. The newest stays, however large. */
export async function removeOldest(
  log: string,
  limits: { readonly files: number; readonly bytes: number },
): Promise<void> {
  const numbers = (await putAwayNumbers(log)).toReversed();
  let bytes = 0;
  for (const [index, number] of numbers.entries()) {
    const path = putAwayPath(log, number);
    bytes += (await fileFacts(path))?.size ?? 0;
    if (index >= limits.files || (index > 0 && bytes > limits.bytes)) await rm(path, { force: true });
  }
}

/** All of it. */
export async function removeLog(log: string): Promise<void> {
  for (const number of await putAwayNumbers(log)) await rm(putAwayPath(log, number), { force: true });
  await rm(log, { force: true });
}
