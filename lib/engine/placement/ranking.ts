/**
 * Which of many slots is best: measures in sequence, the first that differs decides, and at last the smaller slot. It
 * is filled anew for each decision and keeps the best slot seen so far; nothing is allocated.
 */

const NONE = -1;
/** Of comparisons that no measure decides for the slot. */
const TIE = -1;
const WORSE = -2;

export class Ranking {
  readonly #measures: Int32Array[] = [];
  readonly #codes: (Int32Array | undefined)[] = [];
  readonly #floors: number[] = [];
  readonly #best: number[] = [];
  #size = 0;
  #slot = NONE;

  /** The best slot so far; -1 when none was offered. */
  get best(): number {
    return this.#slot;
  }

  clear(): void {
    this.#size = 0;
    this.#slot = NONE;
  }

  /**
   * @param measure by slot, or by the code of the slot where codes are given; absent, all are alike
   * @param floor no slot has less
   */
  add(measure: Int32Array | undefined, floor: number, codes?: Int32Array): void {
    if (measure === undefined) return;
    this.#measures[this.#size] = measure;
    this.#codes[this.#size] = codes;
    this.#floors[this.#size] = floor;
    this.#size += 1;
  }

  get size(): number {
    return this.#size;
  }

  /** False when the first measure alone makes the slot worse than the best. */
  mayWin(slot: number): boolean {
    return this.#slot === NONE || this.#value(slot, 0) <= (this.#best[0] as number);
  }

  /** @returns whether it is the best now */
  offer(slot: number): boolean {
    if (this.#slot === NONE) this.#take(slot, 0);
    else {
      const first = this.#compare(slot);
      if (first >= 0) this.#take(slot, first);
      else if (first === TIE && slot < this.#slot) this.#slot = slot;
      else return false;
    }
    return true;
  }

  /** Whether the slot is neither better nor worse than the best. */
  ties(slot: number): boolean {
    return this.#compare(slot) === TIE;
  }

  /** Whether no slot can be better in these measures, of which `to` is none. */
  isAtFloor(from: number, to: number): boolean {
    if (this.#slot === NONE) return false;
    for (let index = from; index < to; index += 1) {
      if ((this.#best[index] as number) > (this.#floors[index] as number)) return false;
    }
    return true;
  }

  /** The first measure in which the slot is better; TIE, or WORSE. */
  #compare(slot: number): number {
    const [measures, allCodes, bests, size] = [this.#measures, this.#codes, this.#best, this.#size];
    for (let index = 0; index < size; index += 1) {
      const codes = allCodes[index];
      const at = codes === undefined ? slot : (codes[slot] as number);
      const value = (measures[index] as Int32Array)[at] as number;
      const best = bests[index] as number;
      if (value > best) return WORSE;
      if (value < best) return index;
    }
    return TIE;
  }

  #take(slot: number, from: number): void {
    this.#slot = slot;
    for (let index = from; index < this.#size; index += 1) this.#best[index] = this.#value(slot, index);
  }

  #value(slot: number, index: number): number {
    const codes = this.#codes[index];
    return (this.#measures[index] as Int32Array)[codes === undefined ? slot : (codes[slot] as number)] as number;
  }
}
