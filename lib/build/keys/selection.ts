/**
 * What a source of COPY selects: `src/`, `*.json`, `/app/bin`. The rules are BuildKit's (fsutil/copy): links on the
 * way and at the end are followed, a pattern is matched against whole paths below its first wildcard, a matched folder
 * is not searched any further.
 */
import { crc32 } from 'node:zlib';
import { Glob, hasWildcards, IgnoreFile } from '../../dockerfile/index.js';
import { AppError } from '../../errors/index.js';
import { baseName, type ImageTree, isBelow, joinPath, type TreeEntry } from '../../layers/index.js';
import { inTurns } from '../in-turns.js';
import { type KeyPart, PartsHash } from './framing.js';
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
  const relativeOf = (each: TreeEntry): string => (path === '' ? each.path : each.path.slice(path.length + 1));
  if (exclude === undefined) {
    for (const each of tree.walk(path)) if (each.path !== path) yield { entry: each, relative: relativeOf(each) };
    return;
  }
  // A folder that is excluded comes back when something in it does not stay out (`!` patterns).
  let held: SelectedEntry[] = [];
  for (const each of tree.walk(path)) {
    if (each.path === path) continue;
    const relative = relativeOf(each);
    held = held.filter((folder) => isBelow(each.path, folder.entry.path));
    if (exclude(relative)) {
      if (each.type === 'directory') held.push({ entry: each, relative });
      continue;
    }
    yield* held;
    held = [];
    yield { entry: each, relative };
  }
}

/** Content hash (hex) of a file. */
export type HashOf = (file: TreeEntry) => string | undefined;

/** Finds the hashes of files, which may be asked for more than once. */
export type FileHashes = (files: Iterable<TreeEntry>) => Promise<HashOf>;

/** The path of a file, a sum of all that it was, and what of that a person can be told (`stateOf`). */
export type StepFile = readonly [path: string, sum: number, state: string];
/** What tells later which file changed, and how. */
export type StepFiles = Iterable<StepFile>;

export interface SelectionIdentity {
  /** Over names, types, modes, owners, links, attributes and contents; never over times. */
  readonly digest: string;
  /** Looked at anew whenever they are asked for. */
  readonly files: StepFiles;
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
  const sources = selectSources(tree, wanted.path, wanted.literal);
  const all = again(function* () {
    for (const [i, source] of sources.entries()) {
      for (const selected of selectedEntries(tree, source, out)) yield { source, selected, prefix: String(i) };
    }
  });
  const files = again(function* () {
    for (const { selected } of all) if (selected.entry.type === 'file') yield selected.entry;
  });
  const hashOf = await hashes(files);
  let count = 0;
  await inTurns(all, () => (count += 1));
  const sums = new Uint32Array(count);
  const hash = new PartsHash('wharf.selection.v1', count);
  let row = 0;
  const parts = partsOf(all, hashOf, (file) => sources.length > 1 || tree.isLinked(file));
  await inTurns(parts, (part) => {
    sums[row++] = crc32(part.value);
    hash.add(part);
  });
  return {
    digest: hash.digest(),
    files: again(function* () {
      let at = 0;
      for (const { selected } of all) yield [selected.entry.path, sums[at++] ?? 0, stateOf(selected.entry)] as const;
    }),
  };
}

/** `file 644`. What is copied out of a context belongs to nobody else than root. */
function stateOf({ type, mode }: TreeEntry): string {
  return `${type} ${mode.toString(8)}`;
}

/** How a file that is in both is not as it was, from the states of then and now. */
export function stateChange(before: string, now: string): string {
  const [type = '', mode = ''] = before.split(' ');
  const [newType = '', newMode = ''] = now.split(' ');
  if (type !== newType) return `${type} → ${newType}`;
  if (mode !== newMode) return `mode ${mode.padStart(4, '0')} → ${newMode.padStart(4, '0')}`;
  return newType === 'symlink' ? 'leads elsewhere' : newType === 'file' ? 'content changed' : 'changed';
}

interface SelectedOf {
  readonly source: Selected;
  readonly selected: SelectedEntry;
  readonly prefix: string;
}

/** @param mayComeAgain whether a file can be selected under another name too */
function* partsOf(
  all: Iterable<SelectedOf>,
  hashOf: HashOf,
  mayComeAgain: (file: TreeEntry) => boolean,
): Generator<KeyPart, void, undefined> {
  const first = new Map<number, string>();
  for (const { source, selected, prefix } of all) {
    const { entry, relative } = selected;
    // Of a selected folder only what is in it is copied.
    const own = relative === '' && entry.type === 'directory';
    const name = joinPath(prefix, relative === '' ? (own ? '' : source.name) : `/${relative}`);
    const comesAgain = entry.type === 'file' && mayComeAgain(entry);
    const known = comesAgain ? first.get(entry.inode) : undefined;
    if (comesAgain && known === undefined) first.set(entry.inode, name);
    const content = entry.type === 'file' ? hashOf(entry) : undefined;
    yield { name, value: own ? 'folder' : header(entry, content, known) };
  }
}

/** What a generator gives, as often as it is asked for. */
function again<T>(generate: () => Generator<T, void, undefined>): Iterable<T> {
  return { [Symbol.iterator]: generate };
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
