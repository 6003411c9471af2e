/**
 * EntryList: entries in the order they came, in columns outside of the heap: some 70 bytes for each beside its name,
 * where objects and strings take ten times as much and the collector of garbage has to look at all of them. An entry
 * becomes an object when it is asked for. Lists only grow.
 */
import { put, withRoom } from './column.js';
import { copyEntry, copyRare, type Unfinished } from './copy-entry.js';
import { PathTable } from './path-table.js';
import type { EntryType, LayerEntry } from '../types.js';

/** An entry, and what a list of files or an index knows of it. */
export interface ListedEntry extends LayerEntry {
  /** Of the first byte of content in the uncompressed tar; 0 where there is no tar. */
  readonly bodyOffset?: number;
  /** SHA-256 (hex) of a file's content. */
  readonly sha256?: string;
}

const TYPES: readonly EntryType[] = ['file', 'directory', 'symlink', 'hardlink', 'char', 'block', 'fifo'];
const SHA256_BYTES = 32;

export class EntryList implements Iterable<LayerEntry> {
  /** Of all entries, and the folders on the way to them. */
  readonly paths = new PathTable();
  private rows = 0;
  private pathRows = new Uint32Array(0);
  private types = new Uint8Array(0);
  private modes = new Uint32Array(0);
  /** Owners may have numbers of more than 32 bits. */
  private uids = new Float64Array(0);
  private gids = new Float64Array(0);
  private times = new Float64Array(0);
  private sizes = new Float64Array(0);
  private offsets = new Float64Array(0);
  private digests = new Uint8Array(0);
  /** The same bytes. */
  private hex = Buffer.alloc(0);
  /** Those that have what few have: targets of links, numbers of devices, extended attributes. */
  private readonly rare = new Map<number, LayerEntry>();

  static of(entries: Iterable<ListedEntry>): EntryList {
    const list = new EntryList();
    for (const entry of entries) list.push(entry);
    return list;
  }

  get length(): number {
    return this.rows;
  }

  /** What it takes of memory, as good as. */
  get sizeBytes(): number {
    return this.rows * 64 + this.digests.length + this.paths.sizeBytes + this.rare.size * 200;
  }

  /** @param known what the entry itself does not say */
  push(entry: ListedEntry, known: Pick<ListedEntry, 'bodyOffset' | 'sha256'> = entry): void {
    const row = this.rows;
    this.rows += 1;
    this.pathRows = put(this.pathRows, row, this.paths.add(entry.path));
    this.types = put(this.types, row, TYPES.indexOf(entry.type));
    this.modes = put(this.modes, row, entry.mode);
    this.uids = put(this.uids, row, entry.uid);
    this.gids = put(this.gids, row, entry.gid);
    this.times = put(this.times, row, entry.mtimeSeconds);
    this.sizes = put(this.sizes, row, entry.sizeBytes);
    this.offsets = put(this.offsets, row, known.bodyOffset ?? 0);
    if (known.sha256 !== undefined) this.putDigest(row, known.sha256);
    if (entry.linkTarget === undefined && entry.device === undefined && entry.xattrs === undefined) return;
    this.rare.set(row, copyEntry(entry, { path: '' }));
  }

  /** The entry, made anew. @param path another name for it */
  at(row: number, path = this.path(row)): Unfinished<LayerEntry> {
    const entry: Unfinished<LayerEntry> = {
      path,
      type: this.type(row),
      mode: this.modes[row] ?? 0,
      uid: this.uids[row] ?? 0,
      gid: this.gids[row] ?? 0,
      mtimeSeconds: this.times[row] ?? 0,
      sizeBytes: this.sizeBytesOf(row),
    };
    const rare = this.rare.get(row);
    if (rare !== undefined) copyRare(entry, rare);
    return entry;
  }

  *[Symbol.iterator](): Generator<LayerEntry, void, undefined> {
    for (let row = 0; row < this.rows; row += 1) yield this.at(row);
  }

  /** The row of the entry's path in `paths`. */
  pathRow(row: number): number {
    return this.pathRows[row] ?? 0;
  }

  path(row: number): string {
    return this.paths.path(this.pathRow(row));
  }

  type(row: number): EntryType {
    return TYPES[this.types[row] ?? 0] ?? 'file';
  }

  sizeBytesOf(row: number): number {
    return this.sizes[row] ?? 0;
  }

  bodyOffset(row: number): number {
    return this.offsets[row] ?? 0;
  }

  linkTarget(row: number): string | undefined {
    return this.rare.get(row)?.linkTarget;
  }

  /** SHA-256 of a file's content, as bytes; empty where it is not known. */
  digest(row: number): Uint8Array {
    return this.digests.subarray(row * SHA256_BYTES, (row + 1) * SHA256_BYTES);
  }

  /** The same in hex. */
  sha256(row: number): string | undefined {
    const start = row * SHA256_BYTES;
    return start < this.digests.length ? this.hex.toString('hex', start, start + SHA256_BYTES) : undefined;
  }

  private putDigest(row: number, sha256: string): void {
    const room = withRoom(this.digests, (row + 1) * SHA256_BYTES);
    if (room !== this.digests) this.hex = Buffer.from(room.buffer);
    this.digests = room;
    this.hex.write(sha256, row * SHA256_BYTES, 'hex');
  }
}
