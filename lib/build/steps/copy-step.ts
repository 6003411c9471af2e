/**
 * COPY and ADD, in process: which entries go where, decided on trees, then streamed into a layer. Semantics are those
 * of BuildKit's file operations (fsutil/copy, solver/llbsolver/file): a folder's content is copied, never the folder;
 * folders that exist keep their own mode and owner at the destination itself and take the source's below it; links in
 * the destination are resolved inside the image; a file is never copied over a folder.
 */
import { AppError } from '../../errors/index.js';
import { parseChmod } from '../../dockerfile/index.js';
import {
  baseName,
  copyEntry,
  type ImageTree,
  joinPath,
  type LayerEntry,
  parentPath,
  type TreeEntry,
} from '../../layers/index.js';
import { inTurns } from '../in-turns.js';
import { openArchive } from './archive.js';
import {
  type Body,
  type Change,
  ChangedTree,
  type ChangeOptions,
  type FolderAttributes,
  notFolder,
} from './changed-tree.js';
import { type Owner, ROOT } from './owners.js';
import { missingInTree } from './missing-source.js';
import {
  checkBelow,
  type Exclude,
  outside,
  type Selected,
  selectedEntries,
  type SelectedEntry,
  selectSources,
  SourceMissing,
} from '../keys/selection.js';
import type { ContentStore } from '../../store/index.js';
import type { CopyOp, CopySource } from '../plan/steps.js';

export interface SourceTree {
  readonly spec: CopySource;
  readonly tree: ImageTree;
  /** As a person knows it: `stage "build"`. */
  readonly where: string;
}

export interface CopyInput {
  readonly op: CopyOp;
  readonly target: ImageTree;
  readonly sources: readonly SourceTree[];
  /** `--chown`, looked up; undefined keeps the source's owners. */
  readonly owner?: Owner;
  /** Time of folders and files that have none of their own. */
  readonly timeSeconds: number;
  readonly content: ContentStore;
  /** Told about a pattern that selected nothing. */
  readonly warn: (message: string) => void;
  readonly signal: AbortSignal;
}

/**
 * The changes a COPY makes, in the order of layers.
 * @throws AppError BUILD_COPY_SOURCE_MISSING, BUILD_DESTINATION_INVALID, SYMLINK_LOOP
 */
export async function copyChanges(input: CopyInput): Promise<Iterable<Change>> {
  const copy = new Copy(input);
  await copy.run();
  return copy.tree.changeset();
}

/** Newest time of what is copied, in seconds; 0 when nothing is. */
export function newestSource(sources: readonly SourceTree[]): number {
  let newest = 0;
  for (const source of sources) {
    for (const match of select(source)) {
      if (match.entry !== undefined) newest = Math.max(newest, match.entry.mtimeSeconds);
      if (match.entry !== undefined && match.entry.type !== 'directory') continue;
      for (const { mtimeSeconds } of source.tree.walk(match.path)) newest = Math.max(newest, mtimeSeconds);
    }
  }
  return newest;
}

function select({ spec, tree, where }: SourceTree): readonly Selected[] {
  try {
    checkBelow(tree, spec);
    return selectSources(tree, spec.path, spec.literal);
  } catch (error) {
    throw error instanceof SourceMissing ? missingInTree(error, tree, where) : error;
  }
}

class Copy {
  readonly tree: ChangedTree;
  private readonly chmod: ReturnType<typeof parseChmod> | undefined;
  /** Attributes of folders on the way to the destination. */
  private readonly implied: FolderAttributes;
  /** The file that became the destination itself. */
  private onlyFile: string | undefined;
  private lastNode = 0;

  constructor(private readonly input: CopyInput) {
    const { op, owner, timeSeconds } = input;
    this.tree = new ChangedTree(input.target);
    this.chmod = op.mode === undefined ? undefined : parseChmod(op.mode);
    const octal = op.mode !== undefined && /^\d/.test(op.mode);
    const mode = octal ? (this.chmod?.apply(0o755, true) ?? 0o755) : 0o755;
    this.implied = { mode, mtimeSeconds: timeSeconds, ...(owner === undefined ? {} : { owner }) };
  }

  async run(): Promise<void> {
    const { op } = this.input;
    const selected = this.input.sources.map((source) => ({
      source,
      matches: select(source),
      exclude: outside(op.exclude, source.spec.below),
    }));
    for (const { source, matches, exclude } of selected) {
      const { spec, tree } = source;
      if (matches.length === 0) this.input.warn(`${spec.path} matches nothing`);
      for (const match of matches) {
        this.input.signal.throwIfAborted();
        if (!(spec.unpack && (await this.unpack(tree, match)))) await this.copy(tree, match, exclude);
      }
    }
    for (const file of op.inline) {
      const entry: LayerEntry = {
        path: file.name,
        type: 'file',
        mode: 0o644,
        ...ROOT,
        mtimeSeconds: this.input.timeSeconds,
        sizeBytes: Buffer.byteLength(file.content),
      };
      const path = this.filePlace(file.name);
      this.place(entry, path, { body: { kind: 'bytes', bytes: Buffer.from(file.content) } });
    }
  }

  private async copy(tree: ImageTree, source: Selected, exclude: Exclude | undefined): Promise<void> {
    if (source.entry === undefined || source.entry.type === 'directory') return this.copyFolder(tree, source, exclude);
    if (exclude?.(source.name) === true) return;
    const { inode } = source.entry;
    this.place(source.entry, this.filePlace(source.name), { body: { kind: 'tree', tree, inode } });
  }

  /**
   * Where a file of that name goes: into the destination if it is a folder, else it is the destination. BuildKit would
   * write a second file over the first.
   */
  private filePlace(name: string): string {
    const { destination } = this.input.op;
    const folder = destination.endsWith('/') ? destination : parentPath(destination);
    this.tree.makeFolders(folder, this.implied);
    const real = this.tree.resolve(destination);
    const isFolder = real === '' || this.tree.exact(real)?.type === 'directory';
    if (isFolder) return joinPath(real, name);
    if (this.onlyFile !== undefined) {
      throw new AppError(
        'BUILD_DESTINATION_INVALID',
        `${destination} cannot be both ${this.onlyFile} and ${name}: several files need a folder as destination`,
        { hint: `end the destination with a slash: ${destination}/` },
      );
    }
    this.onlyFile = name;
    return real;
  }

  private async copyFolder(tree: ImageTree, source: Selected, exclude: Exclude | undefined): Promise<void> {
    const destination = this.tree.makeFolders(this.input.op.destination, this.implied);
    this.touch(destination, source.entry);
    const nodes = new Map<number, number>();
    const copyOne = ({ entry, relative }: SelectedEntry): void => {
      if (relative === '') return;
      const path = joinPath(destination, relative);
      const standing = this.tree.exact(path);
      if (entry.type === 'directory' && standing !== undefined && standing.type !== 'directory') {
        throw notFolder(path, standing);
      }
      const body: Body = { kind: 'tree', tree, inode: entry.inode };
      this.place(entry, path, { body, node: this.nodeOf(tree, entry, nodes) }, standing);
    };
    await inTurns(selectedEntries(tree, source, exclude), copyOne, this.input.signal);
  }

  /** The same number for all names of a file. @param nodes of this copy, by inode */
  private nodeOf(tree: ImageTree, entry: TreeEntry, nodes: Map<number, number>): number {
    if (!tree.isLinked(entry)) return 0;
    const known = nodes.get(entry.inode) ?? ++this.lastNode;
    nodes.set(entry.inode, known);
    return known;
  }

  /** The destination takes the time of the folder that is copied into it, and nothing else. */
  private touch(destination: string, from: LayerEntry | undefined): void {
    const standing = destination === '' ? undefined : this.tree.exact(destination);
    if (standing === undefined || from === undefined) return;
    this.tree.put(copyEntry(standing, { mtimeSeconds: from.mtimeSeconds }));
  }

  private place(
    from: LayerEntry,
    path: string,
    { body, node = 0 }: ChangeOptions,
    standing = this.tree.exact(path),
  ): void {
    if (from.type !== 'directory' && standing?.type === 'directory') {
      throw new AppError('BUILD_DESTINATION_INVALID', `/${path} is a folder, and a ${from.type} cannot replace it`, {
        hint: `copy to another name, or remove it in a RUN step before`,
      });
    }
    const { owner } = this.input;
    const folder = from.type === 'directory';
    const mode = this.chmod === undefined || from.type === 'symlink' ? from.mode : this.chmod.apply(from.mode, folder);
    const { uid, gid } = owner ?? from;
    const entry = copyEntry(from, { uid, gid, path, mode });
    this.tree.put(entry, from.type === 'file' && body !== undefined ? { node, body } : { node });
  }

  /**
   * Unpacks a local tar into the destination folder, as docker's Untar does: what is in the way is replaced, folders
   * are merged, owners and times come from the archive. Only an entry replaces: `bin/x` alone goes where /bin leads to.
   * @returns false when the file is no archive
   */
  private async unpack(tree: ImageTree, source: Selected): Promise<boolean> {
    if (source.entry?.type !== 'file') return false;
    const archive = await openArchive(this.input.content, tree, source.entry, this.input.signal);
    if (archive === undefined) return false;
    const root = this.tree.makeFolders(this.input.op.destination, { ...this.implied, mode: 0o755 });
    const nodes = new Map<number, number>();
    const unpackOne = (entry: TreeEntry): void => {
      if (entry.type === 'directory' && !archive.described.has(entry.path)) return;
      const parent = this.tree.makeFolders(joinPath(root, parentPath(entry.path)), {
        mode: 0o755,
        owner: ROOT,
        mtimeSeconds: this.input.timeSeconds,
      });
      const path = joinPath(parent, baseName(entry.path));
      const standing = this.tree.exact(path);
      const merges = entry.type === 'directory' && standing?.type === 'directory';
      if (standing !== undefined && !merges) this.tree.drop(path);
      const node = this.nodeOf(archive.tree, entry, nodes);
      const { uid, gid } = this.input.owner ?? entry;
      const made = copyEntry(entry, { uid, gid, path });
      const body: Body = { kind: 'tree', tree: archive.tree, inode: entry.inode };
      this.tree.put(made, entry.type === 'file' ? { node, body } : { node });
    };
    await inTurns(archive.tree.walk(), unpackOne, this.input.signal);
    return true;
  }
}
