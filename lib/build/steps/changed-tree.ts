/**
 * The file system a COPY writes to: the image's tree with changes on top, all in memory and by name only. At the end
 * the changes come out as a changeset, in the order of layers. Nothing here touches a disk.
 */
import { AppError } from '../../errors/index.js';
import {
  baseName,
  comparePaths,
  copyEntry,
  type ImageTree,
  isBelow,
  joinPath,
  type LayerEntry,
  OPAQUE_MARKER,
  parentPath,
  type TreeEntry,
} from '../../layers/index.js';

/** Where the content of a changed file comes from. */
export type Body =
  | { readonly kind: 'tree'; readonly tree: ImageTree; readonly entry: TreeEntry }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array };

/** A changed path. Names with the same `node` are hard links of one file. */
export interface Change {
  readonly entry: LayerEntry;
  readonly node: object;
  readonly body?: Body;
}

/** What stands at a path: a change, or what the image has. */
export interface Standing {
  readonly entry: LayerEntry;
  readonly node?: object;
}

export type Attributes = Pick<LayerEntry, 'mode' | 'uid' | 'gid' | 'mtimeSeconds'>;

/** As Linux limits it. */
const MAX_HOPS = 40;

export class ChangedTree {
  private readonly changes = new Map<string, Change>();
  /** Folders of the image that were replaced: nothing of them shows any more. */
  private readonly replaced = new Set<string>();

  constructor(private readonly base: ImageTree) {}

  /** What is at exactly this path. */
  exact(path: string): Standing | undefined {
    const change = this.changes.get(path);
    if (change !== undefined) return change;
    const entry = this.isReplaced(path) ? undefined : this.base.exact(path);
    return entry === undefined ? undefined : { entry };
  }

  /** What a path leads to, links followed. */
  lookup(path: string): Standing | undefined {
    return this.exact(this.resolve(path));
  }

  /** The real path behind a path, also where its end does not exist; `..` stops at the root. @throws SYMLINK_LOOP */
  resolve(path: string, options: { readonly followLast?: boolean } = {}): string {
    const follow = (options.followLast ?? true) || path.endsWith('/');
    const pending = path.split('/').reverse();
    let done: string[] = [];
    let hops = 0;
    for (let part = pending.pop(); part !== undefined; part = pending.pop()) {
      if (part === '' || part === '.') continue;
      if (part === '..') {
        done.pop();
        continue;
      }
      const here = [...done, part].join('/');
      const entry = this.exact(here)?.entry;
      const last = pending.every((rest) => rest === '' || rest === '.');
      if (entry?.type !== 'symlink' || entry.linkTarget === undefined || (last && !follow)) {
        done.push(part);
        continue;
      }
      hops += 1;
      if (hops > MAX_HOPS) {
        throw new AppError('SYMLINK_LOOP', `${JSON.stringify(path)} leads through more than ${MAX_HOPS} links`);
      }
      if (entry.linkTarget.startsWith('/')) done = [];
      pending.push(...entry.linkTarget.split('/').reverse());
    }
    return done.join('/');
  }

  /** Puts an entry at a real path; a folder that was there goes with everything in it. */
  put(entry: LayerEntry, options: { readonly node?: object; readonly body?: Body } = {}): void {
    const before = this.exact(entry.path);
    if (before?.entry.type === 'directory' && entry.type !== 'directory') this.drop(entry.path);
    const { node = {}, body } = options;
    this.changes.set(entry.path, body === undefined ? { entry, node } : { entry, node, body });
  }

  /** Takes a path away, to put something else there. */
  drop(path: string): void {
    for (const each of this.changes.keys()) {
      if (each === path || isBelow(each, path)) this.changes.delete(each);
    }
    if (this.base.exact(path)?.type === 'directory') this.replaced.add(path);
  }

  /**
   * Makes a folder and those on the way to it, following links.
   * @param attributes of the folders that are made
   * @returns its real path
   * @throws AppError BUILD_DESTINATION_INVALID when a file is in the way
   */
  makeFolders(path: string, attributes: Attributes): string {
    const real = this.resolve(path);
    const parts = real === '' ? [] : real.split('/');
    let at = '';
    for (const part of parts) {
      at = joinPath(at, part);
      const standing = this.exact(at);
      if (standing === undefined) this.put({ path: at, type: 'directory', sizeBytes: 0, ...attributes });
      else if (standing.entry.type !== 'directory') throw notFolder(at, standing.entry);
    }
    return real;
  }

  /**
   * The changes in the order of layers. The first name of a file has its content, later ones are hard links. Missing
   * parents are left to `completeChangeset`.
   */
  changeset(): Change[] {
    const sorted = [...this.changes.values(), ...this.opaqueMarks()];
    sorted.sort((a, b) => comparePaths(a.entry.path, b.entry.path));
    const first = new Map<object, string>();
    return sorted.map((change) => {
      const { entry, node } = change;
      const target = first.get(node);
      if (target === undefined) {
        first.set(node, entry.path);
        return change;
      }
      return { entry: copyEntry(entry, { type: 'hardlink', sizeBytes: 0, linkTarget: target }), node };
    });
  }

  /** A folder made where another was replaced must not show what the other had. */
  private opaqueMarks(): Change[] {
    return [...this.replaced].flatMap((path) => {
      if (this.changes.get(path)?.entry.type !== 'directory') return [];
      const mark: LayerEntry = {
        path: joinPath(path, OPAQUE_MARKER),
        type: 'file',
        mode: 0,
        uid: 0,
        gid: 0,
        mtimeSeconds: 0,
        sizeBytes: 0,
      };
      return [{ entry: mark, node: {} }];
    });
  }

  private isReplaced(path: string): boolean {
    if (this.replaced.size === 0) return false;
    for (let at = path; at !== ''; at = parentPath(at)) if (this.replaced.has(at)) return true;
    return false;
  }
}

export function notFolder(path: string, entry: LayerEntry): AppError {
  return new AppError('BUILD_DESTINATION_INVALID', `/${path} in the image is a ${entry.type}, not a folder`, {
    hint: `copy to another place, or remove ${JSON.stringify(baseName(path))} in a RUN step before`,
  });
}
