/**
 * What of a folder goes into a build context, as it was when it was looked at. In columns: to make objects of 20,000
 * files takes longer than to ask the system about them, and mostly nobody wants them, since nothing changed.
 */
import { createHash } from 'node:crypto';
import { copyEntry } from '../tree/copy-entry.js';
import { joinPath } from '../tree/path-name.js';
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

/** As `lstat` has them. */
export type MemberStats = Readonly<Record<'mode' | 'size' | 'mtimeNs' | 'ctimeNs' | 'ino', bigint>>;

/** Their places are in the prints that are remembered. */
const TYPES = ['file', 'directory', 'symlink', 'hardlink'] as const;
export type MemberType = (typeof TYPES)[number];

const PERMISSIONS = 0o7777;
const PERMISSION_BITS = 12;
const STAMP_NUMBERS = 4;
const SECOND_NS = 1_000_000_000n;

export class FolderState implements Iterable<FolderMember> {
  private readonly names: string[] = [];
  /** The number of the folder a member lies in; -1 is the folder itself. */
  private readonly parents: number[] = [];
  private readonly modes: number[] = [];
  /** Size, mtime, ctime and inode; of anything but files the mtime in whole seconds alone, which is all that is told. */
  private stamps = new BigInt64Array(STAMP_NUMBERS * 1024);
  private readonly links = new Map<number, string>();

  /** @param root where the folder lies */
  constructor(private readonly root: string) {}

  /** @param parent number of the folder it lies in, which came before @returns its own number */
  add(parent: number, name: string, type: MemberType, stats: MemberStats, linkTarget?: string): number {
    const number = this.names.push(name) - 1;
    this.parents.push(parent);
    const permissions = type === 'symlink' ? 0o777 : Number(stats.mode) & PERMISSIONS;
    this.modes.push((TYPES.indexOf(type) << PERMISSION_BITS) | permissions);
    const first = number * STAMP_NUMBERS;
    if (first === this.stamps.length) this.grow();
    if (type === 'file') {
      this.stamps[first] = stats.size;
      this.stamps[first + 1] = stats.mtimeNs;
      this.stamps[first + 2] = stats.ctimeNs;
      this.stamps[first + 3] = stats.ino;
    } else this.stamps[first + 1] = wholeSeconds(stats.mtimeNs) * SECOND_NS;
    if (linkTarget !== undefined) this.links.set(number, linkTarget);
    return number;
  }

  /** In the order in which they were added. */
  *[Symbol.iterator](): Generator<FolderMember, void> {
    const folders = new Map([[-1, '']]);
    for (const [number, name] of this.names.entries()) {
      const path = joinPath(folders.get(this.parents[number] ?? -1) ?? '', name);
      const member = this.member(number, path);
      if (member.entry.type === 'directory') folders.set(number, path);
      yield member;
    }
  }

  /** Of all that makes a list of these members what it is, and of what changes when a file does: equal prints, equal lists. */
  print(): string {
    const count = this.names.length;
    // No name has a NUL in it.
    return createHash('sha256')
      .update(Int32Array.of(count, ...this.links.keys()))
      .update(Int32Array.from(this.parents))
      .update(Int32Array.from(this.modes))
      .update(this.stamps.subarray(0, count * STAMP_NUMBERS))
      .update([...this.names, ...this.links.values()].join('\0'))
      .digest('hex');
  }

  private member(number: number, path: string): FolderMember {
    const stamp = (field: number): bigint => this.stamps[number * STAMP_NUMBERS + field] ?? 0n;
    const mtimeNs = stamp(1);
    const mode = this.modes[number] ?? 0;
    const linkTarget = this.links.get(number);
    const bare: LayerEntry = {
      path,
      type: TYPES[mode >> PERMISSION_BITS] ?? 'file',
      mode: mode & PERMISSIONS,
      uid: 0,
      gid: 0,
      mtimeSeconds: Number(wholeSeconds(mtimeNs)),
      sizeBytes: Number(stamp(0)),
    };
    const entry = linkTarget === undefined ? bare : copyEntry(bare, { linkTarget });
    const file = `${this.root}/${path}`;
    return entry.type === 'file'
      ? { file, entry, stamp: { sizeBytes: entry.sizeBytes, mtimeNs, ctimeNs: stamp(2), inode: stamp(3) } }
      : { file, entry };
  }

  private grow(): void {
    const larger = new BigInt64Array(this.stamps.length * 2);
    larger.set(this.stamps);
    this.stamps = larger;
  }
}

/** Cut downward, also before 1970. */
function wholeSeconds(ns: bigint): bigint {
  const seconds = ns / SECOND_NS;
  return ns < 0n && ns % SECOND_NS !== 0n ? seconds - 1n : seconds;
}
