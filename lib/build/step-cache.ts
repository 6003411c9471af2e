/**
 * What is known of finished steps: `STEP#<key>` leads to the layer. Beside it, by the place a step has in its
 * Dockerfile, the parts of the last key stand there, so that a miss can say what changed. Records, not memory: every
 * builder on the store shares them.
 */
import { createHash } from 'node:crypto';
import type { Descriptor, Digest } from '../oci/index.js';
import type { Clock, ContentStore, RecordKey, RecordStore } from '../store/index.js';
import type { StepKey } from './keys.js';
import type { Layer } from './steps.js';

/** A finished step's layer. */
export interface CachedStep extends Layer {
  /** Newest time of an entry of the layer, in seconds: later steps date their own files by it. */
  readonly newestSeconds: number;
}

/** The record. It holds the layer's blob as long as it lives. */
export interface StepRecord {
  readonly diffId: Digest;
  readonly descriptor: { readonly mediaType: string; readonly digest: Digest; readonly size: number };
  readonly newestSeconds: number;
  readonly createdMs: number;
  readonly hitMs: number;
}

/** What a step's key was made of last time. */
interface LastKey {
  readonly parts: readonly { readonly name: string; readonly hash: string; readonly shown: string }[];
  /** Identity of files by path, for sources in the context; absent when there were too many. */
  readonly files?: Readonly<Record<string, string>>;
  /** Diff id of the layer it gave. */
  readonly layer?: Digest;
}

/** A step nobody asked for is forgotten after so long. */
const KEEP_MS = 90 * 24 * 3600 * 1000;
/** A hit is written down only when the last one is older: reads stay reads. */
const HIT_MS = 24 * 3600 * 1000;
const MAX_FILES = 2000;
const MAX_SHOWN = 80;

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
      await content.hold(record.value.descriptor.digest, holderOf(key), { forMs: KEEP_MS });
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
    const { records, content, clock } = this.deps;
    const now = clock.nowMs();
    const { mediaType, digest, size } = step.descriptor;
    const value: StepRecord = {
      diffId: step.diffId,
      descriptor: { mediaType, digest, size },
      newestSeconds: step.newestSeconds,
      createdMs: now,
      hitMs: now,
    };
    let kept = step;
    for (const key of new Set(keys)) {
      const options = { expiresAtMs: now + KEEP_MS };
      await content.hold(digest, holderOf(key), { forMs: KEEP_MS });
      const first = await records.put(recordKey(key), value, { ...options, expect: replace ? 'any' : 'absent' });
      if (first.outcome === 'written') continue;
      const winner = await this.find(key);
      if (winner !== undefined) kept = winner;
      else await records.put(recordKey(key), value, options);
    }
    return kept;
  }

  /**
   * Why a key is not in the cache, in one line.
   * @param slot the step's place: repository, Dockerfile, stage, number
   */
  async explain(slot: string, key: StepKey, files: ReadonlyMap<string, string>): Promise<string> {
    const record = await this.deps.records.get<LastKey>(slotKey(slot));
    if (record === undefined) return 'not built here before';
    return difference(record.value, lastKey(key, files)) ?? 'its layer is not in the store any more';
  }

  /** Diff id of the layer that the step at this place gave last time. */
  async lastLayer(slot: string): Promise<Digest | undefined> {
    return (await this.deps.records.get<LastKey>(slotKey(slot)))?.value.layer;
  }

  async remember(slot: string, key: StepKey, files: ReadonlyMap<string, string>, layer: Digest): Promise<void> {
    const value: LastKey = { ...lastKey(key, files), layer };
    await this.deps.records.put(slotKey(slot), value, { expiresAtMs: this.deps.clock.nowMs() + KEEP_MS });
  }
}

const recordKey = (key: string): RecordKey => ({ partition: `STEP#${key}`, sort: '-' });
const holderOf = (key: string): string => `STEP#${key}`;
const slotKey = (slot: string): RecordKey => ({ partition: `STEP-LAST#${slot}`, sort: '-' });

function cached(record: StepRecord): CachedStep {
  const descriptor: Descriptor = record.descriptor;
  return { diffId: record.diffId, descriptor, newestSeconds: record.newestSeconds };
}

function lastKey(key: StepKey, files: ReadonlyMap<string, string>): LastKey {
  const parts = key.parts.slice(0, 500).map(({ name, value }) => ({
    name,
    hash: short(value),
    shown: value.length > MAX_SHOWN ? `${value.slice(0, MAX_SHOWN)}…` : value,
  }));
  if (files.size > MAX_FILES) return { parts };
  return { parts, files: Object.fromEntries([...files].map(([path, identity]) => [path, short(identity)])) };
}

const short = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 16);

/** The first part that is not as it was. */
function difference(before: LastKey, now: LastKey): string | undefined {
  const length = Math.max(before.parts.length, now.parts.length);
  for (let i = 0; i < length; i++) {
    const old = before.parts[i];
    const part = now.parts[i];
    if (part === undefined) return `${old?.name ?? 'a part'} is gone`;
    if (old === undefined || old.name !== part.name) return `${part.name} is new`;
    if (old.hash === part.hash) continue;
    if (part.name === 'what came before') return 'a step before it changed';
    if (part.name === 'command') return 'the command changed';
    if (part.name.startsWith('content of ')) return changedFile(before, now) ?? `${part.name} changed`;
    if (part.name.startsWith('heredoc ')) return `${part.name} changed`;
    return `${part.name}: ${JSON.stringify(old.shown)} → ${JSON.stringify(part.shown)}`;
  }
  return undefined;
}

function changedFile(before: LastKey, now: LastKey): string | undefined {
  const { files: old } = before;
  const { files: fresh } = now;
  if (old === undefined || fresh === undefined) return undefined;
  for (const [path, identity] of Object.entries(fresh)) {
    if (old[path] === undefined) return `${path} is new`;
    if (old[path] !== identity) return `${path} changed`;
  }
  const gone = Object.keys(old).find((path) => fresh[path] === undefined);
  return gone === undefined ? undefined : `${gone} is gone`;
}
