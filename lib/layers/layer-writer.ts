/** Writes a layer in one pass: tar, digest (diff id), compression, digest (blob), store. Nothing is held but the index. */
import { type Compression, Digester, MediaType } from '../oci/index.js';
import type { ByteSource, ContentStore } from '../store/index.js';
import { digesting } from './byte-stream.js';
import { compress, DEFAULT_GZIP_LEVEL } from './compression.js';
import { indexedEntry, type IndexedEntry, type LayerIndex } from './layer-index.js';
import type { LayerSegments } from './layer-segments.js';
import { type Segment, segmentCoder, segmentedGzip, type SegmentSource } from './segmented-gzip.js';
import { TarCuts } from './tar-cuts.js';
import { writeTar } from './tar-writer.js';
import type { TarMember, WrittenLayer } from './types.js';

export interface WriteLayerOptions {
  readonly content: Pick<ContentStore, 'put'>;
  /** `gzip` when absent. */
  readonly compression?: Compression;
  /** As `compress` takes it. */
  readonly level?: number;
  readonly signal?: AbortSignal;
  /** Compressed segments of an earlier layer, made by the coder that `segmentsCoder` tells; they change no byte. */
  readonly known?: SegmentSource;
}

export interface IndexedLayer extends WrittenLayer {
  readonly index: LayerIndex;
  /** Of a layer that was compressed by segments. */
  readonly segments?: LayerSegments;
}

const MEDIA_TYPE: Readonly<Record<Compression, string>> = {
  none: MediaType.ociLayer,
  gzip: MediaType.ociLayerGzip,
  zstd: MediaType.ociLayerZstd,
};

/** What compresses such a layer by segments; undefined when none does. */
export function segmentsCoder({
  compression = 'gzip',
  level = DEFAULT_GZIP_LEVEL,
}: SegmentsOptions): string | undefined {
  return compression === 'gzip' && level !== 0 ? segmentCoder(level) : undefined;
}

type SegmentsOptions = Pick<WriteLayerOptions, 'compression' | 'level'>;

/**
 * Stores the members as a layer, in the order they come; sorting and parents are the caller's (`completeChangeset`).
 * Nothing is stored when the members fail midway.
 */
export async function writeLayer(
  members: AsyncIterable<TarMember> | Iterable<TarMember>,
  options: WriteLayerOptions,
): Promise<IndexedLayer> {
  const { content, compression = 'gzip', signal } = options;
  const entries: IndexedEntry[] = [];
  const segments: Segment[] = [];
  const cuts = new TarCuts();
  const coder = segmentsCoder(options);
  const tar = writeTar(members, {
    onEntry: (entry, bodyOffset) => entries.push(indexedEntry(entry, bodyOffset)),
    ...(coder === undefined ? {} : { cuts }),
  });
  const digester = new Digester();
  const plain = digesting(tar, digester);
  const blob = coder === undefined ? compress(compression, options.level)(plain) : inSegments(plain, options);
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
    ...(coder === undefined
      ? {}
      : { segments: { coder, blob: { digest: stored.digest, size: stored.sizeBytes }, segments } }),
  };

  function inSegments(source: ByteSource, { level = DEFAULT_GZIP_LEVEL, known }: WriteLayerOptions): ByteSource {
    // Says so when there is no such level.
    compress('gzip', level);
    const onSegment = (segment: Segment): void => void segments.push(segment);
    return segmentedGzip(source, { level, cuts, onSegment, ...(known === undefined ? {} : { known }) });
  }
}
