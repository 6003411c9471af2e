/** Content hashes of files of images, each read or heard of once. */
import { createHash } from 'node:crypto';
import { comparePaths, type ImageTree, type TreeEntry } from '../../layers/index.js';
import type { HashOf } from '../keys/selection.js';

const SHA256_BYTES = 32;

/** SHA-256 of files by tree and inode. */
export class HashedFiles {
  private readonly trees = new Map<ImageTree, Map<number, number>>();
  private digests = Buffer.alloc(0);
  private count = 0;

  set(tree: ImageTree, inode: number, digest: Uint8Array): void {
    if ((this.count + 1) * SHA256_BYTES > this.digests.length) {
      this.digests = Buffer.concat([this.digests], Math.max(1024, this.digests.length * 2));
    }
    this.digests.set(digest, this.count * SHA256_BYTES);
    const numbers = this.trees.get(tree) ?? new Map<number, number>();
    this.trees.set(tree, numbers.set(inode, this.count));
    this.count += 1;
  }

  has(tree: ImageTree, inode: number): boolean {
    return this.trees.get(tree)?.has(inode) === true;
  }

  /** In hex. */
  of(tree: ImageTree): HashOf {
    const numbers = this.trees.get(tree);
    return ({ inode }) => {
      const at = (numbers?.get(inode) ?? -1) * SHA256_BYTES;
      return at < 0 ? undefined : this.digests.toString('hex', at, at + SHA256_BYTES);
    };
  }
}

/** Each file is read once, in the order of the layers. */
export async function hashFiles(tree: ImageTree, files: Iterable<TreeEntry>, signal: AbortSignal): Promise<HashOf> {
  const hashes = new HashedFiles();
  const sorted = [...files].sort((a, b) => comparePaths(a.path, b.path));
  for await (const { entry, body } of tree.readMembers(sorted)) {
    signal.throwIfAborted();
    if (hashes.has(tree, entry.inode)) continue;
    const hash = createHash('sha256');
    for await (const chunk of body) hash.update(chunk);
    hashes.set(tree, entry.inode, hash.digest());
  }
  return hashes.of(tree);
}
