/**
 * Slots in the order of a number each has; where it is the same, of their tasks; then of the slots themselves. Kept while
 * the numbers change: in leaves of at most 64, so that a change moves a few slots and nothing is allocated but, now and
 * then, a leaf. Of a second number each leaf knows what none of its slots exceeds: full instances are passed over
 * together.
 */
const MOST_SLOTS = 64;

export interface Leaf {
  /** In order; the first `size` of them. */
  readonly slots: Int32Array;
  size: number;
  /** No slot has more of the second number; it may be too high. Lowered by who has seen all of them. */
  most: number;
}

export class SlotOrder {
  /** None is empty; but for a single one where there are no slots. */
  readonly leaves: Leaf[] = [];
  readonly #leafOf: Leaf[] = [];

  /**
   * All three by slot, kept, and changed by their owner while a slot is taken out.
   * @param seconds the second number
   */
  constructor(
    readonly values: Int32Array,
    private readonly tasks: Int32Array,
    readonly seconds: Int32Array,
  ) {
    const slots = Int32Array.from(values.keys()).sort((a, b) => this.#compare(a, b));
    const half = MOST_SLOTS / 2;
    for (let from = 0; from < slots.length; from += half) this.#adopt(slots.subarray(from, from + half));
    if (this.leaves.length === 0) this.#adopt(slots);
  }

  /** The first leaf that may have slots with this number or more; as many as there are leaves when none has. */
  leafFrom(value: number): number {
    const { leaves, values } = this;
    let [low, high] = [0, leaves.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((values[lastOf(leaves[middle] as Leaf)] ?? 0) < value) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Before the slot's numbers change. */
  takeOut(slot: number): void {
    const leaf = this.#leafOf[slot] as Leaf;
    const { slots } = leaf;
    leaf.size -= 1;
    let at = 0;
    while (slots[at] !== slot) at += 1;
    for (; at < leaf.size; at += 1) slots[at] = slots[at + 1] as number;
    if (leaf.size === 0 && this.leaves.length > 1) this.leaves.splice(this.leaves.indexOf(leaf), 1);
  }

  /** After they did. */
  putBack(slot: number): void {
    const { leaves } = this;
    let [low, high] = [0, leaves.length - 1];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#compare(lastOf(leaves[middle] as Leaf), slot) < 0) low = middle + 1;
      else high = middle;
    }
    const leaf = leaves[low] as Leaf;
    if (leaf.size === MOST_SLOTS) {
      this.#split(low);
      return this.putBack(slot);
    }
    let at = leaf.size;
    for (; at > 0 && this.#compare(slot, leaf.slots[at - 1] as number) < 0; at -= 1) {
      leaf.slots[at] = leaf.slots[at - 1] as number;
    }
    leaf.slots[at] = slot;
    leaf.size += 1;
    leaf.most = Math.max(leaf.most, this.seconds[slot] as number);
    this.#leafOf[slot] = leaf;
  }

  #compare(a: number, b: number): number {
    const { values, tasks } = this;
    return (values[a] as number) - (values[b] as number) || (tasks[a] as number) - (tasks[b] as number) || a - b;
  }

  /** The upper half goes into a leaf of its own. */
  #split(index: number): void {
    const leaf = this.leaves[index] as Leaf;
    const half = MOST_SLOTS / 2;
    leaf.size = half;
    this.#adopt(leaf.slots.subarray(half), index + 1);
  }

  #adopt(sorted: Int32Array, index = this.leaves.length): void {
    const leaf: Leaf = { slots: new Int32Array(MOST_SLOTS).fill(-1), size: sorted.length, most: 0 };
    leaf.slots.set(sorted);
    for (const slot of sorted) {
      leaf.most = Math.max(leaf.most, this.seconds[slot] as number);
      this.#leafOf[slot] = leaf;
    }
    this.leaves.splice(index, 0, leaf);
  }
}

function lastOf(leaf: Leaf): number {
  return leaf.slots[leaf.size - 1] as number;
}
