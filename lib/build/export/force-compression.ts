/**
 * Layers that came with a base image in the compression that the build asks for: made once, and remembered by what they
 * were made from. Without `force` a base keeps its layers as they are.
 */
import { AppError } from '../../errors/index.js';
import { compress, decompress } from '../../layers/index.js';
import { type Compression, type Digest, layerCompression, MediaType } from '../../oci/index.js';
import type { ByteSource, Clock, ContentStore, RecordKey, RecordStore } from '../../store/index.js';
import type { Layer } from '../plan/steps.js';

/** An eStargz is no compression of the same tar. */
export interface ForcedCompression {
  readonly type: Compression;
  readonly level?: number;
}

export interface ForceCompressionDeps {
  readonly content: ContentStore;
  readonly records: RecordStore;
  readonly clock: Clock;
}

interface Recompressed {
  readonly digest: Digest;
  readonly size: number;
}

const KEEP_MS = 90 * 24 * 3600 * 1000;
const MEDIA_TYPES = { none: MediaType.ociLayer, gzip: MediaType.ociLayerGzip, zstd: MediaType.ociLayerZstd } as const;

/** @throws AppError BUILD_LAYER_UNAVAILABLE */
export async function forceCompression(
  deps: ForceCompressionDeps,
  layers: readonly Layer[],
  compression: ForcedCompression,
  signal: AbortSignal,
): Promise<readonly Layer[]> {
  const { type } = compression;
  const made: Layer[] = [];
  for (const layer of layers) {
    const isSo = layerCompression(layer.descriptor.mediaType) === type;
    made.push(isSo ? layer : await recompressed(deps, layer, compression, signal));
  }
  return made;
}

async function recompressed(
  { content, records, clock }: ForceCompressionDeps,
  { diffId, descriptor }: Layer,
  { type, level }: ForcedCompression,
  signal: AbortSignal,
): Promise<Layer> {
  const key: RecordKey = { partition: `RECOMPRESSED#${diffId}`, sort: `${type}-${level ?? ''}` };
  const layer = (found: Recompressed): Layer => ({ diffId, descriptor: { mediaType: MEDIA_TYPES[type], ...found } });
  const known = (await records.get<Recompressed>(key))?.value;
  if (known !== undefined && (await content.hold(known.digest, key.partition, { forMs: KEEP_MS })) !== undefined) {
    return layer(known);
  }
  const source = (await content.open(descriptor.digest)) as ByteSource | undefined;
  const kind = layerCompression(descriptor.mediaType);
  if (source === undefined || kind === undefined) {
    throw new AppError('BUILD_LAYER_UNAVAILABLE', `layer ${descriptor.digest} is not there to be compressed anew`, {
      kind: 'failed',
    });
  }
  // What comes out must be what the config promises, whatever the layer said it was.
  const plain = await content.put(decompress(source, kind), { expected: diffId, signal });
  const opened = (await content.open(plain.digest)) as ByteSource;
  const stored = type === 'none' ? plain : await content.put(compress(type, level)(opened), { signal });
  const value: Recompressed = { digest: stored.digest, size: stored.sizeBytes };
  await content.hold(value.digest, key.partition, { forMs: KEEP_MS });
  await records.put(key, value, { expiresAtMs: clock.nowMs() + KEEP_MS });
  return layer(value);
}
