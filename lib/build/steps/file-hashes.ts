/** Content hashes of files of an image, read out of its layers. */
import { createHash } from 'node:crypto';
import { comparePaths, type ImageTree, type TreeEntry } from '../../layers/index.js';

/** SHA-256 (hex) by inode. Each file is read once, in the order of the layers. */
export async function hashFiles(
  tree: ImageTree,
  files: readonly TreeEntry[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, string>> {
  const hashes = new Map<string, string>();
  const sorted = [...files].sort((a, b) => comparePaths(a.path, b.path));
  for await (const { entry, body } of tree.readMembers(sorted)) {
    signal.throwIfAborted();
    if (hashes.has(entry.inode)) continue;
    const hash = createHash('sha256');
    for await (const chunk of body) hash.update(chunk);
    hashes.set(entry.inode, hash.digest('hex'));
  }
  return hashes;
}
