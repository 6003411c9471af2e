/** Reads a stored layer: its members, its uncompressed bytes, its index. */
import { AppError } from '../../errors/index.js';
import { type Digest, Digester, layerCompression } from '../../oci/index.js';
import { type ByteRange, type ByteSource, type ContentStore, piecesOf } from '../../store/index.js';
import { digesting } from '../byte-stream.js';
import { decompress } from '../compression/compression.js';
import type { LayerDescriptor, LayerIndex } from './layer-index.js';
import { type PlacedMember, readTar, type TarReadOptions } from '../tar/tar-reader.js';
import { EntryList } from '../tree/entry-list.js';

/** Where layer blobs are read from. */
export type LayerContent = Pick<ContentStore, 'open'>;

/**
 * The layer's uncompressed tar.
 * @param options.reuse chunks may lie in the same memory: each is good until the next one is asked for
 * @throws AppError LAYER_ABSENT when the store has no such blob, LAYER_TYPE for a media type that is no layer
 */
export async function* openLayer(
  content: LayerContent,
  descriptor: LayerDescriptor,
  { range, reuse = false }: { readonly range?: ByteRange; readonly reuse?: boolean } = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  const compression = layerCompression(descriptor.mediaType);
  if (compression === undefined) {
    throw new AppError('LAYER_TYPE', `${descriptor.mediaType} is not a layer that can be read`, {
      kind: 'unsupported',
      hint: 'a tar, plain or with gzip or zstd, in the media types of OCI or docker',
    });
  }
  const blob = await content.open(descriptor.digest, range);
  if (blob === undefined) {
    throw new AppError('LAYER_ABSENT', `the layer ${descriptor.digest} is not in the store`, { kind: 'not-found' });
  }
  const bytes = reuse ? piecesOf(blob, true) : (blob as ByteSource);
  yield* compression === 'none' ? bytes : decompress(bytes, compression);
}

/** The layer's entries in the order of its tar. */
export function readLayer(
  content: LayerContent,
  descriptor: LayerDescriptor,
  options: TarReadOptions = {},
): AsyncIterable<PlacedMember> {
  return readTar(openLayer(content, descriptor), options);
}

/**
 * Makes the index of a layer by reading its blob once.
 * @param expected when given, the uncompressed bytes must have this digest (LAYER_CORRUPT)
 */
export async function indexLayer(
  content: LayerContent,
  descriptor: LayerDescriptor,
  expected?: Digest,
): Promise<LayerIndex> {
  const digester = new Digester();
  const entries = new EntryList();
  for await (const { entry, bodyOffset } of readTar(digesting(openLayer(content, descriptor), digester))) {
    entries.push(entry, { bodyOffset });
  }
  const diffId = digester.digest();
  checkDiffId(descriptor, diffId, expected);
  const { mediaType, digest, size } = descriptor;
  return { descriptor: { mediaType, digest, size }, diffId, uncompressedBytes: digester.sizeBytes, entries };
}

export function checkDiffId(descriptor: LayerDescriptor, actual: Digest, expected: Digest | undefined): void {
  if (expected === undefined || expected === actual) return;
  throw new AppError('LAYER_CORRUPT', `the layer ${descriptor.digest} unpacks to ${actual}, not to ${expected}`, {
    hint: 'the image config and the layer do not belong together: pull or build the image again',
    details: { digest: descriptor.digest, expected, actual },
  });
}
