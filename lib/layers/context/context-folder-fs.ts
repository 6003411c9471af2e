/**
 * What of a folder goes into a build context: everything that no ignore file names, in one order, with modes and links
 * (hard ones too). The one place of that rule, for the command that uploads a folder and for the construct that makes
 * an asset of one; synchronous, because an asset has to be there when its constructor returns.
 */
import { type BigIntStats, lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { isAbsolute, join, relative, resolve } from 'node:path';
import { IgnoreFile, parseIgnore } from '../../dockerfile/index.js';
import { AppError, errnoCode } from '../../errors/index.js';
import { copyEntry } from '../tree/copy-entry.js';
import { comparePaths } from '../tree/path-name.js';
import type { LayerEntry } from '../types.js';

export interface FolderMember {
  /** Owned by 0:0, dated as on the disk. */
  readonly entry: LayerEntry;
  /** Where the content lies, when the entry has any. */
  readonly file: string;
  /** Of a file. */
  readonly stamp?: FileStamp;
}

/** What changes when a file does, as far as one can tell without reading it. */
export interface FileStamp {
  readonly sizeBytes: number;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly inode: bigint;
}

export interface ContextFolder {
  /** Path of the Dockerfile inside the context. */
  readonly dockerfile: string;
  /** Read while they are asked for; sorted by name, byte by byte. */
  readonly members: Iterable<FolderMember>;
}

export interface ContextFolderOptions {
  /** Relative to `cwd`; `Dockerfile` of the folder when absent. */
  readonly dockerfile?: string;
  /** There need be none: it comes from elsewhere, or the folder is not the main context. */
  readonly withoutDockerfile?: boolean;
  /** Patterns as in .dockerignore, applied after it. */
  readonly exclude?: readonly string[];
}

/** @throws AppError CONTEXT_NOT_FOUND, DOCKERFILE_NOT_FOUND, DOCKERFILE_PATTERN_INVALID */
export function openContextFolder(cwd: string, folder: string, options: ContextFolderOptions = {}): ContextFolder {
  const root = resolve(cwd, folder);
  if (statsOf(root)?.isDirectory() !== true) {
    throw new AppError('CONTEXT_NOT_FOUND', `the context ${folder} is not a folder`, { hint: 'wharf build <folder>' });
  }
  const { dockerfile } = options;
  const path = dockerfile === undefined ? 'Dockerfile' : relative(root, resolve(cwd, dockerfile));
  const isOutside = path === '' || path === '..' || path.startsWith('../') || isAbsolute(path);
  if (options.withoutDockerfile !== true && (isOutside || statsOf(join(root, path)) === undefined)) {
    throw new AppError('DOCKERFILE_NOT_FOUND', `there is no ${dockerfile ?? 'Dockerfile'} in ${folder}`, {
      hint: 'a Dockerfile inside the context; --file names another',
    });
  }
  const ignore = readIgnore(root, path, options.exclude ?? []);
  const selection = new Selection(ignore, [path, '.dockerignore', `${path}.dockerignore`]);
  return { dockerfile: path, members: { [Symbol.iterator]: () => walk(root, '', selection.fresh()) } };
}

/** What goes along: everything that is not ignored, and the Dockerfile and ignore files in any case. */
class Selection {
  private readonly linked = new Map<string, string>();

  constructor(
    private readonly ignore: IgnoreFile,
    private readonly always: readonly string[],
  ) {}

  fresh(): Selection {
    return new Selection(this.ignore, this.always);
  }

  has(path: string): boolean {
    return this.always.includes(path) || !this.ignore.ignores(path);
  }

  /** The member, or a hard link where the same file goes along by another name already. */
  once(member: FolderMember, { dev, ino, nlink }: BigIntStats): FolderMember {
    const { entry } = member;
    if (entry.type !== 'file' || nlink < 2n) return member;
    const inode = `${dev}:${ino}`;
    const linkTarget = this.linked.get(inode);
    if (linkTarget !== undefined) {
      return { file: member.file, entry: copyEntry(entry, { type: 'hardlink', sizeBytes: 0, linkTarget }) };
    }
    this.linked.set(inode, entry.path);
    return member;
  }

  mayContain(folder: string): boolean {
    return this.ignore.mayContain(folder) || this.always.some((path) => path.startsWith(`${folder}/`));
  }
}

/** `<Dockerfile>.dockerignore` goes before `.dockerignore`, as with BuildKit. */
function readIgnore(root: string, dockerfile: string, exclude: readonly string[]): IgnoreFile {
  for (const name of [`${dockerfile}.dockerignore`, '.dockerignore']) {
    const text = orAbsent(() => readFileSync(join(root, name), 'utf8'));
    if (text !== undefined) return new IgnoreFile([...parseIgnore(text).patterns, ...exclude]);
  }
  return new IgnoreFile(exclude);
}

/** @param pending ignored folders above, which come along as soon as something in them does */
function* walk(
  root: string,
  folder: string,
  selection: Selection,
  pending: readonly FolderMember[] = [],
): Generator<FolderMember, void> {
  let waiting = pending;
  for (const name of readdirSync(`${root}/${folder}`).sort(comparePaths)) {
    const path = folder === '' ? name : `${folder}/${name}`;
    // Names as the system gives them need no clean-up, which would take longer than the question itself.
    const file = `${root}/${path}`;
    const stats = statsOf(file);
    if (stats === undefined) continue;
    const isFolder = stats.isDirectory();
    const member = memberOf(file, path, stats);
    if (member !== undefined && selection.has(path)) {
      yield* waiting;
      waiting = [];
      yield selection.once(member, stats);
      if (isFolder) yield* walk(root, path, selection);
    } else if (member !== undefined && isFolder && selection.mayContain(path)) {
      for (const inner of walk(root, path, selection, [...waiting, member])) {
        waiting = [];
        yield inner;
      }
    }
  }
}

/** Nothing for sockets, pipes and devices: they have no place in an image context. */
function memberOf(file: string, path: string, stats: BigIntStats): FolderMember | undefined {
  if (stats.isFile()) {
    const sizeBytes = Number(stats.size);
    const { mtimeNs, ctimeNs, ino: inode } = stats;
    const stamp = { sizeBytes, mtimeNs, ctimeNs, inode };
    return { file, entry: entryOf(path, stats, 'file', sizeBytes), stamp };
  }
  if (stats.isSymbolicLink()) {
    return { file, entry: copyEntry(entryOf(path, stats, 'symlink'), { linkTarget: readlinkSync(file) }) };
  }
  return stats.isDirectory() ? { file, entry: entryOf(path, stats, 'directory') } : undefined;
}

function entryOf(path: string, stats: BigIntStats, type: LayerEntry['type'], sizeBytes = 0): LayerEntry {
  return {
    path,
    type,
    mode: type === 'symlink' ? 0o777 : Number(stats.mode) & 0o7777,
    uid: 0,
    gid: 0,
    mtimeSeconds: secondsOf(stats.mtimeNs),
    sizeBytes,
  };
}

const SECOND_NS = 1_000_000_000n;

/** Cut downward, also before 1970. */
function secondsOf(ns: bigint): number {
  const seconds = Number(ns / SECOND_NS);
  return ns < 0n && ns % SECOND_NS !== 0n ? seconds - 1 : seconds;
}

function statsOf(path: string): BigIntStats | undefined {
  return orAbsent(() => lstatSync(path, { bigint: true }));
}

function orAbsent<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (errnoCode(error) === 'ENOENT' || errnoCode(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}
