/**
 * ImageTree: the file system of an image as a value, seen through the indexes of its layers, from the top. It answers
 * what COPY, `--chown=name`, `--from` and changesets ask, without a mount and without unpacking a byte. Immutable:
 * `withLayer` gives another tree that shares all layers of this one. Entries are made when they are asked for.
 */
import { AppError } from '../../errors/index.js';
import { digestOf, MediaType } from '../../oci/index.js';
import type { ByteSource } from '../../store/index.js';
import { noBytes } from '../byte-stream.js';
import { LayerBodies } from '../stored/layer-bodies.js';
import type { LayerIndex } from '../stored/layer-index.js';
import type { LayerContent } from '../stored/layer-reader.js';
import { EntryList } from './entry-list.js';
import { LaidLayer, layerOf } from './laid-layer.js';
import { joinPath, quoteName } from './path-name.js';
import { childOf, childrenOf, find, isFolder, type Spot } from './spot.js';
import type { LayerEntry, TarMember } from '../types.js';

/** An entry of the merged tree; never of type `hardlink`, since each name of a file has the file's own entry. */
export interface TreeEntry extends LayerEntry {
  /** The same for all names (hard links) of one file, and for nothing else of this tree or one made from it. */
  readonly inode: number;
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
  /** The content of an entry of the tree; nothing for what is no file. */
  read(entry: Pick<TreeEntry, 'inode' | 'sizeBytes'>): ByteSource;
  close(): Promise<void>;
}

/** As Linux limits it. */
const MAX_HOPS = 40;

export class ImageTree {
  private readonly root: Spot;

  private constructor(
    /** From the bottom up. The first one is of nothing but the root. */
    private readonly layers: readonly [LaidLayer, ...LaidLayer[]],
    private readonly content: LayerContent,
    private readonly options: ImageTreeOptions,
  ) {
    this.root = rootOf(layers);
  }

  /** The tree of `scratch`. @param content where the blobs of the layers to come are read from */
  static empty(content: LayerContent, options: ImageTreeOptions = {}): ImageTree {
    return new ImageTree([new LaidLayer(NO_ENTRIES, 0, [])], content, options);
  }

  /**
   * This tree with a layer on top.
   * @param omitted rows of entries that are left out; a link to one has the content of it
   * @throws AppError LAYER_LINK_BROKEN
   */
  withLayer(index: LayerIndex, omitted?: (row: number) => boolean): ImageTree {
    const layer = new LaidLayer(index, this.layers.length, this.root, omitted);
    return new ImageTree([...this.layers, layer], this.content, this.options);
  }

  /**
   * The entry a path leads to, links resolved inside the tree (absolute ones at its root, `..` stops there).
   * @param path absolute or relative to the root; `''` and `/` are the root
   * @throws AppError SYMLINK_LOOP after 40 links
   */
  lookup(path: string, options: LookupOptions = {}): TreeEntry | undefined {
    const { spot, path: found } = this.locate(path, options.followLast ?? true);
    return spot === undefined ? undefined : entryOf(spot, found);
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
    const spot = find(this.root, path);
    return spot === undefined ? undefined : entryOf(spot, path);
  }

  /** What is in a folder, by name; undefined when there is no such folder. */
  list(directory: string): readonly TreeEntry[] | undefined {
    const { spot, path } = this.locate(directory, true);
    if (spot === undefined || !isFolder(spot)) return undefined;
    return Array.from(childrenOf(spot), ([name, child]) => entryOf(child, joinPath(path, name)));
  }

  /** The entry a path leads to (the root itself left out) and everything below it, in the order of layers. */
  *walk(path = ''): Generator<TreeEntry, void, undefined> {
    const { spot, path: found } = this.locate(path, true);
    if (spot === undefined) return;
    if (found !== '') yield entryOf(spot, found);
    if (isFolder(spot)) yield* walk(spot, found);
  }

  /**
   * The content of a file.
   * @throws AppError FILE_ABSENT when the path leads to no file
   */
  async *readFile(path: string): AsyncGenerator<Uint8Array, void, undefined> {
    const entry = this.lookup(path);
    if (entry?.type !== 'file') {
      const what = entry === undefined ? 'does not exist' : `is a ${entry.type}`;
      throw new AppError('FILE_ABSENT', `${quoteName(path)} ${what} in the image`, { kind: 'not-found' });
    }
    const contents = this.contents();
    try {
      yield* contents.read(entry);
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
      for (const entry of entries) yield { entry, body: contents.read(entry) };
    } finally {
      await contents.close();
    }
  }

  /** For reading many files, one after the other; must be closed. @param reuse a chunk is good until the next one */
  contents(reuse = false): TreeContents {
    const bodies = new LayerBodies(this.content, { temporary: this.options.temporaryDirectory, reuse });
    return {
      read: ({ inode, sizeBytes }) => {
        const body = this.layers[layerOf(inode)]?.body(inode);
        return body === undefined ? noBytes() : bodies.read(body, sizeBytes);
      },
      close: () => bodies.close(),
    };
  }

  /** Whether the file has more than one name, or had one that was since taken away. */
  isLinked({ inode }: TreeEntry): boolean {
    return this.layers.some(({ linked }) => linked.has(inode));
  }

  /** SHA-256 (hex) of a file, where it is known without reading it: the files of a context. */
  sha256({ inode }: TreeEntry): string | undefined {
    return this.layers[layerOf(inode)]?.sha256(inode);
  }

  private locate(path: string, followLast: boolean): { readonly path: string; readonly spot: Spot | undefined } {
    const follow = followLast || path.endsWith('/');
    const pending = path.split('/').reverse();
    let trail: { readonly name: string; readonly spot: Spot | undefined }[] = [];
    let hops = 0;
    for (let part = pending.pop(); part !== undefined; part = pending.pop()) {
      if (part === '' || part === '.') continue;
      if (part === '..') {
        trail.pop();
        continue;
      }
      const here = trail.length === 0 ? this.root : trail.at(-1)?.spot;
      const spot = here !== undefined && isFolder(here) ? childOf(here, part) : undefined;
      const link = spot === undefined ? undefined : linkTargetOf(spot);
      if (link === undefined || (!follow && pending.every((rest) => rest === '' || rest === '.'))) {
        trail.push({ name: part, spot });
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
    return { path: found, spot: trail.length === 0 ? this.root : trail.at(-1)?.spot };
  }
}

const NOTHING = digestOf('');
const NO_ENTRIES: LayerIndex = {
  descriptor: { mediaType: MediaType.ociLayer, digest: NOTHING, size: 0 },
  diffId: NOTHING,
  uncompressedBytes: 0,
  entries: new EntryList(),
};

/** Of all layers from the top down to one that hides those below it. */
function rootOf(layers: readonly [LaidLayer, ...LaidLayer[]]): Spot {
  const fromTop = layers.map((layer) => ({ layer, row: 0 })).reverse();
  const last = fromTop.findIndex(({ layer }) => layer.isOpaque(0));
  const [top, ...below] = last < 0 ? fromTop : fromTop.slice(0, last + 1);
  return [top ?? { layer: layers[0], row: 0 }, ...below];
}

function entryOf([{ layer, row }]: Spot, path: string): TreeEntry {
  return layer.entry(row, path);
}

function linkTargetOf([{ layer, row }]: Spot): string | undefined {
  return layer.linkTarget(row);
}

function* walk(folder: Spot, path: string): Generator<TreeEntry, void, undefined> {
  for (const [name, child] of childrenOf(folder)) {
    const below = joinPath(path, name);
    yield entryOf(child, below);
    if (isFolder(child)) yield* walk(child, below);
  }
}
