/**
 * Slots in the order of a number each has, kept while the numbers change. As in a histogram of wide range, values lie
 * in buckets: one for each up to 64, from there 64 for every doubling. A walk over the buckets meets the slots in
 * order but for those of one bucket. A change moves one slot; nothing is allocated.
 * Of a second number each bucket knows what none of its slots exceeds: full instances are passed over together.
 */
const FINE_BITS = 6;
const FINE = 1 << FINE_BITS;
/** Up to 2³¹ - 1. */
const BUCKETS = FINE * (32 - FINE_BITS);
const NONE = -1;

export class BucketOrder {
  readonly values: Int32Array;
  readonly #heads = new Int32Array(BUCKETS).fill(NONE);
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  readonly #buckets: Int16Array;
  /** One bit for each bucket that holds any. */
  readonly #occupied = new Int32Array(Math.ceil(BUCKETS / 32));
  /** No slot of the bucket has more of the second number; it may be too high. */
  readonly #most = new Int32Array(BUCKETS);

  /**
   * @param values by slot; kept, and changed by `set`
   * @param seconds the second number by slot; changed by its owner, before `set`
   */
  constructor(
    values: Int32Array,
    readonly seconds: Int32Array,
  ) {
    this.values = values;
    this.#next = new Int32Array(values.length);
    this.#previous = new Int32Array(values.length);
    this.#buckets = Int16Array.from(values, bucketOf);
    for (let slot = values.length - 1; slot >= 0; slot -= 1) this.#link(slot, this.#buckets[slot] as number);
  }

  set(slot: number, value: number): void {
    this.values[slot] = value;
    const [before, bucket] = [this.#buckets[slot] as number, bucketOf(value)];
    if (before === bucket) return this.#raise(slot, bucket);
    this.#unlink(slot, before);
    this.#buckets[slot] = bucket;
    this.#link(slot, bucket);
  }

  /** What no slot of the bucket exceeds in the second number. */
  most(bucket: number): number {
    return this.#most[bucket] as number;
  }

  /** Told by who has seen all slots of the bucket. */
  setMost(bucket: number, most: number): void {
    this.#most[bucket] = most;
  }

  /** The first bucket with slots from this one on; -1 when there is none. */
  occupiedFrom(bucket: number): number {
    let word = bucket >>> 5;
    let bits = (this.#occupied[word] ?? 0) & (-1 << (bucket & 31));
    while (bits === 0) {
      word += 1;
      if (word >= this.#occupied.length) return NONE;
      bits = this.#occupied[word] as number;
    }
    return (word << 5) + (31 - Math.clz32(bits & -bits));
  }

  /** A slot of the bucket; -1 when it is empty. `after` gives the others. */
  first(bucket: number): number {
    return this.#heads[bucket] ?? NONE;
  }

  /** Another slot of the same bucket; -1 after the last. */
  after(slot: number): number {
    return this.#next[slot] as number;
  }

  #raise(slot: number, bucket: number): void {
    this.#most[bucket] = Math.max(this.#most[bucket] as number, this.seconds[slot] as number);
  }

  #link(slot: number, bucket: number): void {
    this.#raise(slot, bucket);
    const head = this.#heads[bucket] as number;
    this.#next[slot] = head;
    this.#previous[slot] = NONE;
    if (head !== NONE) this.#previous[head] = slot;
    this.#heads[bucket] = slot;
    const word = bucket >>> 5;
    this.#occupied[word] = (this.#occupied[word] as number) | (1 << (bucket & 31));
  }

  #unlink(slot: number, bucket: number): void {
    const [next, previous] = [this.#next[slot] as number, this.#previous[slot] as number];
    if (next !== NONE) this.#previous[next] = previous;
    if (previous !== NONE) {
      this.#next[previous] = next;
      return;
    }
    this.#heads[bucket] = next;
    const word = bucket >>> 5;
    if (next === NONE) this.#occupied[word] = (this.#occupied[word] as number) & ~(1 << (bucket & 31));
  }
}

/** Never less for a greater value. What is below 0 counts as 0. */
export function bucketOf(value: number): number {
  if (value < FINE) return Math.max(0, value);
  const doublings = 31 - Math.clz32(value) - FINE_BITS;
  return doublings * FINE + (value >>> doublings);
}
