/**
 * What a source of COPY selects: `src/`, `*.json`, `/app/bin`. The rules are BuildKit's (fsutil/copy): links on the
 * way and at the end are followed, a pattern is matched against whole paths below its first wildcard, a matched folder
 * is not searched any further.
 */
import { Glob, hasWildcards, IgnoreFile } from '../../dockerfile/index.js';
import { AppError } from '../../errors/index.js';
import { baseName, type ImageTree, isBelow, joinPath, type TreeEntry } from '../../layers/index.js';
import { hashParts, type KeyPart } from './framing.js';
import { cleanPath } from '../plan/path-names.js';
import type { CopySource } from '../plan/steps.js';

export interface Selected {
  /** The entry itself, links resolved; `path` is its real place. Absent for the root of the tree. */
  readonly entry: TreeEntry | undefined;
  /** Real path; empty for the root. */
  readonly path: string;
  /** Name it gets inside a destination folder. */
  readonly name: string;
}

/** Says whether a path, relative to the source, is excluded. */
export type Exclude = (path: string) => boolean;

/** A source that is not there; the caller adds the place and what it knows. */
export class SourceMissing extends AppError {
  constructor(readonly source: string) {
    super('BUILD_COPY_SOURCE_MISSING', `${JSON.stringify(source)} is not there`, { kind: 'not-found' });
  }
}

/**
 * @param literal the pattern is a name as it stands
 * @throws SourceMissing; a pattern that matches nothing selects nothing, as in docker
 */
export function selectSources(tree: ImageTree, pattern: string, literal = false): readonly Selected[] {
  const parts = cleanPath(pattern).slice(1).split('/');
  const wild = literal ? -1 : parts.findIndex(hasWildcards);
  if (wild < 0) return [select(tree, parts.join('/'), pattern)];
  const folder = parts.slice(0, wild).join('/');
  if (tree.lookup(folder) === undefined && folder !== '') throw new SourceMissing(pattern);
  const base = tree.resolve(folder);
  const glob = Glob.compile(parts.slice(wild).join('/'));
  const selected: Selected[] = [];
  let skipped: string | undefined;
  for (const entry of tree.walk(base)) {
    if (entry.path === base || (skipped !== undefined && isBelow(entry.path, skipped))) continue;
    const relative = base === '' ? entry.path : entry.path.slice(base.length + 1);
    if (!glob.matches(relative)) continue;
    selected.push(select(tree, entry.path, pattern));
    if (entry.type === 'directory') skipped = entry.path;
  }
  return selected;
}

function select(tree: ImageTree, path: string, pattern: string): Selected {
  const real = tree.resolve(path);
  if (real === '') return { entry: undefined, path: '', name: '' };
  const entry = tree.exact(real);
  if (entry === undefined) throw new SourceMissing(pattern);
  return { entry, path: real, name: baseName(path) };
}

/**
 * What stays out of a copy: what `--exclude` names and, with `--parents`, what its pattern does not. A pattern that
 * matches a folder takes all of it (moby's patternmatcher).
 */
export function outside(exclude: readonly string[], below?: string): Exclude | undefined {
  const excluded = exclude.length === 0 ? undefined : new IgnoreFile(exclude);
  const wanted = below === undefined || below === '' ? undefined : new IgnoreFile([below]);
  if (excluded === undefined && wanted === undefined) return undefined;
  return (path) => excluded?.ignores(path) === true || wanted?.ignores(path) === false;
}

/** @throws SourceMissing when what `--parents` names without a pattern is not there */
export function checkBelow(tree: ImageTree, { path, below }: Pick<CopySource, 'path' | 'below'>): void {
  if (below === undefined || hasWildcards(path) || hasWildcards(below)) return;
  const whole = joinPath(cleanPath(path).slice(1), below);
  if (whole !== '' && tree.lookup(whole, { followLast: false }) === undefined) throw new SourceMissing(`/${whole}`);
}

export interface SelectedEntry {
  readonly entry: TreeEntry;
  /** Below the selected folder; empty for the selected file or folder itself. */
  readonly relative: string;
}

/** The entries of one selected source that are not excluded, in the order of layers; a folder's own entry comes first. */
export function* selectedEntries(tree: ImageTree, source: Selected, exclude?: Exclude): Generator<SelectedEntry> {
  const { entry, path } = source;
  if (entry !== undefined && entry.type !== 'directory') {
    if (exclude?.(source.name) !== true) yield { entry, relative: '' };
    return;
  }
  if (entry !== undefined) yield { entry, relative: '' };
  // A folder that is excluded comes back when something in it does not stay out (`!` patterns).
  let held: SelectedEntry[] = [];
  for (const each of tree.walk(path)) {
    if (each.path === path) continue;
    const relative = path === '' ? each.path : each.path.slice(path.length + 1);
    held = held.filter((folder) => isBelow(each.path, folder.entry.path));
    if (exclude?.(relative) === true) {
      if (each.type === 'directory') held.push({ entry: each, relative });
      continue;
    }
    yield* held;
    held = [];
    yield { entry: each, relative };
  }
}

/** Content hash (hex) of each file, by inode. */
export type FileHashes = (files: readonly TreeEntry[]) => Promise<ReadonlyMap<string, string>>;

export interface SelectionIdentity {
  /** Over names, types, modes, owners, links, attributes and contents; never over times. */
  readonly digest: string;
  /** Short identity of every entry, by path: tells later which file changed. */
  readonly entries: ReadonlyMap<string, string>;
}

/** Identity of what a source selects. @throws SourceMissing */
export async function identify(
  tree: ImageTree,
  wanted: Pick<CopySource, 'path' | 'literal' | 'below'>,
  exclude: readonly string[],
  hashes: FileHashes,
): Promise<SelectionIdentity> {
  checkBelow(tree, wanted);
  const out = outside(exclude, wanted.below);
  const all = selectSources(tree, wanted.path, wanted.literal).flatMap((source, i) =>
    [...selectedEntries(tree, source, out)].map((selected) => ({ source, selected, prefix: String(i) })),
  );
  const files = all.map(({ selected }) => selected.entry).filter((entry) => entry.type === 'file');
  const contents = await hashes(files);
  const first = new Map<string, string>();
  const parts: KeyPart[] = [];
  const entries = new Map<string, string>();
  for (const { source, selected, prefix } of all) {
    const { entry, relative } = selected;
    // Of a selected folder only what is in it is copied.
    const own = relative === '' && entry.type === 'directory';
    const name = joinPath(prefix, relative === '' ? (own ? '' : source.name) : `/${relative}`);
    const known = entry.type === 'file' ? first.get(entry.inode) : undefined;
    if (known === undefined) first.set(entry.inode, name);
    const value = own ? 'folder' : header(entry, contents.get(entry.inode), known);
    parts.push({ name, value });
    entries.set(entry.path, value);
  }
  return { digest: hashParts('wharf.selection.v1', parts), entries };
}

function header(entry: TreeEntry, content: string | undefined, sameAs: string | undefined): string {
  const xattrs = [...(entry.xattrs ?? [])].map(([name, value]) => `${name}=${Buffer.from(value).toString('hex')}`);
  xattrs.sort((a, b) => (a < b ? -1 : 1));
  const { type, mode, uid, gid, linkTarget, device } = entry;
  return JSON.stringify([
    type,
    mode.toString(8),
    uid,
    gid,
    content ?? linkTarget ?? (device === undefined ? '' : `${device.major}:${device.minor}`),
    ...(xattrs.length === 0 && sameAs === undefined ? [] : [xattrs]),
    ...(sameAs === undefined ? [] : [`same file as ${sameAs}`]),
  ]);
}
