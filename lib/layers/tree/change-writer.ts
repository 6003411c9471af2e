/**
 * Changes of a tree, one after the other, as members of a changeset (containerd's change writer): missing parents come
 * first, the first changed path of a file is the file and its other names are links to it.
 */
import { noBytes } from '../byte-stream.js';
import { copyEntry } from './copy-entry.js';
import { applyRules, type ChangesetRules, ParentsOnce, whiteoutMember } from './changeset.js';
import type { LayerEntry, TarMember } from '../types.js';

/** What a linked file is known by: its inode, when it has several names. */
export type LinkedInode = string | undefined;

export class ChangeWriter {
  private readonly parents: ParentsOnce;
  /** The first written path of each linked file. */
  private readonly firstPath = new Map<string, string>();
  /** Names of linked files that are unchanged themselves, until another name of the file changes. */
  private readonly unchanged = new Map<string, LayerEntry[]>();

  /** @param describe the metadata of a folder on the way to a change */
  constructor(
    describe: (path: string) => LayerEntry,
    private readonly rules: ChangesetRules,
  ) {
    this.parents = new ParentsOnce(describe);
  }

  *removed(path: string): Generator<TarMember> {
    yield* this.write(whiteoutMember(path));
  }

  *changed(member: TarMember, inode: LinkedInode): Generator<TarMember> {
    const { entry } = member;
    const first = inode === undefined ? undefined : this.firstPath.get(inode);
    if (first !== undefined) {
      yield* this.link(entry, first);
      return;
    }
    yield* this.write(member);
    if (inode === undefined) return;
    this.firstPath.set(inode, entry.path);
    for (const name of this.unchanged.get(inode) ?? [])
      yield* this.link(copyEntry(entry, { path: name.path }), entry.path);
    this.unchanged.delete(inode);
  }

  /**
   * A name of a linked file that is as it was, inside a folder that was made anew: it need not be written, unless
   * another name of the file is, since the two must stay one file.
   */
  *kept(entry: LayerEntry, inode: LinkedInode): Generator<TarMember> {
    if (inode === undefined) return;
    const first = this.firstPath.get(inode);
    if (first !== undefined) yield* this.link(entry, first);
    else this.unchanged.set(inode, [...(this.unchanged.get(inode) ?? []), entry]);
  }

  private *link(entry: LayerEntry, target: string): Generator<TarMember> {
    const link = copyEntry(entry, { type: 'hardlink', linkTarget: target, sizeBytes: 0 });
    yield* this.write({ entry: link, body: noBytes() });
  }

  private *write({ entry, body }: TarMember): Generator<TarMember> {
    for (const parent of this.parents.before(entry)) yield { entry: applyRules(parent, this.rules), body: noBytes() };
    yield { entry: applyRules(entry, this.rules), body };
  }
}
