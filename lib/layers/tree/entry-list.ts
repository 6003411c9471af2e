/**
 * EntryList: entries in the order they came, in columns outside of the heap: some 50 bytes for each beside its name,
 * where objects and strings take ten times as much and the collector of garbage has to look at all of them. An entry
 * becomes an object when it is asked for. Lists only grow.
 */
import { ByteRuns, Column, inPiece } from './column.js';
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
  private readonly pathRows = new Column();
  private readonly types = new Column();
  private readonly modes = new Column();
  /** Owners may have numbers of more than 32 bits. */
  private readonly uids = new Column();
  private readonly gids = new Column();
  private readonly times = new Column();
  private readonly sizes = new Column();
  private readonly offsets = new Column();
  private readonly digests = new ByteRuns();
  /** Where the digest of each row begins, plus one. */
  private readonly digestStarts = new Column();
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
    return this.rows * 20 + this.digests.sizeBytes + this.paths.sizeBytes + this.rare.size * 200;
  }

  /** @param known what the entry itself does not say */
  push(entry: ListedEntry, known: Pick<ListedEntry, 'bodyOffset' | 'sha256'> = entry): void {
    const row = this.rows;
    this.rows += 1;
    this.pathRows.put(row, this.paths.add(entry.path));
    this.types.put(row, TYPES.indexOf(entry.type));
    this.modes.put(row, entry.mode);
    this.uids.put(row, entry.uid);
    this.gids.put(row, entry.gid);
    this.times.put(row, entry.mtimeSeconds);
    this.sizes.put(row, entry.sizeBytes);
    this.offsets.put(row, known.bodyOffset ?? 0);
    if (known.sha256 !== undefined) this.putDigest(row, known.sha256);
    if (entry.linkTarget === undefined && entry.device === undefined && entry.xattrs === undefined) return;
    this.rare.set(row, copyEntry(entry, { path: '' }));
  }

  /** The entry, made anew. @param path another name for it */
  at(row: number, path = this.path(row)): Unfinished<LayerEntry> {
    const entry: Unfinished<LayerEntry> = {
      path,
      type: this.type(row),
      mode: this.modes.at(row),
      uid: this.uids.at(row),
      gid: this.gids.at(row),
      mtimeSeconds: this.times.at(row),
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
    return this.pathRows.at(row);
  }

  path(row: number): string {
    return this.paths.path(this.pathRow(row));
  }

  type(row: number): EntryType {
    return TYPES[this.types.at(row)] ?? 'file';
  }

  sizeBytesOf(row: number): number {
    return this.sizes.at(row);
  }

  bodyOffset(row: number): number {
    return this.offsets.at(row);
  }

  linkTarget(row: number): string | undefined {
    return this.rare.get(row)?.linkTarget;
  }

  /** SHA-256 of a file's content, as bytes; empty where it is not known. */
  digest(row: number): Uint8Array {
    const start = this.digestStarts.at(row) - 1;
    if (start < 0) return NO_DIGEST;
    return this.digests.piece(start).subarray(inPiece(start), inPiece(start) + SHA256_BYTES);
  }

  /** The same in hex. */
  sha256(row: number): string | undefined {
    const start = this.digestStarts.at(row) - 1;
    if (start < 0) return undefined;
    return this.digests.piece(start).toString('hex', inPiece(start), inPiece(start) + SHA256_BYTES);
  }

  private putDigest(row: number, sha256: string): void {
    const start = this.digests.reserve(SHA256_BYTES);
    this.digests.piece(start).write(sha256, inPiece(start), 'hex');
    this.digestStarts.put(row, start + 1);
  }
}

const NO_DIGEST = new Uint8Array(0);
