/**
 * Where a layer's tar is cut into segments that are compressed one by one. The places follow from the entries
 * themselves, not from how much came before them: when one file changes, only the segment around it does, and the
 * compressed bytes of all others can be taken from an earlier layer.
 */
import { crc32 } from 'node:zlib';
import type { LayerEntry } from '../types.js';

/** Bytes of a segment, on average; of one in the middle of a large file, exactly. */
const SEGMENT_BYTES = 512 * 1024;

export class TarCuts {
  private readonly offsets: number[] = [];
  private taken = 0;
  private afterLarge = false;

  /** An entry begins. @param offset of its first header block */
  before(entry: LayerEntry, offset: number): void {
    const isLarge = entry.sizeBytes >= SEGMENT_BYTES;
    if (isLarge || this.afterLarge || chance(entry.path) < (entry.sizeBytes + 512) / SEGMENT_BYTES) this.cut(offset);
    this.afterLarge = isLarge;
  }

  /** The content of an entry begins. */
  inside(entry: LayerEntry, bodyOffset: number): void {
    for (let at = SEGMENT_BYTES; at < entry.sizeBytes; at += SEGMENT_BYTES) this.cut(bodyOffset + at);
  }

  /** The next cut after `offset`, of those that are known so far: all up to the bytes that have been written. */
  next(offset: number): number {
    while ((this.offsets[this.taken] ?? Infinity) <= offset) this.taken += 1;
    if (this.taken > 10_000) {
      this.offsets.splice(0, this.taken);
      this.taken = 0;
    }
    return this.offsets[this.taken] ?? Infinity;
  }

  private cut(offset: number): void {
    if (this.offsets.at(-1) !== offset) this.offsets.push(offset);
  }
}

/** From 0 to 1, always the same for a path: larger files are cut before more often, so segments come out equal in bytes. */
function chance(path: string): number {
  const sum = crc32(path);
  return (Math.imul(sum ^ (sum >>> 16), 0x45d9f3b) >>> 0) / 2 ** 32;
}
