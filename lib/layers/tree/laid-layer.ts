/**
 * A layer laid over others, by the rows of its list: which of its paths stand, which are folders, and what it hides of
 * the layers below. Nothing of those is copied; trees look through their layers from the top, as overlayfs does.
 */
import { AppError } from '../../errors/index.js';
import type { BodyPlace } from '../stored/layer-bodies.js';
import type { LayerIndex } from '../stored/layer-index.js';
import { impliedDirectory } from './changeset.js';
import type { Unfinished } from './copy-entry.js';
import type { EntryList } from './entry-list.js';
import type { PathTable } from './path-table.js';
import { quoteName } from './path-name.js';
import { find, type Place, type Spot } from './spot.js';
import type { TreeEntry } from './image-tree.js';
import type { LayerEntry } from '../types.js';
import { isWhiteout, OPAQUE_MARKER, whiteoutFor } from './whiteout.js';

/** Of `standing`; from 2 on it is the row of an entry. */
const ABSENT = 0;
const IMPLIED = 1;
const FIRST = 2;
/** Layers and rows in one number, exact in a double. */
const ROWS = 2 ** 32;
const IMPLIED_ROWS = 2 ** 31;

export class LaidLayer {
  readonly paths: PathTable;
  private readonly list: EntryList;
  /** What stands at each path. */
  private readonly standing: Uint32Array;
  /** Folders that hide what lower layers have in them. */
  private readonly opaque = new Set<number>();
  /** Entries that are other names of a file. */
  private readonly links = new Map<number, number | Place>();
  /** Inodes of files that entries of this layer are other names of. */
  readonly linked = new Set<number>();
  private readonly hasMarks: boolean;

  /**
   * @param number how many layers are below
   * @param lower the root of the tree they make
   * @param omitted entries that are not shown; links to them are
   * @throws AppError LAYER_LINK_BROKEN
   */
  constructor(
    private readonly index: LayerIndex,
    private readonly number: number,
    lower: readonly Place[],
    omitted?: (row: number) => boolean,
  ) {
    this.list = index.entries;
    this.paths = this.list.paths;
    this.standing = new Uint32Array(this.paths.size);
    this.standing[0] = IMPLIED;
    this.hasMarks = this.marks();
    const tree: Spot = [{ layer: this, row: 0 }, ...(this.isOpaque(0) ? [] : lower)];
    for (let row = 0; row < this.list.length; row += 1) this.add(row, tree);
    if (omitted !== undefined) this.omit(omitted);
  }

  isFolder(row: number): boolean {
    const standing = this.standing[row] ?? ABSENT;
    return standing === IMPLIED || (standing >= FIRST && this.list.type(standing - FIRST) === 'directory');
  }

  stands(row: number): boolean {
    return (this.standing[row] ?? ABSENT) !== ABSENT;
  }

  /** Whether this layer takes away what lower layers have of that name in the folder. */
  hides(folder: number, name: string): boolean {
    return this.hasMarks && this.paths.child(folder, whiteoutFor(name)) !== undefined;
  }

  /** Whether nothing of lower layers shows in the folder. */
  isOpaque(folder: number): boolean {
    if (this.opaque.has(folder)) return true;
    return this.hasMarks && this.paths.child(folder, OPAQUE_MARKER) !== undefined;
  }

  /** What stands there, under the path it has in the tree. */
  entry(row: number, path: string): TreeEntry {
    const standing = this.standing[row] ?? ABSENT;
    if (standing < FIRST) return withInode(impliedDirectory(path), this.number * ROWS + IMPLIED_ROWS + row);
    const link = this.links.get(standing - FIRST);
    if (link !== undefined && typeof link !== 'number') return link.layer.entry(link.row, path);
    const own = link ?? standing - FIRST;
    return withInode(this.list.at(own, path), this.number * ROWS + own);
  }

  /** Where a symbolic link leads to. */
  linkTarget(row: number): string | undefined {
    const standing = this.standing[row] ?? ABSENT;
    if (standing < FIRST) return undefined;
    const link = this.links.get(standing - FIRST);
    if (link !== undefined && typeof link !== 'number') return link.layer.linkTarget(link.row);
    const own = link ?? standing - FIRST;
    return this.list.type(own) === 'symlink' ? this.list.linkTarget(own) : undefined;
  }

  /** Where the content of a file lies. @param inode of one of this layer's entries */
  body(inode: number): BodyPlace | undefined {
    const row = inode % ROWS;
    if (row >= IMPLIED_ROWS || this.list.type(row) !== 'file') return undefined;
    return this.index.bodyOf?.(row) ?? { layer: this.index.descriptor, offset: this.list.bodyOffset(row) };
  }

  /** SHA-256 (hex) of a file, where the layer's list knows it. */
  sha256(inode: number): string | undefined {
    return this.list.sha256(inode % ROWS);
  }

  private marks(): boolean {
    for (let row = 0; row < this.list.length; row += 1) if (isWhiteout(this.nameOf(row))) return true;
    return false;
  }

  private nameOf(row: number): string {
    return this.paths.name(this.list.pathRow(row));
  }

  private add(row: number, tree: Spot): void {
    const path = this.list.pathRow(row);
    this.makeFolders(this.paths.parent(path));
    if (this.hasMarks && isWhiteout(this.nameOf(row))) return;
    const wasFolder = this.isFolder(path);
    if (this.list.type(row) === 'directory') {
      if (this.stands(path) && !wasFolder) this.opaque.add(path);
    } else {
      if (this.list.type(row) === 'hardlink') this.links.set(row, this.fileOf(row, tree));
      if (wasFolder) this.clear(path);
    }
    this.standing[path] = FIRST + row;
  }

  /** Folders that are described nowhere stand over whatever was there. */
  private makeFolders(folder: number): void {
    for (let row = folder; !this.isFolder(row); row = this.paths.parent(row)) {
      if (this.stands(row)) this.opaque.add(row);
      this.standing[row] = IMPLIED;
    }
  }

  /** Takes entries away, and with them folders that are there only because something omitted lies in them. */
  private omit(omitted: (row: number) => boolean): void {
    for (let row = 1; row < this.standing.length; row += 1) {
      const standing = this.standing[row] ?? ABSENT;
      if (standing === IMPLIED || (standing >= FIRST && omitted(standing - FIRST))) this.standing[row] = ABSENT;
    }
    for (let row = 1; row < this.standing.length; row += 1) {
      if (this.stands(row)) this.makeFolders(this.paths.parent(row));
    }
  }

  private clear(folder: number): void {
    for (const row of this.paths.children(folder)) {
      this.clear(row);
      this.standing[row] = ABSENT;
      this.opaque.delete(row);
    }
  }

  /** The file that a hard link names: mostly an entry of this layer, before it. */
  private fileOf(row: number, tree: Spot): number | Place {
    const target = this.list.linkTarget(row) ?? '';
    const [place] = find(tree, target) ?? [];
    if (place === undefined || place.layer.isFolder(place.row)) {
      throw new AppError(
        'LAYER_LINK_BROKEN',
        `layer ${this.index.diffId}: the hard link ${quoteName(this.list.path(row))} points at ${quoteName(target)}, which is no file before it`,
      );
    }
    this.linked.add(place.layer.entry(place.row, target).inode);
    if (place.layer !== this) return place;
    const entry = (this.standing[place.row] ?? ABSENT) - FIRST;
    return this.links.get(entry) ?? entry;
  }
}

/** The same object: entries are made by the hundred thousand. */
function withInode(entry: LayerEntry, inode: number): TreeEntry {
  const made = entry as Unfinished<TreeEntry>;
  made.inode = inode;
  return made;
}

/** The number of the layer that an inode is of. */
export const layerOf = (inode: number): number => Math.floor(inode / ROWS);
