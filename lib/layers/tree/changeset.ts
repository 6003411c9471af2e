/**
 * Changeset rules, as containerd's change writer has them: every folder on the way to an entry stands before it, once;
 * of all extended attributes only `security.capability` is kept; times are clamped; the first path of a file is the
 * file and later ones are links.
 */
import { noBytes } from '../byte-stream.js';
import { copyEntry } from './copy-entry.js';
import { ancestors } from './path-name.js';
import type { LayerEntry, TarMember } from '../types.js';
import { isWhiteout, whiteoutFor } from './whiteout.js';

export interface ChangesetRules {
  /** No entry is dated later, in seconds (SOURCE_DATE_EPOCH). Whiteouts always have time 0. */
  readonly mtimeClamp?: number;
  /** Which extended attributes stay; only `security.capability` when absent. */
  readonly keepXattr?: (name: string) => boolean;
}

/** Where the folders on the way come from when the members do not bring them. */
export interface ParentSource {
  exact(path: string): LayerEntry | undefined;
}

/**
 * A changeset from members that are sorted by `comparePaths`: adds the missing parents, as `lower` has them (0755, root
 * where it does not), and applies the rules.
 */
export async function* completeChangeset(
  members: AsyncIterable<TarMember> | Iterable<TarMember>,
  lower: ParentSource,
  rules: ChangesetRules = {},
): AsyncGenerator<TarMember, void, undefined> {
  const parents = new ParentsOnce((path) => {
    const entry = lower.exact(path);
    return entry?.type === 'directory' ? copyEntry(entry) : impliedDirectory(path);
  });
  for await (const { entry, body } of members) {
    for (const parent of parents.before(entry)) yield { entry: applyRules(parent, rules), body: noBytes() };
    yield { entry: applyRules(entry, rules), body };
  }
}

/** The metadata of a folder that nothing describes. */
export function impliedDirectory(path: string): LayerEntry {
  return { path, type: 'directory', mode: 0o755, uid: 0, gid: 0, mtimeSeconds: 0, sizeBytes: 0 };
}

/** Says which folders must still be written before an entry. */
export class ParentsOnce {
  private readonly written = new Set<string>();

  constructor(private readonly describe: (path: string) => LayerEntry) {}

  before(entry: LayerEntry): LayerEntry[] {
    const missing = ancestors(entry.path).filter((path) => !this.written.has(path));
    for (const path of missing) this.written.add(path);
    if (entry.type === 'directory') this.written.add(entry.path);
    return missing.map((path) => this.describe(path));
  }
}

export function applyRules(entry: LayerEntry, rules: ChangesetRules): LayerEntry {
  const clamp = isWhiteout(entry.path) ? Infinity : (rules.mtimeClamp ?? Infinity);
  const { xattrs, mtimeSeconds } = entry;
  if (xattrs === undefined && mtimeSeconds <= clamp) return entry;
  const keep = rules.keepXattr ?? ((name: string): boolean => name === 'security.capability');
  // `trusted.` belongs to the machine: overlayfs keeps its own state there.
  const kept = new Map([...(xattrs ?? [])].filter(([name]) => !name.startsWith('trusted.') && keep(name)));
  return copyEntry(entry, { mtimeSeconds: Math.min(mtimeSeconds, clamp), xattrs: kept });
}

/** The mark for a path that is gone: an empty file of mode 0 and time 0. */
export function whiteoutMember(path: string): TarMember {
  const entry: LayerEntry = {
    path: whiteoutFor(path),
    type: 'file',
    mode: 0,
    uid: 0,
    gid: 0,
    mtimeSeconds: 0,
    sizeBytes: 0,
  };
  return { entry, body: noBytes() };
}
