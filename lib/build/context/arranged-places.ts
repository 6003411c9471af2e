/**
 * Finds a place for every file of a new context: that of the same content in an earlier one, or the pack that is to
 * come. Only what of the earlier context is wanted again is held; its own list passes by.
 */
import { Column, type EntryList } from '../../layers/index.js';
import { ContentIndex, hasContent } from './content-index.js';
import { type ContextPlaces, type Pack, type Place, Places } from './context-places.js';

/** Of a context of which contents are missing: the last pack is yet to come. */
export interface ArrangedPlaces extends ContextPlaces {
  /** Numbers of the entries (from 0) whose contents make up the new pack, in its order. */
  readonly missing: readonly number[];
  readonly missingBytes: number;
}

/** A pack of which less is used is not used any more: what is needed of it is asked for again. */
const MIN_USED = 1 / 4;
/** Small ones may be used up. */
const WASTE_BYTES = 1024 * 1024;
/** More packs than this, and the smallest are sent again as one. */
const MAX_PACKS = 32;
const KEPT_PACKS = 16;

/** The contents of a list, and where they are known to lie already. */
export class WantedContents {
  private readonly index: ContentIndex;
  /** Of the first row of each content that was found: the pack's number plus one. */
  private readonly packOf = new Column();
  private readonly offsets = new Column();

  constructor(private readonly list: EntryList) {
    this.index = new ContentIndex(list);
  }

  /** Tells where the earlier context has a content. */
  found(digest: Uint8Array, sizeBytes: number, [pack, offset]: Place): void {
    const row = this.index.find(digest, sizeBytes);
    if (row === undefined || this.packOf.at(row) !== 0) return;
    this.packOf.put(row, pack + 1);
    this.offsets.put(row, offset);
  }

  /** A place for every file. @param known packs of the earlier context; none when what was found is not to be used */
  arrange(known: readonly Pack[]): ArrangedPlaces {
    const { list, index } = this;
    const kept = this.worthKeeping(known);
    const number = new Map(kept.map((pack, i) => [pack, i]));
    /** In the new pack, of the first row of each content. */
    const fresh = new Column();
    const missing: number[] = [];
    let missingBytes = 0;
    const files = new Places();
    for (let row = 0; row < list.length; row += 1) {
      if (!hasContent(list, row)) continue;
      const first = index.first(row);
      const pack = number.get(this.packOf.at(first) - 1);
      if (pack !== undefined) {
        files.push([pack, this.offsets.at(first)]);
        continue;
      }
      if (first === row) {
        fresh.put(row, missingBytes);
        missing.push(row);
        missingBytes += list.sizeBytesOf(row);
      }
      files.push([kept.length, fresh.at(first)]);
    }
    return { packs: kept.flatMap((pack) => known[pack] ?? []), files, missing, missingBytes };
  }

  /** Numbers of the known packs that stay in use. */
  private worthKeeping(known: readonly Pack[]): readonly number[] {
    const used = new Map<number, number>();
    for (let row = 0; row < this.list.length; row += 1) {
      const pack = this.packOf.at(row) - 1;
      if (pack >= 0) used.set(pack, (used.get(pack) ?? 0) + this.list.sizeBytesOf(row));
    }
    const worth = [...used].filter(([pack, bytes]) => {
      const size = known[pack]?.sizeBytes;
      return size !== undefined && (size - bytes <= WASTE_BYTES || bytes >= size * MIN_USED);
    });
    if (worth.length <= MAX_PACKS) return worth.map(([pack]) => pack);
    return worth
      .sort(([, a], [, b]) => b - a || 0)
      .slice(0, KEPT_PACKS)
      .map(([pack]) => pack);
  }
}
