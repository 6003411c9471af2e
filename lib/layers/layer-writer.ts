/** Writes a layer in one pass: tar, digest (diff id), compression, digest (blob), store. Nothing is held but the index. */
import { type Compression, Digester, MediaType } from '../oci/index.js';
import type { ContentStore } from '../store/index.js';
import { digesting } from './byte-stream.js';
import { compress } from './compression.js';
import type { IndexedEntry, LayerIndex } from './layer-index.js';
import { writeTar } from './tar-writer.js';
import type { TarMember, WrittenLayer } from './types.js';

export interface WriteLayerOptions {
  readonly content: Pick<ContentStore, 'put'>;
  /** `gzip` when absent. */
  readonly compression?: Compression;
  /** As `compress` takes it. */
  readonly level?: number;
  readonly signal?: AbortSignal;
}

export interface IndexedLayer extends WrittenLayer {
  readonly index: LayerIndex;
}

const MEDIA_TYPE: Readonly<Record<Compression, string>> = {
  none: MediaType.ociLayer,
  gzip: MediaType.ociLayerGzip,
  zstd: MediaType.ociLayerZstd,
};

/**
 * Stores the members as a layer, in the order they come; sorting and parents are the caller's (`completeChangeset`).
 * Nothing is stored when the members fail midway.
 */
export async function writeLayer(
  members: AsyncIterable<TarMember> | Iterable<TarMember>,
  options: WriteLayerOptions,
): Promise<IndexedLayer> {
  const { content, compression = 'gzip', level, signal } = options;
  const entries: IndexedEntry[] = [];
  const tar = writeTar(members, { onEntry: (entry, bodyOffset) => entries.push({ ...entry, bodyOffset }) });
  const digester = new Digester();
  const blob = compress(compression, level)(digesting(tar, digester));
  const stored = await content.put(blob, signal === undefined ? {} : { signal });
  const descriptor = { mediaType: MEDIA_TYPE[compression], digest: stored.digest, size: stored.sizeBytes };
  const diffId = digester.digest();
  const uncompressedBytes = digester.sizeBytes;
  return {
    diffId,
    descriptor,
    uncompressedBytes,
    entries: entries.length,
    index: { descriptor, diffId, uncompressedBytes, entries },
  };
}
