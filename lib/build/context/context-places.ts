/**
 * Where the contents of a context's files lie: in packs, blobs in which the contents of many files stand one after the
 * other. Everything that was missing when a context was sent makes one pack; what an earlier context had stays in the
 * packs it was in.
 */
import { AppError } from '../../errors/index.js';
import type { ManifestEntry } from '../../layers/index.js';
import type { Digest } from '../../oci/index.js';

export interface Pack {
  readonly digest: Digest;
  readonly sizeBytes: number;
}

/** Number of the pack, and the offset of the first byte in it. */
export type Place = readonly [pack: number, offset: number];

export interface ContextPlaces {
  readonly packs: readonly Pack[];
  /** Of each file with content, in the order of the list. */
  readonly files: readonly Place[];
}

/** Of a context of which contents are missing: the last pack is yet to come. */
export interface ArrangedPlaces {
  readonly packs: readonly Pack[];
  readonly files: readonly Place[];
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

export function hasContent(entry: ManifestEntry): entry is ManifestEntry & { readonly sha256: string } {
  return entry.type === 'file' && entry.sizeBytes > 0 && entry.sha256 !== undefined;
}

/** Places by content (SHA-256 in hex and size). */
export class KnownContents {
  private readonly places = new Map<string, Place>();

  constructor(
    readonly packs: readonly Pack[],
    entries: Iterable<ManifestEntry>,
    files: readonly Place[],
  ) {
    let at = 0;
    for (const entry of entries) {
      if (!hasContent(entry)) continue;
      const place = files[at];
      if (place !== undefined) this.places.set(contentOf(entry), place);
      at += 1;
    }
  }

  place(entry: ManifestEntry & { readonly sha256: string }): Place | undefined {
    return this.places.get(contentOf(entry));
  }
}

const contentOf = ({ sha256, sizeBytes }: ManifestEntry & { readonly sha256: string }): string =>
  `${sha256}/${sizeBytes}`;

/** Finds a place for every file: that of the same content in an earlier context, or the new pack. */
export function arrange(entries: readonly ManifestEntry[], known: KnownContents | undefined): ArrangedPlaces {
  const old = known === undefined ? [] : entries.map((entry) => (hasContent(entry) ? known.place(entry) : undefined));
  const kept = known === undefined ? [] : worthKeeping(entries, old, known.packs);
  const number = new Map(kept.map((pack, i) => [pack, i]));
  const fresh = new Map<string, Place>();
  const missing: number[] = [];
  let missingBytes = 0;
  const files: Place[] = [];
  for (const [i, entry] of entries.entries()) {
    if (!hasContent(entry)) continue;
    const [before, offset = 0] = old[i] ?? [];
    const pack = before === undefined ? undefined : number.get(before);
    if (pack !== undefined) {
      files.push([pack, offset]);
      continue;
    }
    const content = contentOf(entry);
    let place = fresh.get(content);
    if (place === undefined) {
      place = [kept.length, missingBytes];
      fresh.set(content, place);
      missing.push(i);
      missingBytes += entry.sizeBytes;
    }
    files.push(place);
  }
  const packs = kept.flatMap((pack) => known?.packs[pack] ?? []);
  return { packs, files, missing, missingBytes };
}

/** Numbers of the known packs that stay in use. @param old the place that each entry's content had */
function worthKeeping(
  entries: readonly ManifestEntry[],
  old: readonly (Place | undefined)[],
  packs: readonly Pack[],
): readonly number[] {
  const used = new Map<number, number>();
  const seen = new Set<Place>();
  for (const [i, entry] of entries.entries()) {
    const place = old[i];
    if (place === undefined || seen.has(place)) continue;
    seen.add(place);
    used.set(place[0], (used.get(place[0]) ?? 0) + entry.sizeBytes);
  }
  const worth = [...used].filter(([pack, bytes]) => {
    const size = packs[pack]?.sizeBytes ?? 0;
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
  return { packs: value.packs.map(([digest, sizeBytes]) => ({ digest, sizeBytes })), files: value.files };
}
