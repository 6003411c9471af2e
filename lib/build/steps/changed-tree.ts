/**
 * The file system a COPY writes to: the image's tree with changes on top, all in memory and by name only. At the end
 * the changes come out as a changeset, in the order of layers. Nothing here touches a disk.
 */
import { AppError } from '../../errors/index.js';
import {
  baseName,
  Column,
  copyEntry,
  EntryList,
  type ImageTree,
  joinPath,
  type LayerEntry,
  OPAQUE_MARKER,
  parentPath,
} from '../../layers/index.js';

/** Where the content of a changed file comes from. */
export type Body =
  | { readonly kind: 'tree'; readonly tree: ImageTree; readonly inode: number }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array };

/** A changed path. */
export interface Change {
  readonly entry: LayerEntry;
  readonly body?: Body;
}

/** What is known of a change beside its entry. */
export interface ChangeOptions {
  /** Names with the same number are hard links of one file. */
  readonly node?: number;
  readonly body?: Body;
}

/** Of folders that are made. */
export interface FolderAttributes {
  readonly mode: number;
  /** Root when absent, and the group of a folder above that hands its group on. */
  readonly owner?: Pick<LayerEntry, 'uid' | 'gid'>;
  readonly mtimeSeconds: number;
}

const SETGID = 0o2000;

/** As Linux limits it. */
const MAX_HOPS = 40;

export class ChangedTree {
  /** All changes so far, in columns: a COPY may have hundreds of thousands. The last one of a path counts. */
  private readonly changes = new EntryList();
  /** Row of the change of each path, plus one. */
  private readonly standing = new Column();
  private readonly nodes = new Column();
  private readonly bodies = new ChangeBodies();
  /** Folders of the image that were replaced: nothing of them shows any more. */
  private readonly replaced = new Set<string>();

  constructor(private readonly base: ImageTree) {}

  /** What is at exactly this path: a change, or what the image has. */
  exact(path: string): LayerEntry | undefined {
    const row = this.rowOf(path);
    if (row !== undefined) return this.changes.at(row);
    return this.isReplaced(path) ? undefined : this.base.exact(path);
  }

  private rowOf(path: string): number | undefined {
    const row = this.standing.at(this.changes.paths.find(path) ?? 0);
    return row === 0 ? undefined : row - 1;
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
      const entry = this.exact(here);
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
  put(entry: LayerEntry, { node = 0, body }: ChangeOptions = {}): void {
    if (entry.type !== 'directory' && this.isFolder(entry.path)) this.drop(entry.path);
    const row = this.changes.length;
    this.changes.push(entry, NOTHING_MORE);
    this.standing.put(this.changes.pathRow(row), row + 1);
    this.nodes.put(row, node);
    if (body !== undefined) this.bodies.put(row, body);
  }

  /** Takes a path away, to put something else there. */
  drop(path: string): void {
    const { paths } = this.changes;
    const top = paths.find(path);
    if (top !== undefined) {
      for (const row of [top, ...paths.walk(top)]) this.standing.put(row, 0);
    }
    if (this.base.exact(path)?.type === 'directory') this.replaced.add(path);
  }

  /**
   * Makes a folder and those on the way to it, following links.
   * As with mkdir, folders in one with the setgid bit have that bit too, and its group unless they are given an owner.
   * @returns its real path
   * @throws AppError BUILD_DESTINATION_INVALID when a file is in the way
   */
  makeFolders(path: string, { mode, owner, mtimeSeconds }: FolderAttributes): string {
    const real = this.resolve(path);
    const parts = real === '' ? [] : real.split('/');
    let at = '';
    let handedOn: number | undefined;
    for (const part of parts) {
      at = joinPath(at, part);
      const standing = this.exact(at);
      if (standing !== undefined && standing.type !== 'directory') throw notFolder(at, standing);
      if (standing !== undefined) {
        handedOn = (standing.mode & SETGID) === 0 ? undefined : standing.gid;
        continue;
      }
      const { uid, gid } = owner ?? { uid: 0, gid: handedOn ?? 0 };
      const inherited = handedOn === undefined ? 0 : SETGID;
      this.put({ path: at, type: 'directory', mode: mode | inherited, uid, gid, mtimeSeconds, sizeBytes: 0 });
    }
    return real;
  }

  /**
   * The changes in the order of layers, each made when it is asked for. The first name of a file has its content, later
   * ones are hard links. Missing parents are left to `completeChangeset`.
   */
  *changeset(): Generator<Change, void, undefined> {
    this.putOpaqueMarks();
    const first = new Map<number, string>();
    for (const path of this.changes.paths.walk()) {
      const row = this.standing.at(path) - 1;
      if (row < 0) continue;
      const entry = this.changes.at(row);
      const node = this.nodes.at(row);
      const linkTarget = first.get(node);
      if (linkTarget !== undefined) {
        yield { entry: copyEntry(entry, { type: 'hardlink', sizeBytes: 0, linkTarget }) };
        continue;
      }
      if (node !== 0) first.set(node, entry.path);
      const body = this.bodies.of(row);
      yield body === undefined ? { entry } : { entry, body };
    }
  }

  /** A folder made where another was replaced must not show what the other had. */
  private putOpaqueMarks(): void {
    for (const path of this.replaced) {
      const row = this.rowOf(path);
      if (row === undefined || this.changes.type(row) !== 'directory') continue;
      this.put(whiteoutMark(joinPath(path, OPAQUE_MARKER)));
    }
  }

  private isFolder(path: string): boolean {
    const row = this.rowOf(path);
    return row === undefined ? this.exact(path)?.type === 'directory' : this.changes.type(row) === 'directory';
  }

  private isReplaced(path: string): boolean {
    if (this.replaced.size === 0) return false;
    for (let at = path; at !== ''; at = parentPath(at)) if (this.replaced.has(at)) return true;
    return false;
  }
}

/** Where the contents of changes come from, by their rows. */
class ChangeBodies {
  private readonly trees: ImageTree[] = [];
  /** Number of the tree, plus one. */
  private readonly treeOf = new Column();
  private readonly inodes = new Column();
  private readonly bytes = new Map<number, Uint8Array>();

  put(row: number, body: Body): void {
    if (body.kind === 'bytes') {
      this.bytes.set(row, body.bytes);
      return;
    }
    if (!this.trees.includes(body.tree)) this.trees.push(body.tree);
    this.treeOf.put(row, this.trees.indexOf(body.tree) + 1);
    this.inodes.put(row, body.inode);
  }

  of(row: number): Body | undefined {
    const tree = this.trees[this.treeOf.at(row) - 1];
    if (tree !== undefined) return { kind: 'tree', tree, inode: this.inodes.at(row) };
    const bytes = this.bytes.get(row);
    return bytes === undefined ? undefined : { kind: 'bytes', bytes };
  }
}

function whiteoutMark(path: string): LayerEntry {
  return { path, type: 'file', mode: 0, uid: 0, gid: 0, mtimeSeconds: 0, sizeBytes: 0 };
}

const NOTHING_MORE = {};

export function notFolder(path: string, entry: LayerEntry): AppError {
  return new AppError('BUILD_DESTINATION_INVALID', `/${path} in the image is a ${entry.type}, not a folder`, {
    hint: `copy to another place, or remove ${JSON.stringify(baseName(path))} in a RUN step before`,
  });
}
