/**
 * Paths in little memory: each is a row with the row of its folder and the bytes of its own name, outside of the heap.
 * A path of a deep folder costs some 25 bytes and its last component, where a string of it costs several hundred with
 * the Map that finds it. Row 0 is the root. Paths only come; whoever drops one marks its row.
 */
import { ByteRuns, Column, inPiece } from './column.js';
import { decodeName, encodeName } from './path-name.js';

const FIRST_SLOTS = 16;
const MOST_FULL = 3 / 4;

export class PathTable {
  private rows = 1;
  private readonly parents = new Column();
  private readonly firstChildren = new Column();
  private readonly siblings = new Column();
  private readonly names = new ByteRuns();
  /** Where the name of each row begins in `names`, and its bytes. */
  private readonly starts = new Column();
  private readonly lengths = new Column();
  private isAscii = true;
  /** Rows by the hash of folder and name, in the next free place; 0 is free. */
  private slots = new Uint32Array(FIRST_SLOTS);
  /** The name that is looked for. */
  private wanted = Buffer.alloc(256);
  private wantedBytes = 0;
  private lastFolder = { row: 0, path: '' };

  /** How many rows there are, the root among them. */
  get size(): number {
    return this.rows;
  }

  /** What it takes of memory, as good as. */
  get sizeBytes(): number {
    return this.rows * 16 + this.slots.length * 4 + this.names.sizeBytes;
  }

  /** The row of a path; undefined when it is not here. */
  find(path: string): number | undefined {
    if (path === '') return 0;
    const slash = path.lastIndexOf('/');
    const folder = this.folderOf(path, slash);
    if (folder !== undefined) return this.child(folder, path, slash + 1);
    let row: number | undefined = 0;
    for (let from = 0; from < path.length && row !== undefined;) {
      const end = componentEnd(path, from);
      row = this.child(row, path, from, end);
      from = end + 1;
    }
    return row;
  }

  /** The row of a path, which is added with the folders on the way where they are not here. */
  add(path: string): number {
    if (path === '') return 0;
    const slash = path.lastIndexOf('/');
    const folder = this.folderOf(path, slash) ?? this.addFolder(path.slice(0, slash));
    return this.addChild(folder, path, slash + 1);
  }

  /** Paths are mostly asked for folder by folder: the last one need not be looked up. */
  private folderOf(path: string, slash: number): number | undefined {
    if (slash < 0) return 0;
    const { row, path: last } = this.lastFolder;
    return last.length === slash && path.startsWith(last) ? row : undefined;
  }

  private addFolder(path: string): number {
    let row = 0;
    for (let from = 0; from < path.length;) {
      const end = componentEnd(path, from);
      row = this.addChild(row, path, from, end);
      from = end + 1;
    }
    this.lastFolder = { row, path };
    return row;
  }

  /** The row of a name in a folder. @param text holds the name, from `from` up to `end` */
  child(folder: number, text: string, from = 0, end = text.length): number | undefined {
    const slot = this.slotOf(folder, text, from, end);
    return this.slots[slot] === 0 ? undefined : this.slots[slot];
  }

  addChild(folder: number, text: string, from = 0, end = text.length): number {
    const slot = this.slotOf(folder, text, from, end);
    const known = this.slots[slot] ?? 0;
    if (known !== 0) return known;
    const row = this.rows;
    this.rows += 1;
    this.slots[slot] = row;
    this.parents.put(row, folder);
    this.siblings.put(row, this.firstChildren.at(folder));
    this.firstChildren.put(folder, row);
    this.keepName(row);
    if (this.rows > this.slots.length * MOST_FULL) this.spread();
    return row;
  }

  parent(row: number): number {
    return this.parents.at(row);
  }

  name(row: number): string {
    const start = this.starts.at(row);
    const piece = this.names.piece(start);
    const from = inPiece(start);
    const end = from + this.lengths.at(row);
    return this.isAscii ? piece.toString('latin1', from, end) : decodeName(piece.subarray(from, end));
  }

  path(row: number): string {
    if (row === 0) return '';
    const folder = this.parent(row);
    if (folder === 0) return this.name(row);
    if (this.lastFolder.row !== folder) this.lastFolder = { row: folder, path: this.path(folder) };
    return `${this.lastFolder.path}/${this.name(row)}`;
  }

  hasChildren(row: number): boolean {
    return this.firstChildren.at(row) !== 0;
  }

  /** The rows in a folder, in no order. */
  children(folder: number): number[] {
    const rows: number[] = [];
    for (let row = this.firstChildren.at(folder); row !== 0; row = this.siblings.at(row)) rows.push(row);
    return rows;
  }

  /** The same in the order of layers. Names are compared where they lie, and none of them made. */
  sorted(folder: number): number[] {
    // As they came, which most often is their order.
    const rows = this.children(folder).reverse();
    for (let at = 1; at < rows.length; at += 1) {
      if (this.compareNames(rows[at - 1] ?? 0, rows[at] ?? 0) > 0) return rows.sort((a, b) => this.compareNames(a, b));
    }
    return rows;
  }

  /** All rows below one, in the order of layers. */
  *walk(folder = 0): Generator<number, void, undefined> {
    for (const row of this.sorted(folder)) {
      yield row;
      if (this.hasChildren(row)) yield* this.walk(row);
    }
  }

  private compareNames(a: number, b: number): number {
    const [left, right] = [this.starts.at(a), this.starts.at(b)];
    const [leftPiece, rightPiece] = [this.names.piece(left), this.names.piece(right)];
    const [leftFrom, rightFrom] = [inPiece(left), inPiece(right)];
    const [leftBytes, rightBytes] = [this.lengths.at(a), this.lengths.at(b)];
    const length = Math.min(leftBytes, rightBytes);
    for (let at = 0; at < length; at += 1) {
      const difference = (leftPiece[leftFrom + at] ?? 0) - (rightPiece[rightFrom + at] ?? 0);
      if (difference !== 0) return difference;
    }
    return leftBytes - rightBytes;
  }

  private slotOf(folder: number, text: string, from: number, end: number): number {
    const mask = this.slots.length - 1;
    let slot = this.want(folder, text, from, end) & mask;
    for (let row = this.slots[slot] ?? 0; row !== 0; row = this.slots[slot] ?? 0) {
      if (this.parent(row) === folder && this.isWanted(row)) break;
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  /** Keeps the bytes of the name at hand. @returns the hash of folder and name */
  private want(folder: number, text: string, from: number, end: number): number {
    if (end - from > this.wanted.length) this.wanted = Buffer.alloc((end - from) * 2);
    let hash = hashOf(folder);
    for (let at = from; at < end; at += 1) {
      const code = text.charCodeAt(at);
      if (code >= 0x80) return this.wantForeign(folder, text.slice(from, end));
      this.wanted[at - from] = code;
      hash = Math.imul(hash ^ code, PRIME);
    }
    this.wantedBytes = end - from;
    return mixed(hash);
  }

  private wantForeign(folder: number, name: string): number {
    const bytes = encodeName(name);
    if (bytes.length > this.wanted.length) this.wanted = Buffer.alloc(bytes.length * 2);
    this.wanted.set(bytes);
    this.wantedBytes = bytes.length;
    let hash = hashOf(folder);
    for (const byte of bytes) hash = Math.imul(hash ^ byte, PRIME);
    return mixed(hash);
  }

  private isWanted(row: number): boolean {
    if (this.lengths.at(row) !== this.wantedBytes) return false;
    const start = this.starts.at(row);
    const piece = this.names.piece(start);
    const from = inPiece(start);
    for (let at = 0; at < this.wantedBytes; at += 1) if (piece[from + at] !== this.wanted[at]) return false;
    return true;
  }

  private keepName(row: number): void {
    const start = this.names.reserve(this.wantedBytes);
    const piece = this.names.piece(start);
    const from = inPiece(start);
    for (let at = 0; at < this.wantedBytes; at += 1) {
      const byte = this.wanted[at] ?? 0;
      piece[from + at] = byte;
      if (byte >= 0x80) this.isAscii = false;
    }
    this.starts.put(row, start);
    this.lengths.put(row, this.wantedBytes);
  }

  /** Twice the slots: where few are free, the next free one is far. */
  private spread(): void {
    const slots = new Uint32Array(this.slots.length * 2);
    const mask = slots.length - 1;
    for (let row = 1; row < this.rows; row += 1) {
      const start = this.starts.at(row);
      const piece = this.names.piece(start);
      const from = inPiece(start);
      const end = from + this.lengths.at(row);
      let hash = hashOf(this.parent(row));
      for (let at = from; at < end; at += 1) hash = Math.imul(hash ^ (piece[at] ?? 0), PRIME);
      let slot = mixed(hash) & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = row;
    }
    this.slots = slots;
  }
}

/** FNV-1a, with its high bits brought down: slots are chosen by the low ones. */
const PRIME = 0x01000193;
const hashOf = (folder: number): number => Math.imul(0x811c9dc5 ^ folder, 0x9e3779b1);
const mixed = (hash: number): number => (hash ^ (hash >>> 15)) >>> 0;

function componentEnd(path: string, from: number): number {
  const slash = path.indexOf('/', from);
  return slash < 0 ? path.length : slash;
}
