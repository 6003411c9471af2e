/**
 * The indexes of layers, kept: a blob each, found by a record `LAYER#<diff id>` / `INDEX`. An index is only a memory of
 * what is in a layer, so a missing or damaged one is made again.
 */
import { AppError } from '../../errors/index.js';
import type { Digest } from '../../oci/index.js';
import type { ByteSource, ContentStore, RecordKey, RecordStore } from '../../store/index.js';
import { decodeIndex, encodeIndex, type EncodedIndex, type LayerDescriptor, type LayerIndex } from './layer-index.js';
import { indexLayer } from './layer-reader.js';

/** What the record holds. The blob is held while the index is read now and then. */
export interface LayerIndexRecord {
  readonly blob: Digest;
  readonly entries: number;
}

export interface LayerIndexDeps {
  readonly content: ContentStore;
  readonly records: RecordStore;
}

export function layerIndexKey(diffId: Digest): RecordKey {
  return { partition: `LAYER#${diffId}`, sort: 'INDEX' };
}

export class LayerIndexes {
  private readonly running = new Map<Digest, Promise<LayerIndex>>();

  constructor(private readonly deps: LayerIndexDeps) {}

  /** The index of a layer; made by reading the layer once if it is not known yet. Single flight per layer. */
  async get(layer: { readonly descriptor: LayerDescriptor; readonly diffId: Digest }): Promise<LayerIndex> {
    const { diffId } = layer;
    const running = this.running.get(diffId);
    const index = await (running ?? this.start(layer));
    const { mediaType, digest, size } = layer.descriptor;
    // One content may be stored compressed in several ways; the caller's blob is the one to read from.
    return { ...index, descriptor: { mediaType, digest, size } };
  }

  /** Keeps an index that was made while the layer was written. */
  async put(index: EncodedIndex): Promise<void> {
    const { diffId, entries } = index;
    const blob = await this.deps.content.put(index.bytes());
    await this.deps.content.hold(blob.digest, holderOf(diffId), { forMs: KEEP_MS });
    const record: LayerIndexRecord = { blob: blob.digest, entries };
    await this.deps.records.put(layerIndexKey(diffId), record);
  }

  private start(layer: { readonly descriptor: LayerDescriptor; readonly diffId: Digest }): Promise<LayerIndex> {
    const work = this.load(layer).finally(() => this.running.delete(layer.diffId));
    this.running.set(layer.diffId, work);
    return work;
  }

  private async load(layer: { readonly descriptor: LayerDescriptor; readonly diffId: Digest }): Promise<LayerIndex> {
    const known = await this.stored(layer.diffId);
    if (known !== undefined) return known;
    const made = await indexLayer(this.deps.content, layer.descriptor, layer.diffId);
    await this.put(encodeIndex(made));
    return made;
  }

  private async stored(diffId: Digest): Promise<LayerIndex | undefined> {
    const record = await this.deps.records.get<LayerIndexRecord>(layerIndexKey(diffId));
    if (record === undefined) return undefined;
    await this.deps.content.hold(record.value.blob, holderOf(diffId), { forMs: KEEP_MS });
    const blob = await this.deps.content.open(record.value.blob);
    if (blob === undefined) return undefined;
    try {
      return await decodeIndex(blob as ByteSource);
    } catch (error) {
      if (error instanceof AppError && INDEX_DAMAGED.has(error.code)) return undefined;
      throw error;
    }
  }
}

/** An index that nobody read for so long is made again when it is needed. */
const KEEP_MS = 90 * 24 * 3600 * 1000;
const holderOf = (diffId: Digest): string => `LAYER#${diffId}`;

const INDEX_DAMAGED = new Set(['LAYER_INDEX_INVALID', 'COMPRESSION_INVALID']);
