/**
 * ImageTree: the file system of an image as a value, merged from the indexes of its layers, bottom to top. It answers
 * what COPY, `--chown=name`, `--from` and changesets ask, without a mount and without unpacking a byte. Immutable:
 * `withLayer` gives another tree that shares what did not change.
 */
import { AppError } from '../../errors/index.js';
import type { ByteSource } from '../../store/index.js';
import { noBytes } from '../byte-stream.js';
import { copyRare, type Unfinished } from './copy-entry.js';
import { LayerBodies } from '../stored/layer-bodies.js';
import type { LayerIndex } from '../stored/layer-index.js';
import type { LayerContent } from '../stored/layer-reader.js';
import { comparePaths, joinPath, quoteName } from './path-name.js';
import { emptyRoot, find, layOver, type TreeNode } from './tree-node.js';
import type { LayerEntry, TarMember } from '../types.js';

/** An entry of the merged tree; never of type `hardlink`, since each name of a file has the file's own entry. */
export interface TreeEntry extends LayerEntry {
  /** The same for all names (hard links) of one file; for nothing else. */
  readonly inode: string;
}

export interface LookupOptions {
  /** Whether a link at the end of the path is followed; true when absent. Links on the way always are. */
  readonly followLast?: boolean;
}

export interface ImageTreeOptions {
  /** Where a compressed layer may be unpacked to when contents are asked for out of its order; the system's when absent. */
  readonly temporaryDirectory?: string;
}

export interface TreeMember extends TarMember {
  readonly entry: TreeEntry;
}

export interface TreeContents {
  /** The content of the file at exactly this path; nothing for what is no file. */
  read(path: string): ByteSource;
  close(): Promise<void>;
}

/** As Linux limits it. */
const MAX_HOPS = 40;

export class ImageTree {
  private constructor(
    private readonly root: TreeNode,
    private readonly content: LayerContent,
    private readonly options: ImageTreeOptions,
  ) {}

  /** The tree of `scratch`. @param content where the blobs of the layers to come are read from */
  static empty(content: LayerContent, options: ImageTreeOptions = {}): ImageTree {
    return new ImageTree(emptyRoot(), content, options);
  }

  /** This tree with a layer on top. @throws AppError LAYER_LINK_BROKEN */
  withLayer(index: LayerIndex): ImageTree {
    return new ImageTree(layOver(this.root, index), this.content, this.options);
  }

  /**
   * The entry a path leads to, links resolved inside the tree (absolute ones at its root, `..` stops there).
   * @param path absolute or relative to the root; `''` and `/` are the root
   * @throws AppError SYMLINK_LOOP after 40 links
   */
  lookup(path: string, options: LookupOptions = {}): TreeEntry | undefined {
    const { node, path: found } = this.locate(path, options.followLast ?? true);
    return node === undefined ? undefined : treeEntry(node, found);
  }

  /**
   * The real path that a path leads to, in the form of `LayerEntry.path`, also where its end does not exist (yet):
   * the destination of a COPY.
   */
  resolve(path: string, options: LookupOptions = {}): string {
    return this.locate(path, options.followLast ?? true).path;
  }

  /** The entry of exactly this path: no link is followed, not even on the way. */
  exact(path: string): TreeEntry | undefined {
    const node = find(this.root, path);
    return node === undefined ? undefined : treeEntry(node, path);
  }

  /** What is in a folder, by name; undefined when there is no such folder. */
  list(directory: string): readonly TreeEntry[] | undefined {
    const { node, path } = this.locate(directory, true);
    return node?.children === undefined
      ? undefined
      : sorted(node).map(([name, child]) => treeEntry(child, joinPath(path, name)));
  }

  /** The entry a path leads to (the root itself left out) and everything below it, in the order of layers. */
  *walk(path = ''): Generator<TreeEntry, void, undefined> {
    const { node, path: found } = this.locate(path, true);
    if (node !== undefined) yield* walk(node, found);
  }

  /**
   * The content of a file.
   * @throws AppError FILE_ABSENT when the path leads to no file
   */
  async *readFile(path: string): AsyncGenerator<Uint8Array, void, undefined> {
    const { node, path: found } = this.locate(path, true);
    if (node?.body === undefined) {
      const what = node === undefined ? 'does not exist' : `is a ${node.entry.type}`;
      throw new AppError('FILE_ABSENT', `${quoteName(path)} ${what} in the image`, { kind: 'not-found' });
    }
    const contents = this.contents();
    try {
      yield* contents.read(found);
    } finally {
      await contents.close();
    }
  }

  /**
   * Entries of this tree with their contents. Each layer is read in one pass as far as the entries come in its order,
   * which they mostly do when sorted. Each body must be read, or left, before the next member; a chunk of it is good until
   * the next one.
   */
  async *readMembers(entries: Iterable<TreeEntry>): AsyncGenerator<TreeMember, void, undefined> {
    const contents = this.contents(true);
    try {
      for (const entry of entries) yield { entry, body: contents.read(entry.path) };
    } finally {
      await contents.close();
    }
  }

  /** For reading many files, one after the other; must be closed. @param reuse a chunk is good until the next one */
  contents(reuse = false): TreeContents {
    const bodies = new LayerBodies(this.content, { temporary: this.options.temporaryDirectory, reuse });
    return {
      read: (path) => {
        const node = find(this.root, path);
        return node?.body === undefined ? noBytes() : bodies.read(node.body, node.entry.sizeBytes);
      },
      close: () => bodies.close(),
    };
  }

  private locate(path: string, followLast: boolean): { readonly path: string; readonly node: TreeNode | undefined } {
    const follow = followLast || path.endsWith('/');
    const pending = path.split('/').reverse();
    let trail: { readonly name: string; readonly node: TreeNode | undefined }[] = [];
    let hops = 0;
    for (let part = pending.pop(); part !== undefined; part = pending.pop()) {
      if (part === '' || part === '.') continue;
      if (part === '..') {
        trail.pop();
        continue;
      }
      const here = trail.length === 0 ? this.root : trail.at(-1)?.node;
      const node = here?.children?.get(part);
      const link = node?.entry.type === 'symlink' ? node.entry.linkTarget : undefined;
      if (link === undefined || (!follow && pending.every((rest) => rest === '' || rest === '.'))) {
        trail.push({ name: part, node });
        continue;
      }
      hops += 1;
      if (hops > MAX_HOPS) {
        throw new AppError('SYMLINK_LOOP', `${quoteName(path)} leads through more than ${MAX_HOPS} symbolic links`);
      }
      if (link.startsWith('/')) trail = [];
      pending.push(...link.split('/').reverse());
    }
    const found = trail.map((step) => step.name).join('/');
    return { path: found, node: trail.length === 0 ? this.root : trail.at(-1)?.node };
  }
}

function treeEntry(node: TreeNode, path: string): TreeEntry {
  const { type, mode, uid, gid, mtimeSeconds, sizeBytes } = node.entry;
  const entry: Unfinished<TreeEntry> = {
    path,
    type,
    mode,
    uid,
    gid,
    mtimeSeconds,
    sizeBytes,
    inode: node.inode,
  };
  copyRare(entry, node.entry);
  return entry;
}

function* walk(node: TreeNode, path: string): Generator<TreeEntry, void, undefined> {
  if (path !== '') yield treeEntry(node, path);
  for (const [name, child] of sorted(node)) yield* walk(child, joinPath(path, name));
}

function sorted(node: TreeNode): [string, TreeNode][] {
  return [...(node.children ?? [])].sort(([a], [b]) => comparePaths(a, b));
}
