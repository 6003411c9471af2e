/**
 * What of a folder goes into a build context: everything that no ignore file names, in one order, with modes and links
 * (hard ones too). The one place of that rule, for the command that uploads a folder and for the construct that makes
 * an asset of one; synchronous, because an asset has to be there when its constructor returns.
 */
import { type BigIntStats, constants, lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { isAbsolute, join, relative, resolve } from 'node:path';
import { dockerfileNames, IgnoreFile, parseIgnore } from '../../dockerfile/index.js';
import { AppError, errnoCode } from '../../errors/index.js';
import { comparePaths } from '../tree/path-name.js';
import { FolderState } from './folder-state.js';

export interface ContextFolder {
  /** Path of the Dockerfile inside the context. */
  readonly dockerfile: string;
  /** Reads the folder; sorted by name, byte by byte. @throws AppError CONTEXT_NAME_INVALID */
  readonly look: () => FolderState;
}

export interface ContextFolderOptions {
  /** Relative to `cwd`; `Dockerfile` of the folder when absent. */
  readonly dockerfile?: string;
  /** There need be none: it comes from elsewhere, or the folder is not the main context. */
  readonly withoutDockerfile?: boolean;
  /** A context beside the main one: a Dockerfile and an ignore file in it are files like others. */
  readonly isNamed?: boolean;
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
  const wanted = dockerfile === undefined ? 'Dockerfile' : relative(root, resolve(cwd, dockerfile));
  const path = dockerfileNames(wanted).find((name) => statsOf(join(root, name)) !== undefined) ?? wanted;
  const isOutside = path === '' || path === '..' || path.startsWith('../') || isAbsolute(path);
  const needed = options.withoutDockerfile !== true && options.isNamed !== true;
  if (needed && (isOutside || statsOf(join(root, path)) === undefined)) {
    throw new AppError('DOCKERFILE_NOT_FOUND', `there is no ${dockerfile ?? 'Dockerfile'} in ${folder}`, {
      hint: 'a Dockerfile inside the context; --file names another',
    });
  }
  const ignores = options.isNamed === true ? ['.dockerignore'] : [`${path}.dockerignore`, '.dockerignore'];
  const ignore = readIgnore(root, ignores, options.exclude ?? []);
  const always = options.isNamed === true ? [] : [path, ...ignores];
  return { dockerfile: path, look: () => new Walk(root, ignore, always).look() };
}

/** `<Dockerfile>.dockerignore` goes before `.dockerignore`, as with BuildKit. */
function readIgnore(root: string, names: readonly string[], exclude: readonly string[]): IgnoreFile {
  for (const name of names) {
    const text = orAbsent(() => readFileSync(join(root, name), 'utf8'));
    if (text !== undefined) return new IgnoreFile([...parseIgnore(text, name).patterns, ...exclude]);
  }
  return new IgnoreFile(exclude);
}

/** A folder on the way. */
interface Place {
  readonly path: string;
  /** Of an ignored folder undefined, until something in it goes along: then it does too. */
  number: number | undefined;
  readonly above?: { readonly place: Place; readonly name: string; readonly stats: BigIntStats };
}

/** What goes along: everything that is not ignored, and the Dockerfile and ignore files in any case. */
class Walk {
  private readonly state: FolderState;
  private readonly takesAll: boolean;
  /** Files that have other names: the first of them. */
  private readonly linked = new Map<string, string>();

  constructor(
    private readonly root: string,
    private readonly ignore: IgnoreFile,
    private readonly always: readonly string[],
  ) {
    this.state = new FolderState(root);
    this.takesAll = ignore.patterns.length === 0;
  }

  look(): FolderState {
    this.enter({ path: '', number: -1 });
    return this.state;
  }

  private enter(place: Place): void {
    const prefix = place.path === '' ? '' : `${place.path}/`;
    for (const name of readdirSync(`${this.root}/${place.path}`).sort(comparePaths)) {
      const path = prefix + name;
      // Names as the system gives them need no clean-up, which would take longer than the question itself.
      const stats = statsOf(`${this.root}/${path}`);
      if (stats === undefined) {
        this.checkName(name, path);
        continue;
      }
      const kind = Number(stats.mode) & constants.S_IFMT;
      const isFolder = kind === constants.S_IFDIR;
      if (this.takesAll || this.has(path)) {
        const number = this.add(place, name, path, kind, stats);
        if (isFolder) this.enter({ path, number });
      } else if (isFolder && this.mayContain(path)) {
        this.enter({ path, number: undefined, above: { place, name, stats } });
      }
    }
  }

  /** Of a name that is not there any more: Node gives those that are no text another letter, and finds nothing by it. */
  private checkName(name: string, path: string): void {
    if (!name.includes('\ufffd') || !(this.takesAll || this.has(path))) return;
    throw new AppError('CONTEXT_NAME_INVALID', `${JSON.stringify(path)} in the context has a name that is not UTF-8`, {
      hint: 'another name, or a pattern in .dockerignore that leaves it out',
    });
  }

  /** Nothing for sockets, pipes and devices: they have no place in an image context. */
  private add(place: Place, name: string, path: string, kind: number, stats: BigIntStats): number | undefined {
    switch (kind) {
      case constants.S_IFREG: {
        const first = stats.nlink < 2n ? undefined : this.firstName(path, stats);
        return this.state.add(this.numberOf(place), name, first === undefined ? 'file' : 'hardlink', stats, first);
      }
      case constants.S_IFLNK:
        return this.state.add(this.numberOf(place), name, 'symlink', stats, readlinkSync(`${this.root}/${path}`));
      case constants.S_IFDIR:
        return this.state.add(this.numberOf(place), name, 'directory', stats);
      default:
        return undefined;
    }
  }

  private numberOf(place: Place): number {
    const { number, above } = place;
    if (number !== undefined) return number;
    if (above === undefined) return -1;
    place.number = this.state.add(this.numberOf(above.place), above.name, 'directory', above.stats);
    return place.number;
  }

  /** Where the same file goes along by another name already. */
  private firstName(path: string, { dev, ino }: BigIntStats): string | undefined {
    const inode = `${dev}:${ino}`;
    const first = this.linked.get(inode);
    if (first === undefined) this.linked.set(inode, path);
    return first;
  }

  private has(path: string): boolean {
    return this.always.includes(path) || !this.ignore.ignoresClean(path);
  }

  private mayContain(folder: string): boolean {
    return this.ignore.mayContain(folder) || this.always.some((path) => path.startsWith(`${folder}/`));
  }
}

const BIGINT = { bigint: true } as const;

function statsOf(path: string): BigIntStats | undefined {
  try {
    return lstatSync(path, BIGINT);
  } catch (error) {
    return absent(error);
  }
}

function orAbsent<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    return absent(error);
  }
}

/** @throws what else went wrong */
function absent(error: unknown): undefined {
  if (errnoCode(error) === 'ENOENT' || errnoCode(error) === 'ENOTDIR') return undefined;
  throw error;
}
