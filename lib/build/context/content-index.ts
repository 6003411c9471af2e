/** Finds the entries of a list by their content: by SHA-256 and size, in eight bytes for each. */
import type { EntryList } from '../../layers/index.js';

export class ContentIndex {
  /** Rows plus one, at the place their digest says or the next free one; 0 is free. */
  private readonly slots: Uint32Array;

  /** @param list whose rows are added */
  constructor(private readonly list: EntryList) {
    this.slots = new Uint32Array(2 ** Math.ceil(Math.log2(list.length * 2 + 2)));
  }

  /** The row that was added first with the content of this one; adds it when there is none. */
  add(row: number): number {
    const slot = this.slotOf(this.list, row);
    const known = this.slots[slot] ?? 0;
    if (known !== 0) return known - 1;
    this.slots[slot] = row + 1;
    return row;
  }

  /** The row that has the content of an entry of another list. */
  find(other: EntryList, row: number): number | undefined {
    const known = this.slots[this.slotOf(other, row)] ?? 0;
    return known === 0 ? undefined : known - 1;
  }

  private slotOf(list: EntryList, row: number): number {
    const digest = list.digest(row);
    const mask = this.slots.length - 1;
    // A digest is as good as chance.
    let slot =
      (((digest[0] ?? 0) << 24) | ((digest[1] ?? 0) << 16) | ((digest[2] ?? 0) << 8) | (digest[3] ?? 0)) & mask;
    for (let known = this.slots[slot] ?? 0; known !== 0; known = this.slots[slot] ?? 0) {
      const sameSize = this.list.sizeBytesOf(known - 1) === list.sizeBytesOf(row);
      if (sameSize && Buffer.compare(this.list.digest(known - 1), digest) === 0) break;
      slot = (slot + 1) & mask;
    }
    return slot;
  }
}
