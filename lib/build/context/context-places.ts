/**
 * Where the contents of a context's files lie: in packs, blobs in which the contents of many files stand one after the
 * other. Everything that was missing when a context was sent makes one pack; what an earlier context had stays in the
 * packs it was in.
 */
import { AppError } from '../../errors/index.js';
import { Column, type EntryList } from '../../layers/index.js';
import type { Digest } from '../../oci/index.js';
import { ContentIndex } from './content-index.js';

export interface Pack {
  readonly digest: Digest;
  readonly sizeBytes: number;
}

/** Number of the pack, and the offset of the first byte in it. */
export type Place = readonly [pack: number, offset: number];

/** Places of many files, in columns. */
export class Places {
  private count = 0;
  private readonly packs = new Column(Uint32Array);
  private readonly offsets = new Column(Float64Array);

  static of(places: Iterable<Place>): Places {
    const all = new Places();
    for (const place of places) all.push(place);
    return all;
  }

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

  toJSON(): readonly Place[] {
    return Array.from({ length: this.count }, (_, file) => this.at(file));
  }
}

export interface ContextPlaces {
  readonly packs: readonly Pack[];
  /** Of each file with content, in the order of the list. */
  readonly files: Places;
}

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

/** Whether an entry has bytes that lie in a pack. */
export function hasContent(list: EntryList, row: number): boolean {
  return list.type(row) === 'file' && list.sizeBytesOf(row) > 0;
}

/** The contents of a context that is there. */
export class KnownContents {
  private readonly index: ContentIndex;
  /** Number of each entry among the files with content. */
  private readonly numbers = new Column(Uint32Array);

  constructor(
    readonly packs: readonly Pack[],
    list: EntryList,
    private readonly files: Places,
  ) {
    this.index = new ContentIndex(list);
    let number = 0;
    for (let row = 0; row < list.length && number < files.length; row += 1) {
      if (!hasContent(list, row)) continue;
      this.index.add(row);
      this.numbers.put(row, number);
      number += 1;
    }
  }

  /** Where the content of an entry of another list lies. */
  place(list: EntryList, row: number): Place | undefined {
    const known = this.index.find(list, row);
    return known === undefined ? undefined : this.files.at(this.numbers.at(known));
  }
}

/** Finds a place for every file: that of the same content in an earlier context, or the new pack. */
export function arrange(list: EntryList, known: KnownContents | undefined): ArrangedPlaces {
  const kept = known === undefined ? [] : worthKeeping(list, known);
  const number = new Map(kept.map((pack, i) => [pack, i]));
  const fresh = new ContentIndex(list);
  /** In the new pack, of each entry whose content is there. */
  const offsets = new Column(Float64Array);
  const missing: number[] = [];
  let missingBytes = 0;
  const files = new Places();
  for (let row = 0; row < list.length; row += 1) {
    if (!hasContent(list, row)) continue;
    const old = known?.place(list, row);
    const pack = old === undefined ? undefined : number.get(old[0]);
    if (old !== undefined && pack !== undefined) {
      files.push([pack, old[1]]);
      continue;
    }
    const first = fresh.add(row);
    if (first === row) {
      offsets.put(row, missingBytes);
      missing.push(row);
      missingBytes += list.sizeBytesOf(row);
    }
    files.push([kept.length, offsets.at(first)]);
  }
  const packs = kept.flatMap((pack) => known?.packs[pack] ?? []);
  return { packs, files, missing, missingBytes };
}

/** Numbers of the known packs that stay in use. */
function worthKeeping(list: EntryList, known: KnownContents): readonly number[] {
  const used = new Map<number, number>();
  const seen = new ContentIndex(list);
  for (let row = 0; row < list.length; row += 1) {
    if (!hasContent(list, row)) continue;
    const place = known.place(list, row);
    if (place === undefined || seen.add(row) !== row) continue;
    used.set(place[0], (used.get(place[0]) ?? 0) + list.sizeBytesOf(row));
  }
  const worth = [...used].filter(([pack, bytes]) => {
    const size = known.packs[pack]?.sizeBytes ?? 0;
    return size - bytes <= WASTE_BYTES || bytes >= size * MIN_USED;
  });
  if (worth.length <= MAX_PACKS) return worth.map(([pack]) => pack);
  return worth
    .sort(([, a], [, b]) => b - a || 0)
    .slice(0, KEPT_PACKS)
    .map(([pack]) => pack);
}

const FORMAT = 'wharf.places.v1';

export function encodePlaces({ packs, files }: ContextPlaces): Uint8Array {
  return Buffer.from(
    JSON.stringify({ format: FORMAT, packs: packs.map(({ digest, sizeBytes }) => [digest, sizeBytes]), files }),
  );
}

/** @throws AppError CONTEXT_BROKEN */
export function decodePlaces(bytes: Uint8Array): ContextPlaces {
  const value = JSON.parse(Buffer.from(bytes).toString('utf8')) as {
    readonly format?: string;
    readonly packs: readonly (readonly [Digest, number])[];
    readonly files: readonly Place[];
  };
  if (value.format !== FORMAT) throw new AppError('CONTEXT_BROKEN', `it is not ${FORMAT}`, { kind: 'internal' });
  const packs = value.packs.map(([digest, sizeBytes]) => ({ digest, sizeBytes }));
  return { packs, files: Places.of(value.files) };
}
