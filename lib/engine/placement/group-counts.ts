/** How many tasks of one group each slot has, and each value of the attributes that anybody spreads over. */
import type { AttributeValues } from './attribute-values.js';

/** Values beyond which the least count is not looked for: 0 is none too much either. */
const MOST_LOOKED_AT = 64;

export class GroupCounts {
  readonly bySlot: Int32Array;
  #total = 0;
  /** How many slots have each count. */
  readonly #slotsWith: number[];
  readonly #byValue = new Map<string, Int32Array>();

  constructor(slots: number) {
    this.bySlot = new Int32Array(slots);
    this.#slotsWith = [slots];
  }

  get isEmpty(): boolean {
    return this.#total === 0;
  }

  /** No slot has less. */
  get least(): number {
    let count = 0;
    while (count < this.#slotsWith.length && this.#slotsWith[count] === 0) count += 1;
    return count;
  }

  change(slot: number, by: number, values: AttributeValues): void {
    const before = this.bySlot[slot] ?? 0;
    const after = before + by;
    this.bySlot[slot] = after;
    this.#total += by;
    this.#slotsWith[before] = (this.#slotsWith[before] ?? 0) - 1;
    while (this.#slotsWith.length <= after) this.#slotsWith.push(0);
    this.#slotsWith[after] = (this.#slotsWith[after] ?? 0) + 1;
    for (const [name, counts] of this.#byValue) {
      const code = values.of(name).codes[slot] ?? 0;
      counts[code] = (counts[code] ?? 0) + by;
    }
  }

  /** By the codes of the attribute's values. */
  byValue(name: string, values: AttributeValues): Int32Array {
    const known = this.#byValue.get(name);
    if (known !== undefined) return known;
    const { codes, size } = values.of(name);
    const made = new Int32Array(size);
    for (let slot = 0; slot < codes.length; slot += 1) {
      const code = codes[slot] ?? 0;
      made[code] = (made[code] ?? 0) + (this.bySlot[slot] ?? 0);
    }
    this.#byValue.set(name, made);
    return made;
  }
}

/** No value has less. */
export function leastOf(counts: Int32Array): number {
  if (counts.length > MOST_LOOKED_AT) return 0;
  let least = Infinity;
  for (let code = 0; code < counts.length; code += 1) least = Math.min(least, counts[code] as number);
  return least === Infinity ? 0 : least;
}
