/**
 * A folder as a build context: a tar made while it is read, without what .dockerignore names. Modes and links
 * (hard ones too) are kept, owners are not (0:0), and names are sorted, so the same folder gives the same bytes.
 */
import { createReadStream, type Stats } from 'node:fs';
import { lstat, readdir, readFile, readlink } from 'node:fs/promises';
import { isAbsolute, join, relative, resolve } from 'node:path';
import { type IgnoreFile, parseIgnore } from '../dockerfile/index.js';
import { AppError, errnoCode } from '../errors/index.js';
import { type LayerEntry, type TarMember, writeTar } from '../layers/index.js';

export interface PackedContext {
  readonly tar: AsyncIterable<Uint8Array>;
  /** Path of the Dockerfile inside the context. */
  readonly dockerfile: string;
}

/**
 * @param dockerfile as given on the command line, relative to `cwd`; `Dockerfile` of the folder when absent
 * @throws AppError CONTEXT_NOT_FOUND, DOCKERFILE_NOT_FOUND
 */
export async function packContext(cwd: string, folder: string, dockerfile?: string): Promise<PackedContext> {
  const root = resolve(cwd, folder);
  const isFolder = await lstat(root).then((stats) => stats.isDirectory(), absentIsUndefined);
  if (isFolder !== true) {
    throw new AppError('CONTEXT_NOT_FOUND', `the context ${folder} is not a folder`, { hint: 'wharf build <folder>' });
  }
  const path = dockerfile === undefined ? 'Dockerfile' : relative(root, resolve(cwd, dockerfile));
  const isOutside = path === '' || path === '..' || path.startsWith('../') || isAbsolute(path);
  if (isOutside || (await lstat(join(root, path)).catch(absentIsUndefined)) === undefined) {
    throw new AppError('DOCKERFILE_NOT_FOUND', `there is no ${dockerfile ?? 'Dockerfile'} in ${folder}`, {
      hint: 'a Dockerfile inside the context; --file names another',
    });
  }
  const ignore = await readIgnore(root, path);
  const selection = new Selection(ignore, [path, '.dockerignore', `${path}.dockerignore`]);
  return { tar: writeTar(walk(root, '', selection)), dockerfile: path };
}

/** What goes along: everything that is not ignored, and the Dockerfile and ignore files in any case. */
class Selection {
  private readonly linked = new Map<string, string>();

  constructor(
    private readonly ignore: IgnoreFile,
    private readonly always: readonly string[],
  ) {}

  has(path: string): boolean {
    return this.always.includes(path) || !this.ignore.ignores(path);
  }

  /** The member, or a hard link where the same file goes along by another name already. */
  once(member: TarMember, { dev, ino, nlink }: Stats): TarMember {
    const { entry } = member;
    if (entry.type !== 'file' || nlink < 2) return member;
    const file = `${dev}:${ino}`;
    const linkTarget = this.linked.get(file);
    if (linkTarget !== undefined) {
      return { entry: { ...entry, type: 'hardlink', sizeBytes: 0, linkTarget }, body: nothing() };
    }
    this.linked.set(file, entry.path);
    return member;
  }

  mayContain(folder: string): boolean {
    return this.ignore.mayContain(folder) || this.always.some((path) => path.startsWith(`${folder}/`));
  }
}

/** `<Dockerfile>.dockerignore` goes before `.dockerignore`, as with BuildKit. */
async function readIgnore(root: string, dockerfile: string): Promise<IgnoreFile> {
  for (const name of [`${dockerfile}.dockerignore`, '.dockerignore']) {
    const text = await readFile(join(root, name), 'utf8').catch(absentIsUndefined);
    if (text !== undefined) return parseIgnore(text);
  }
  return parseIgnore('');
}

/** @param pending ignored folders above, which come along as soon as something in them does */
async function* walk(
  root: string,
  folder: string,
  selection: Selection,
  pending: readonly TarMember[] = [],
): AsyncGenerator<TarMember, void> {
  let waiting = pending;
  const names = (await readdir(join(root, folder))).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  for (const name of names) {
    const path = folder === '' ? name : `${folder}/${name}`;
    const stats = await lstat(join(root, path)).catch(absentIsUndefined);
    if (stats === undefined) continue;
    const isFolder = stats.isDirectory();
    const member = await memberOf(join(root, path), path, stats);
    if (member !== undefined && selection.has(path)) {
      yield* waiting;
      waiting = [];
      yield selection.once(member, stats);
      if (isFolder) yield* walk(root, path, selection);
    } else if (member !== undefined && isFolder && selection.mayContain(path)) {
      for await (const inner of walk(root, path, selection, [...waiting, member])) {
        waiting = [];
        yield inner;
      }
    }
  }
}

/** Nothing for sockets, pipes and devices: they have no place in an image context. */
async function memberOf(full: string, path: string, stats: Stats): Promise<TarMember | undefined> {
  if (stats.isSymbolicLink()) {
    return { entry: { ...entryOf(path, stats, 'symlink'), linkTarget: await readlink(full) }, body: nothing() };
  }
  if (stats.isDirectory()) return { entry: entryOf(path, stats, 'directory'), body: nothing() };
  if (!stats.isFile()) return undefined;
  const entry = { ...entryOf(path, stats, 'file'), sizeBytes: stats.size };
  return { entry, body: stats.size === 0 ? nothing() : contentOf(full, stats.size) };
}

/** As many bytes as there were when the folder was read, should the file grow meanwhile. Opened only when it is read. */
async function* contentOf(path: string, sizeBytes: number): AsyncIterable<Uint8Array> {
  yield* createReadStream(path, { end: sizeBytes - 1 });
}

function entryOf(path: string, stats: Stats, type: LayerEntry['type']): LayerEntry {
  return {
    path,
    type,
    mode: type === 'symlink' ? 0o777 : stats.mode & 0o7777,
    uid: 0,
    gid: 0,
    mtimeSeconds: Math.floor(stats.mtimeMs / 1000),
    sizeBytes: 0,
  };
}

async function* nothing(): AsyncIterable<Uint8Array> {}

function absentIsUndefined(error: unknown): undefined {
  if (errnoCode(error) === 'ENOENT' || errnoCode(error) === 'ENOTDIR') return undefined;
  throw error;
}
