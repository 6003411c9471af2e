/**
 * Where the contents of a context's files lie: in packs, blobs in which the contents of many files stand one after the
 * other. Everything that was missing when a context was sent makes one pack; what an earlier context had stays in the
 * packs it was in.
 */
import { Column } from '../../layers/index.js';
import type { Digest } from '../../oci/index.js';

export interface Pack {
  readonly digest: Digest;
  readonly sizeBytes: number;
}

/** Number of the pack, and the offset of the first byte in it. */
export type Place = readonly [pack: number, offset: number];

/** Places of many files, in columns. */
export class Places {
  private count = 0;
  private readonly packs = new Column();
  private readonly offsets = new Column();

  get length(): number {
    return this.count;
  }

  push([pack, offset]: Place): void {
    this.packs.put(this.count, pack);
    this.offsets.put(this.count, offset);
    this.count += 1;
  }

  at(file: number): Place {
    return [this.packs.at(file), this.offsets.at(file)];
  }
}

export interface ContextPlaces {
  readonly packs: readonly Pack[];
  /** Of each file with content, in the order of the list. */
  readonly files: Places;
}
