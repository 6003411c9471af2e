/**
 * What is known of finished steps: `STEP#<key>` leads to the layer. Records, not memory: every builder on the store
 * shares them.
 */
import type { Descriptor, Digest } from '../../oci/index.js';
import type { Clock, ContentStore, RecordKey, RecordStore } from '../../store/index.js';
import type { Layer } from '../plan/steps.js';

/** A finished step's layer. */
export interface CachedStep extends Layer {
  /** Newest time of an entry of the layer, in seconds: later steps date their own files by it. */
  readonly newestSeconds: number;
  /** Its key by content, where that was found out. */
  readonly contentKey?: string;
  /** What a RUN fetched through its proxy: a ProxyRecord, in the store. */
  readonly fetches?: Digest;
  /** The cache of the request that had it; absent when it is our own. */
  readonly importedFrom?: string;
}

/** The record. It holds the layer's blob, and what else it names, as long as it lives. */
export interface StepRecord {
  readonly diffId: Digest;
  readonly descriptor: Pick<Descriptor, 'mediaType' | 'digest' | 'size' | 'annotations'>;
  readonly newestSeconds: number;
  readonly contentKey?: string;
  readonly fetches?: Digest;
  readonly createdMs: number;
  readonly hitMs: number;
}

/** A step nobody asked for is forgotten after so long. */
const KEEP_MS = 90 * 24 * 3600 * 1000;
/** A hit is written down only when the last one is older: reads stay reads. */
const HIT_MS = 24 * 3600 * 1000;

export interface StepCacheDeps {
  readonly records: RecordStore;
  readonly content: ContentStore;
  readonly clock: Clock;
}

export class StepCache {
  constructor(private readonly deps: StepCacheDeps) {}

  /** The step's layer; undefined when it is not known or its blob is gone. */
  async find(key: string): Promise<CachedStep | undefined> {
    const { records, content, clock } = this.deps;
    const record = await records.get<StepRecord>(recordKey(key));
    if (record === undefined || (await content.stat(record.value.descriptor.digest)) === undefined) return undefined;
    const now = clock.nowMs();
    if (now - record.value.hitMs > HIT_MS) {
      await this.hold(key, record.value);
      const value: StepRecord = { ...record.value, hitMs: now };
      // Whoever else wrote it meanwhile has said the same.
      await records.put(recordKey(key), value, { expect: { version: record.version }, expiresAtMs: now + KEEP_MS });
    }
    return cached(record.value);
  }

  /**
   * Keeps a step under its keys. When another builder was first, its layer counts: the same key is the same layer for
   * everybody.
   * @param replace for builds without cache: the new layer counts
   */
  async keep(keys: readonly string[], step: CachedStep, replace: boolean): Promise<CachedStep> {
    const { records, clock } = this.deps;
    const now = clock.nowMs();
    const { mediaType, digest, size, annotations } = step.descriptor;
    const { contentKey, fetches } = step;
    const value: StepRecord = {
      diffId: step.diffId,
      descriptor: { mediaType, digest, size, ...(annotations === undefined ? {} : { annotations }) },
      newestSeconds: step.newestSeconds,
      ...(contentKey === undefined ? {} : { contentKey }),
      ...(fetches === undefined ? {} : { fetches }),
      createdMs: now,
      hitMs: now,
    };
    let kept = step;
    for (const key of new Set(keys)) {
      const options = { expiresAtMs: now + KEEP_MS };
      await this.hold(key, value);
      const first = await records.put(recordKey(key), value, { ...options, expect: replace ? 'any' : 'absent' });
      if (first.outcome === 'written') continue;
      const winner = await this.find(key);
      if (winner !== undefined) kept = winner;
      else await records.put(recordKey(key), value, options);
    }
    return kept;
  }

  private async hold(key: string, { descriptor, fetches }: StepRecord): Promise<void> {
    for (const digest of [descriptor.digest, ...(fetches === undefined ? [] : [fetches])]) {
      await this.deps.content.hold(digest, holderOf(key), { forMs: KEEP_MS });
    }
  }
}

const recordKey = (key: string): RecordKey => ({ partition: `STEP#${key}`, sort: '-' });
const holderOf = (key: string): string => `STEP#${key}`;

function cached(record: StepRecord): CachedStep {
  const { diffId, newestSeconds, contentKey, fetches } = record;
  const descriptor: Descriptor = record.descriptor;
  return {
    diffId,
    descriptor,
    newestSeconds,
    ...(contentKey === undefined ? {} : { contentKey }),
    ...(fetches === undefined ? {} : { fetches }),
  };
}
