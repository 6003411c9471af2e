/** Finds the files of a list by their content: by SHA-256 and size, in some twelve bytes for each. */
import type { EntryList } from '../../layers/index.js';

export class ContentIndex {
  /** Rows plus one, at the place their digest says or the next free one; 0 is free. */
  private readonly slots: Uint32Array;

  constructor(private readonly list: EntryList) {
    this.slots = new Uint32Array(2 ** Math.ceil(Math.log2(list.length * 2 + 2)));
    for (let row = 0; row < list.length; row += 1) if (hasContent(list, row)) this.add(row);
  }

  /** The first row that has the content of this one. */
  first(row: number): number {
    return this.find(this.list.digest(row), this.list.sizeBytesOf(row)) ?? row;
  }

  /** The first row that has this content. */
  find(digest: Uint8Array, sizeBytes: number): number | undefined {
    const known = this.slots[this.slotOf(digest, sizeBytes)] ?? 0;
    return known === 0 ? undefined : known - 1;
  }

  private add(row: number): void {
    const slot = this.slotOf(this.list.digest(row), this.list.sizeBytesOf(row));
    if (this.slots[slot] === 0) this.slots[slot] = row + 1;
  }

  private slotOf(digest: Uint8Array, sizeBytes: number): number {
    const mask = this.slots.length - 1;
    // A digest is as good as chance.
    let slot =
      (((digest[0] ?? 0) << 24) | ((digest[1] ?? 0) << 16) | ((digest[2] ?? 0) << 8) | (digest[3] ?? 0)) & mask;
    for (let known = this.slots[slot] ?? 0; known !== 0; known = this.slots[slot] ?? 0) {
      const sameSize = this.list.sizeBytesOf(known - 1) === sizeBytes;
      if (sameSize && Buffer.compare(this.list.digest(known - 1), digest) === 0) break;
      slot = (slot + 1) & mask;
    }
    return slot;
  }
}

/** Whether an entry has bytes that lie in a pack. */
export function hasContent(list: EntryList, row: number): boolean {
  return list.type(row) === 'file' && list.sizeBytesOf(row) > 0;
}
