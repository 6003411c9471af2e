/**
 * A build cache as BuildKit writes it (cache/remotecache/v1/types/doc.go): a config that lists layers and records. A
 * record names a step by a digest and leads to a layer; ours have our cache keys there, so BuildKit reads them and
 * finds nothing of its own in them, and the other way round. A record with an input is the same step by another key.
 */
import { AppError } from '../../errors/index.js';
import { type Digest, isDigest } from '../../oci/index.js';
import type { CachedStep } from '../solve/step-cache.js';

export const CACHE_CONFIG_TYPE = 'application/vnd.buildkit.cacheconfig.v0';
/** Of a layer's descriptor, as containerd names it. */
export const DIFF_ID_ANNOTATION = 'containerd.io/uncompressed';
export const CREATED_ANNOTATION = 'buildkit/createdat';

/** A step as a cache hands it on. */
export interface SharedStep {
  readonly key: string;
  readonly step: CachedStep;
}

export interface CacheRecord {
  readonly layers: readonly { readonly layer: number; readonly createdAt: string }[];
  readonly digest: string;
  readonly inputs?: readonly (readonly { readonly link: number }[])[];
}

/** What was read of a record: which layer it leads to, by number. */
export interface ReadRecord {
  readonly key: string;
  readonly layer: number;
  readonly newestSeconds: number;
  readonly contentKey?: string;
}

/** Go's times end with the year 9999. */
const LAST_SECOND = 253_402_300_799;
const MAX_RECORDS = 20_000;

export function isWritable({ step }: SharedStep): boolean {
  return step.newestSeconds <= LAST_SECOND;
}

/** Layers are told no times but those of their newest entries, so one build has one config. */
export function createdAt(seconds: number): string {
  return `${new Date(seconds * 1000).toISOString().slice(0, 19)}Z`;
}

/**
 * The records of the steps, each key once, in the order of their keys.
 * @param layerNumber where the layer of a step stands in the list they go with
 */
export function recordsOf(
  steps: readonly SharedStep[],
  layerNumber: (step: CachedStep) => number,
): readonly CacheRecord[] {
  const sorted = [...new Map(steps.map((each) => [each.key, each.step]))].sort(([a], [b]) => (a < b ? -1 : 1));
  const records: CacheRecord[] = sorted.map(([key, step]) => recordOf(key, step, layerNumber(step)));
  const known = new Set(sorted.map(([key]) => key));
  for (const [number, [, step]] of sorted.entries()) {
    const { contentKey } = step;
    if (contentKey === undefined || known.has(contentKey)) continue;
    known.add(contentKey);
    records.push({ ...recordOf(contentKey, step, layerNumber(step)), inputs: [[{ link: number }]] });
  }
  return records;
}

function recordOf(key: string, { newestSeconds }: CachedStep, layer: number): CacheRecord {
  return { layers: [{ layer, createdAt: createdAt(newestSeconds) }], digest: `sha256:${key}` };
}

/**
 * Records of a cache, whoever wrote it. What is no step of ours is left out: a key that is not ours is never asked for.
 * @throws AppError CACHE_INVALID
 */
export function readRecords(records: unknown): readonly ReadRecord[] {
  if (!Array.isArray(records)) throw cacheInvalid('its records are no list');
  if (records.length > MAX_RECORDS) throw cacheInvalid(`it has ${records.length} records, at most ${MAX_RECORDS}`);
  const read = records.map((record) => readRecord(record));
  const contentKeys = new Map<number, string>();
  for (const each of read) if (each?.link !== undefined) contentKeys.set(each.link, each.key);
  return read.flatMap((each, number) => {
    if (each === undefined) return [];
    const { key, layer, newestSeconds, link } = each;
    const contentKey = link === undefined ? contentKeys.get(number) : key;
    return [{ key, layer, newestSeconds, ...(contentKey === undefined ? {} : { contentKey }) }];
  });
}

function readRecord(value: unknown): (Omit<ReadRecord, 'contentKey'> & { readonly link?: number }) | undefined {
  const { digest, layers, inputs } = objectOf(value);
  const { layer, createdAt: created } = objectOf(firstOf(layers));
  if (typeof digest !== 'string' || !/^sha256:[0-9a-f]{64}$/.test(digest) || typeof layer !== 'number')
    return undefined;
  const newestMs = typeof created === 'string' ? Date.parse(created) : 0;
  const newestSeconds = Math.max(0, Math.floor(newestMs / 1000));
  if (Number.isNaN(newestSeconds)) return undefined;
  const { link } = objectOf(firstOf(firstOf(inputs)));
  return { key: digest.slice('sha256:'.length), layer, newestSeconds, ...(typeof link === 'number' ? { link } : {}) };
}

/** Digests of the blobs that a config lists as layers, by their numbers. @throws AppError CACHE_INVALID */
export function readLayers(layers: unknown): readonly (Digest | undefined)[] {
  if (!Array.isArray(layers)) throw cacheInvalid('its layers are no list');
  return layers.map((layer) => {
    const { blob } = objectOf(layer);
    return typeof blob === 'string' && isDigest(blob) ? blob : undefined;
  });
}

export function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}

function firstOf(value: unknown): unknown {
  return Array.isArray(value) ? (value[0] as unknown) : undefined;
}

export function cacheInvalid(why: string): AppError {
  return new AppError('CACHE_INVALID', why, { kind: 'failed', hint: 'write it again with --cache-to' });
}
