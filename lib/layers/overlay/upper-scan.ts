/**
 * What stands in an overlayfs upper folder, one folder at a time: a RUN may leave any number of files. Contents and attributes
 * come later, from tar.
 */
import { type Dirent } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { comparePaths, decodeName, encodeName, joinPath } from '../tree/path-name.js';

export interface UpperName {
  readonly name: string;
  readonly kind: 'directory' | 'whiteout' | 'other';
}

export interface UpperFacts {
  /** The same for all names of one file; undefined when it has but one. */
  readonly inode: string | undefined;
  /** Whether the time of change has a fraction of a second: then no unpacked lower file has the same. */
  readonly hasFraction: boolean;
}

const NAMES_AT_ONCE = 1000;

/** What is in a folder of the upper folder, in the order of layers; sockets are left out. */
export async function upperNames(directory: string, path: string): Promise<readonly UpperName[]> {
  const found = await readdir(upperPath(directory, path), { encoding: 'buffer', withFileTypes: true });
  const names: UpperName[] = [];
  for (const entry of found) {
    if (entry.isSocket()) continue;
    const name = decodeName(entry.name);
    names.push({ name, kind: await kindOf(entry, upperPath(directory, joinPath(path, name))) });
  }
  return names.sort((a, b) => comparePaths(a.name, b.name));
}

async function kindOf(entry: Dirent<Buffer>, path: Buffer): Promise<UpperName['kind']> {
  if (entry.isDirectory()) return 'directory';
  return entry.isCharacterDevice() && (await lstat(path)).rdev === 0 ? 'whiteout' : 'other';
}

export async function upperFacts(directory: string, path: string): Promise<UpperFacts> {
  const stat = await lstat(upperPath(directory, path), { bigint: true });
  return {
    inode: !stat.isDirectory() && stat.nlink > 1n ? `${stat.dev}:${stat.ino}` : undefined,
    hasFraction: stat.mtimeNs % 1_000_000_000n !== 0n,
  };
}

/** The paths of all but whiteouts, as bytes, in the order of layers, many at a time. */
export async function* presentPaths(directory: string): AsyncGenerator<readonly Buffer[], void, undefined> {
  const open = [{ path: '', names: (await upperNames(directory, '')).values() }];
  let paths: Buffer[] = [];
  for (let folder = open.at(-1); folder !== undefined; folder = open.at(-1)) {
    const next = folder.names.next();
    if (next.done === true) open.pop();
    else if (next.value.kind !== 'whiteout') {
      const path = joinPath(folder.path, next.value.name);
      paths.push(encodeName(path));
      if (next.value.kind === 'directory') open.push({ path, names: (await upperNames(directory, path)).values() });
    }
    if (paths.length >= NAMES_AT_ONCE) {
      yield paths;
      paths = [];
    }
  }
  if (paths.length > 0) yield paths;
}

/** The absolute path of a file below a folder, as bytes. */
export function upperPath(directory: string, path: string): Buffer {
  return Buffer.concat([Buffer.from(`${directory}/`), encodeName(path)]);
}
