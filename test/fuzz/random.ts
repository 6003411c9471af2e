/** Chance that can be had again: input n of a seed is the same on every machine. */
export class Random {
  private state: number;

  constructor(seed: number, input: number) {
    this.state = Math.imul(seed ^ Math.imul(input + 1, 0x9e37_79b1), 0x85eb_ca6b) >>> 0;
  }

  /** mulberry32: from 0 up to 1. */
  next(): number {
    this.state = (this.state + 0x6d2b_79f5) >>> 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), this.state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** From 0 up to the limit, without it. */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(values: readonly [T, ...T[]] | readonly T[]): T {
    return values[this.below(values.length)] as T;
  }

  /** Mostly few, rarely many. */
  count(most: number): number {
    return Math.floor(this.next() ** 3 * (most + 1));
  }

  list<T>(most: number, make: () => T): T[] {
    return Array.from({ length: this.count(most) }, make);
  }
}
