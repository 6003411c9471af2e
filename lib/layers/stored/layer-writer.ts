/**
 * Writes a layer in one pass: tar, digest (diff id), compression, digest (blob), store. Nothing is held but the lines of
 * its index, compressed.
 */
import { AppError } from '../../errors/index.js';
import { type Compression, type Digest, Digester, MediaType, TOC_DIGEST, UNCOMPRESSED_SIZE } from '../../oci/index.js';
import type { ByteSource, ContentStore } from '../../store/index.js';
import { digesting } from '../byte-stream.js';
import { compress, DEFAULT_GZIP_LEVEL } from '../compression/compression.js';
import { type EncodedIndex, IndexLines } from './layer-index.js';
import { estargz, type EstargzLayer } from './estargz.js';
import type { LayerSegments } from './layer-segments.js';
import { type Segment, segmentCoder, segmentedGzip, type SegmentSource } from './segmented-gzip.js';
import { TarCuts } from './tar-cuts.js';
import { type TarWriteOptions, writeTar } from '../tar/tar-writer.js';
import type { LayerEntry, TarMember, WrittenLayer } from '../types.js';

export interface WriteLayerOptions {
  readonly content: Pick<ContentStore, 'put'>;
  /** `gzip` when absent; `estargz` is gzip whose files can be read one by one. */
  readonly compression?: LayerCompression;
  /** As `compress` takes it. */
  readonly level?: number;
  readonly signal?: AbortSignal;
  /** Compressed segments of an earlier layer, made by the coder that `segmentsCoder` tells; they change no byte. */
  readonly known?: SegmentSource;
}

export interface IndexedLayer extends WrittenLayer {
  /** To be kept (`LayerIndexes.put`). */
  readonly index: EncodedIndex;
  /** Of a layer that was compressed by segments. */
  readonly segments?: LayerSegments;
}

export type LayerCompression = Compression | 'estargz';

const MEDIA_TYPE: Readonly<Record<LayerCompression, string>> = {
  estargz: MediaType.ociLayerGzip,
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
  const index = new IndexLines();
  const onEntry = (entry: LayerEntry, bodyOffset: number): void => index.add(entry, bodyOffset);
  const coder = segmentsCoder(options);
  const { bytes, plain, segments, annotations } = writing(members, onEntry, options);
  const stored = await content.put(bytes, {
    handsOver: coder !== undefined,
    ...(signal === undefined ? {} : { signal }),
  });
  const blob = { digest: stored.digest, size: stored.sizeBytes };
  const descriptor = { mediaType: MEDIA_TYPE[compression], ...blob };
  const notes = annotations?.();
  const { digest: diffId, sizeBytes: uncompressedBytes } = plain();
  const encoded = index.end({ descriptor, diffId, uncompressedBytes });
  return {
    diffId,
    descriptor: notes === undefined ? descriptor : { ...descriptor, annotations: notes },
    uncompressedBytes,
    entries: encoded.entries,
    index: encoded,
    ...(coder === undefined || segments === undefined ? {} : { segments: { coder, blob, segments } }),
  };
}

/** A layer on its way; `plain` and `segments` are whole when all bytes have passed. */
interface Written {
  readonly bytes: ByteSource;
  readonly plain: () => { readonly digest: Digest; readonly sizeBytes: number };
  readonly segments?: readonly Segment[];
  /** Of the descriptor. */
  readonly annotations?: () => Readonly<Record<string, string>>;
}

type Members = AsyncIterable<TarMember> | Iterable<TarMember>;
type OnEntry = NonNullable<TarWriteOptions['onEntry']>;

function writing(members: Members, onEntry: OnEntry, options: WriteLayerOptions): Written {
  const { compression = 'gzip' } = options;
  if (compression === 'estargz') return asEstargz(members, onEntry, options);
  return segmentsCoder(options) === undefined
    ? asOne(members, onEntry, compression, options)
    : inSegments(members, onEntry, options);
}

function asEstargz(
  members: Members,
  onEntry: OnEntry,
  { level = DEFAULT_GZIP_LEVEL }: Pick<WriteLayerOptions, 'level'>,
): Written {
  // Says so when there is no such level.
  compress('gzip', level);
  let layer: EstargzLayer | undefined;
  const whole = (): EstargzLayer => {
    if (layer !== undefined) return layer;
    throw new AppError('INTERNAL', 'a layer was stored before its end', { kind: 'internal' });
  };
  return {
    bytes: estargz(members, { level, onEntry, onEnd: (told) => (layer = told) }),
    plain: () => ({ digest: whole().diffId, sizeBytes: whole().uncompressedBytes }),
    annotations: () => ({ [TOC_DIGEST]: whole().toc, [UNCOMPRESSED_SIZE]: String(whole().uncompressedBytes) }),
  };
}

function asOne(members: Members, onEntry: OnEntry, compression: Compression, { level }: WriteLayerOptions): Written {
  const digester = new Digester();
  const plain = digesting(writeTar(members, { onEntry }), digester);
  return {
    bytes: compress(compression, level)(plain),
    plain: () => ({ digest: digester.digest(), sizeBytes: digester.sizeBytes }),
  };
}

function inSegments(
  members: Members,
  onEntry: OnEntry,
  { level = DEFAULT_GZIP_LEVEL, known }: WriteLayerOptions,
): Written {
  // Says so when there is no such level.
  compress('gzip', level);
  const cuts = new TarCuts();
  const segments: Segment[] = [];
  let plain: ReturnType<Written['plain']> | undefined;
  const bytes = segmentedGzip(writeTar(members, { onEntry, cuts, reuse: true }), {
    level,
    cuts,
    onSegment: (segment) => void segments.push(segment),
    onEnd: (told) => (plain = told),
    ...(known === undefined ? {} : { known }),
  });
  return {
    bytes,
    segments,
    plain: () => {
      if (plain !== undefined) return plain;
      throw new AppError('INTERNAL', 'a layer was stored before its end', { kind: 'internal' });
    },
  };
}
