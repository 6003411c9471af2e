/**
 * COPY and ADD, in process: which entries go where, decided on trees, then streamed into a layer. Semantics are those
 * of BuildKit's file operations (fsutil/copy, solver/llbsolver/file): a folder's content is copied, never the folder;
 * folders that exist keep their own mode and owner at the destination itself and take the source's below it; links in
 * the destination are resolved inside the image; a file is never copied over a folder.
 */
import { createHash } from 'node:crypto';
import { AppError } from '../../errors/index.js';
import { parseChmod } from '../../dockerfile/index.js';
import {
  baseName,
  copyEntry,
  type ImageTree,
  joinPath,
  type LayerEntry,
  parentPath,
  type TarMember,
  type TreeEntry,
} from '../../layers/index.js';
import { openArchive } from './archive.js';
import { type Attributes, type Body, type Change, ChangedTree, notFolder } from './changed-tree.js';
import { type Owner, ROOT } from './owners.js';
import { missingInTree } from './missing-source.js';
import {
  checkBelow,
  type Exclude,
  outside,
  type Selected,
  selectedEntries,
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
export async function copyChanges(input: CopyInput): Promise<readonly Change[]> {
  const copy = new Copy(input);
  await copy.run();
  return copy.tree.changeset();
}

/**
 * The changes with their contents. Bodies of one tree are asked for in the order they are needed.
 * @param hashed trees whose files are not hashed yet @param hashes gets their SHA-256 (hex), by inode in the source
 */
export async function* changeMembers(
  changes: readonly Change[],
  hashed: ReadonlySet<ImageTree>,
  hashes: Map<string, string>,
): AsyncGenerator<TarMember, void, undefined> {
  const wanted = new Map<ImageTree, TreeEntry[]>();
  for (const { entry, body } of changes) {
    if (body?.kind !== 'tree' || entry.type !== 'file') continue;
    const entries = wanted.get(body.tree);
    if (entries === undefined) wanted.set(body.tree, [body.entry]);
    else entries.push(body.entry);
  }
  const readers = new Map([...wanted].map(([tree, entries]) => [tree, tree.readMembers(entries)]));
  try {
    for (const { entry, body } of changes) {
      if (entry.type !== 'file' || body === undefined) yield { entry, body: bytes(new Uint8Array()) };
      else if (body.kind === 'bytes') yield { entry, body: bytes(body.bytes) };
      else {
        const next = await readers.get(body.tree)?.next();
        if (next === undefined || next.done === true) throw new AppError('INTERNAL', 'a file to copy got lost');
        const { inode } = body.entry;
        const isHashed = hashed.has(body.tree);
        // The body of an empty file is never asked for.
        if (isHashed && entry.sizeBytes === 0) hashes.set(inode, EMPTY_HASH);
        yield { entry, body: isHashed ? hashing(next.value.body, inode, hashes) : next.value.body };
      }
    }
  } finally {
    for (const reader of readers.values()) await reader.return();
  }
}

const EMPTY_HASH = createHash('sha256').digest('hex');

async function* hashing(
  source: AsyncIterable<Uint8Array>,
  inode: string,
  hashes: Map<string, string>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const hash = createHash('sha256');
  for await (const chunk of source) {
    hash.update(chunk);
    yield chunk;
  }
  hashes.set(inode, hash.digest('hex'));
}

async function* bytes(content: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  if (content.length > 0) yield content;
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
  private readonly implied: Attributes;
  /** The file that became the destination itself. */
  private onlyFile: string | undefined;

  constructor(private readonly input: CopyInput) {
    const { op, owner = ROOT, timeSeconds } = input;
    this.tree = new ChangedTree(input.target);
    this.chmod = op.mode === undefined ? undefined : parseChmod(op.mode);
    const octal = op.mode !== undefined && /^\d/.test(op.mode);
    const mode = octal ? (this.chmod?.apply(0o755, true) ?? 0o755) : 0o755;
    this.implied = { mode, uid: owner.uid, gid: owner.gid, mtimeSeconds: timeSeconds };
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
        if (!(spec.unpack && (await this.unpack(tree, match)))) this.copy(tree, match, exclude);
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
      this.place(entry, path, { kind: 'bytes', bytes: Buffer.from(file.content) }, {});
    }
  }

  private copy(tree: ImageTree, source: Selected, exclude: Exclude | undefined): void {
    if (source.entry === undefined || source.entry.type === 'directory') return this.copyFolder(tree, source, exclude);
    if (exclude?.(source.name) === true) return;
    const body: Body = { kind: 'tree', tree, entry: source.entry };
    this.place(source.entry, this.filePlace(source.name), body, {});
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
    const isFolder = real === '' || this.tree.exact(real)?.entry.type === 'directory';
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

  private copyFolder(tree: ImageTree, source: Selected, exclude: Exclude | undefined): void {
    const destination = this.tree.makeFolders(this.input.op.destination, this.implied);
    this.touch(destination, source.entry);
    const nodes = new Map<string, object>();
    for (const { entry, relative } of selectedEntries(tree, source, exclude)) {
      if (relative === '') continue;
      const path = joinPath(destination, relative);
      const node = nodes.get(entry.inode) ?? {};
      nodes.set(entry.inode, node);
      const standing = this.tree.exact(path);
      if (entry.type === 'directory' && standing !== undefined && standing.entry.type !== 'directory') {
        throw notFolder(path, standing.entry);
      }
      this.place(entry, path, { kind: 'tree', tree, entry }, node);
    }
  }

  /** The destination takes the time of the folder that is copied into it, and nothing else. */
  private touch(destination: string, from: LayerEntry | undefined): void {
    const standing = destination === '' ? undefined : this.tree.exact(destination);
    if (standing === undefined || from === undefined) return;
    this.tree.put(copyEntry(standing.entry, { mtimeSeconds: from.mtimeSeconds }));
  }

  private place(from: LayerEntry, path: string, body: Body, node: object): void {
    const standing = this.tree.exact(path);
    if (from.type !== 'directory' && standing?.entry.type === 'directory') {
      throw new AppError('BUILD_DESTINATION_INVALID', `/${path} is a folder, and a ${from.type} cannot replace it`, {
        hint: `copy to another name, or remove it in a RUN step before`,
      });
    }
    const { owner } = this.input;
    const folder = from.type === 'directory';
    const mode = this.chmod === undefined || from.type === 'symlink' ? from.mode : this.chmod.apply(from.mode, folder);
    const { uid, gid } = owner ?? from;
    const entry = copyEntry(from, { uid, gid, path, mode });
    this.tree.put(entry, { node, ...(from.type === 'file' ? { body } : {}) });
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
    const nodes = new Map<string, object>();
    for (const entry of archive.tree.walk()) {
      if (!archive.described.has(entry.path)) continue;
      const parent = this.tree.makeFolders(joinPath(root, parentPath(entry.path)), {
        mode: 0o755,
        ...ROOT,
        mtimeSeconds: this.input.timeSeconds,
      });
      const path = joinPath(parent, baseName(entry.path));
      const standing = this.tree.exact(path);
      const merges = entry.type === 'directory' && standing?.entry.type === 'directory';
      if (standing !== undefined && !merges) this.tree.drop(path);
      const node = nodes.get(entry.inode) ?? {};
      nodes.set(entry.inode, node);
      const { uid, gid } = this.input.owner ?? entry;
      const made = copyEntry(entry, { uid, gid, path });
      this.tree.put(made, {
        node,
        ...(entry.type === 'file' ? { body: { kind: 'tree', tree: archive.tree, entry } } : {}),
      });
    }
    return true;
  }
}
