/** Nodes of an ImageTree, and how one layer is laid over them. Nodes are shared between trees and copied on write. */
import { AppError } from '../../errors/index.js';
import { copyEntry } from './copy-entry.js';
import type { BodyPlace } from '../stored/layer-bodies.js';
import type { IndexedEntry, LayerIndex } from '../stored/layer-index.js';
import { baseName, parentPath, quoteName } from './path-name.js';
import type { LayerEntry } from '../types.js';
import { isOpaqueMarker, isWhiteout, whiteoutOf } from './whiteout.js';

export interface TreeNode {
  /** Never of type `hardlink`: each name of a file has the file's own entry. Mostly the index's own object. */
  entry: LayerEntry;
  /** The same for all names of one file. */
  readonly inode: string;
  readonly body?: BodyPlace;
  /** Only of a folder. */
  readonly children?: Map<string, TreeNode>;
  /** Whoever made the node may change it; everyone else copies. */
  readonly owner: object;
}

/** The metadata of a folder that no layer describes. */
export function impliedDirectory(path: string): LayerEntry {
  return { path, type: 'directory', mode: 0o755, uid: 0, gid: 0, mtimeSeconds: 0, sizeBytes: 0 };
}

export function emptyRoot(): TreeNode {
  return { entry: impliedDirectory(''), inode: 'root', children: new Map(), owner: {} };
}

/**
 * The tree with one more layer on top, as overlayfs would show it. Marks apply to what is below, never to the layer's
 * own entries, whatever the order in the tar; so they go first.
 */
export function layOver(root: TreeNode, index: LayerIndex): TreeNode {
  const laying = new Laying(root, index);
  for (const entry of index.entries) if (isWhiteout(entry.path)) laying.hide(entry.path);
  for (const entry of index.entries) laying.add(entry);
  return laying.root;
}

class Laying {
  root: TreeNode;
  private readonly owner = {};
  /** Folders of this layer so far, described or implied. */
  private readonly directories = new Map<string, TreeNode>();

  constructor(
    root: TreeNode,
    private readonly index: LayerIndex,
  ) {
    this.root = this.own(root);
    this.directories.set('', this.root);
  }

  hide(mark: string): void {
    const hidden = isOpaqueMarker(mark) ? parentPath(mark) : whiteoutOf(mark);
    if (hidden === undefined) return;
    const parent = this.existing(isOpaqueMarker(mark) ? hidden : parentPath(hidden));
    if (isOpaqueMarker(mark)) parent?.children?.clear();
    else parent?.children?.delete(baseName(hidden));
  }

  add(entry: IndexedEntry): void {
    const parent = this.directory(parentPath(entry.path));
    if (isWhiteout(entry.path)) return;
    const name = baseName(entry.path);
    const before = parent.children?.get(name);
    const node = this.node(entry, before);
    parent.children?.set(name, node);
    if (node.children !== undefined) this.directories.set(entry.path, node);
    else if (before?.children !== undefined) this.forget(entry.path);
  }

  private node(indexed: IndexedEntry, before: TreeNode | undefined): TreeNode {
    const { type, bodyOffset, elsewhere, inode = `${this.index.diffId}@${bodyOffset}` } = indexed;
    const { owner } = this;
    if (type === 'hardlink') return this.link(indexed);
    if (type === 'directory') {
      const children = before?.children === undefined ? new Map<string, TreeNode>() : this.own(before).children;
      return { entry: indexed, inode, owner, children: children ?? new Map<string, TreeNode>() };
    }
    if (type !== 'file') return { entry: indexed, inode, owner };
    return { entry: indexed, inode, owner, body: { layer: elsewhere ?? this.index.descriptor, offset: bodyOffset } };
  }

  private link(entry: LayerEntry): TreeNode {
    const target = find(this.root, entry.linkTarget ?? '');
    if (target === undefined || target.children !== undefined) {
      throw new AppError(
        'LAYER_LINK_BROKEN',
        `layer ${this.index.diffId}: the hard link ${quoteName(entry.path)} points at ${quoteName(entry.linkTarget ?? '')}, which is no file before it`,
      );
    }
    const { inode, body } = target;
    const named = copyEntry(target.entry, { path: entry.path });
    return { entry: named, inode, owner: this.owner, ...(body === undefined ? {} : { body }) };
  }

  /** A folder of this layer, made (0755) where the layer does not describe it or has something else there. */
  private directory(path: string): TreeNode {
    const known = this.directories.get(path);
    if (known !== undefined) return known;
    const parent = this.directory(parentPath(path));
    const before = parent.children?.get(baseName(path));
    const children = before?.children === undefined ? new Map<string, TreeNode>() : this.own(before).children;
    const node: TreeNode = {
      entry: impliedDirectory(path),
      inode: `${this.index.diffId}@${path}/`,
      children: children ?? new Map<string, TreeNode>(),
      owner: this.owner,
    };
    parent.children?.set(baseName(path), node);
    this.directories.set(path, node);
    return node;
  }

  /** A folder that is there already, made ours all the way down; undefined when there is none. */
  private existing(path: string): TreeNode | undefined {
    if (path === '') return this.root;
    const parent = this.existing(parentPath(path));
    const node = parent?.children?.get(baseName(path));
    if (parent === undefined || node?.children === undefined) return undefined;
    const owned = this.own(node);
    parent.children?.set(baseName(path), owned);
    return owned;
  }

  private own(node: TreeNode): TreeNode {
    if (node.owner === this.owner) return node;
    const { entry, inode, body, children } = node;
    const { owner } = this;
    if (children !== undefined) return { entry, inode, owner, children: new Map(children) };
    return { entry, inode, owner, ...(body === undefined ? {} : { body }) };
  }

  private forget(directory: string): void {
    for (const path of this.directories.keys()) {
      if (path === directory || path.startsWith(`${directory}/`)) this.directories.delete(path);
    }
  }
}

/** The node of exactly this path; links are not followed. */
export function find(root: TreeNode, path: string): TreeNode | undefined {
  let node: TreeNode | undefined = root;
  if (path === '') return node;
  for (const part of path.split('/')) {
    node = node.children?.get(part);
    if (node === undefined) return undefined;
  }
  return node;
}
