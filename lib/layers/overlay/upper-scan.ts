/** What stands in an overlayfs upper folder, as lstat tells it; contents and attributes come later, from tar. */
import type { BigIntStats } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { comparePaths, decodeName, encodeName, joinPath } from '../tree/path-name.js';

export interface UpperNode {
  readonly name: string;
  readonly path: string;
  readonly kind: 'directory' | 'whiteout' | 'other';
  /** The same for all names of one file. */
  readonly inode: string;
  readonly isLinked: boolean;
  /** Whether the time of change has a fraction of a second: then no unpacked lower file has the same. */
  readonly hasFraction: boolean;
  /** In the order of layers. */
  readonly children: readonly UpperNode[];
}

const AT_ONCE = 32;

/** The tree of an upper folder; sockets are left out. */
export async function scanUpper(directory: string): Promise<UpperNode> {
  const root = Buffer.from(directory);
  return {
    name: '',
    path: '',
    kind: 'directory',
    inode: '',
    isLinked: false,
    hasFraction: false,
    children: await scanChildren(root, ''),
  };
}

async function scanChildren(directory: Buffer, path: string): Promise<UpperNode[]> {
  const names = await readdir(directory, { encoding: 'buffer' });
  const nodes: UpperNode[] = [];
  for (let at = 0; at < names.length; at += AT_ONCE) {
    const some = names.slice(at, at + AT_ONCE);
    const stats = await Promise.all(some.map((name) => lstat(child(directory, name), { bigint: true })));
    for (const [i, stat] of stats.entries()) {
      const name = some[i];
      if (name === undefined || stat.isSocket()) continue;
      const below = joinPath(path, decodeName(name));
      nodes.push({
        ...describe(decodeName(name), below, stat),
        children: stat.isDirectory() ? await scanChildren(child(directory, name), below) : [],
      });
    }
  }
  return nodes.sort((a, b) => comparePaths(a.name, b.name));
}

function describe(name: string, path: string, stat: BigIntStats): Omit<UpperNode, 'children'> {
  const isWhiteout = stat.isCharacterDevice() && stat.rdev === 0n;
  return {
    name,
    path,
    kind: stat.isDirectory() ? 'directory' : isWhiteout ? 'whiteout' : 'other',
    inode: `${stat.dev}:${stat.ino}`,
    isLinked: !stat.isDirectory() && stat.nlink > 1n,
    hasFraction: stat.mtimeNs % 1_000_000_000n !== 0n,
  };
}

/** The absolute path of a file below a folder, as bytes. */
export function upperPath(directory: string, path: string): Buffer {
  return Buffer.concat([Buffer.from(`${directory}/`), encodeName(path)]);
}

function child(directory: Buffer, name: Buffer): Buffer {
  return Buffer.concat([directory, Buffer.from('/'), name]);
}
