/**
 * Reads a cache as some builder wrote it: a manifest or an index of its own, or an image that carries its records in
 * its config (`moby.buildkit.cache.v0`), for each platform. Only documents are read; no layer moves.
 */
import { type Descriptor, type Digest, isDigest, isIndexType, isManifestType } from '../../oci/index.js';
import { layerCompression, parseImageConfig, parseManifestDocument, type Manifest } from '../../oci/index.js';
import type { StoredManifest } from '../../registry/index.js';
import { OCI_FORM } from '../export/image-form.js';
import type { ImageSource } from '../images/image-source.js';
import type { CachedStep } from '../solve/step-cache.js';
import {
  CACHE_CONFIG_TYPE,
  cacheInvalid,
  DIFF_ID_ANNOTATION,
  objectOf,
  readLayers,
  readRecords,
  type SharedStep,
} from './cache-config.js';
import { INLINE_FIELD } from './inline-cache.js';

/** A layer of a cache: what a record needs to lead to it. */
interface CacheLayer {
  readonly descriptor: Descriptor;
  readonly diffId: Digest;
}

/** Of an index; images have some, and what they have beside them. */
const MAX_MANIFESTS = 100;

/** @throws AppError CACHE_INVALID, MANIFEST_INVALID, IMAGE_CONFIG_INVALID, and what the place refuses */
export async function readCache(source: ImageSource, stored: StoredManifest): Promise<readonly SharedStep[]> {
  const document = parseManifestDocument(stored.bytes, stored.mediaType);
  if (document.kind === 'manifest') return readManifest(source, document.manifest);
  const { manifests } = document.index;
  const config = manifests.find(({ mediaType }) => mediaType === CACHE_CONFIG_TYPE);
  if (config !== undefined) return readConfig(source, config, manifests);
  const images = manifests.filter(({ mediaType, platform }) => isImage(mediaType) && platform?.os !== 'unknown');
  if (images.length > MAX_MANIFESTS) throw cacheInvalid(`its index has ${images.length} images`);
  const steps: SharedStep[] = [];
  for (const { digest } of images) {
    const child = await source.manifest({ digest });
    const parsed = child === undefined ? undefined : parseManifestDocument(child.bytes, child.mediaType);
    if (parsed?.kind === 'manifest') steps.push(...(await readManifest(source, parsed.manifest)));
  }
  return steps;
}

function isImage(mediaType: string): boolean {
  return isManifestType(mediaType) || isIndexType(mediaType);
}

async function readManifest(source: ImageSource, { config, layers }: Manifest): Promise<readonly SharedStep[]> {
  return config.mediaType === CACHE_CONFIG_TYPE
    ? readConfig(source, config, layers)
    : readInline(source, config, layers);
}

/** A config beside the layers it is about. */
async function readConfig(
  source: ImageSource,
  descriptor: Descriptor,
  blobs: readonly Descriptor[],
): Promise<readonly SharedStep[]> {
  const { layers = [], records = [] } = objectOf(jsonOf(await source.config(descriptor)));
  const byDigest = new Map(blobs.map((blob) => [blob.digest, layerOf(blob, blob.annotations?.[DIFF_ID_ANNOTATION])]));
  const numbered = readLayers(layers).map((digest) => (digest === undefined ? undefined : byDigest.get(digest)));
  return stepsOf(source, records, numbered);
}

/** Records in an image: they count the image's own layers. */
async function readInline(
  source: ImageSource,
  descriptor: Descriptor,
  blobs: readonly Descriptor[],
): Promise<readonly SharedStep[]> {
  const bytes = await source.config(descriptor);
  const { [INLINE_FIELD]: inline } = objectOf(jsonOf(bytes));
  if (bytes === undefined || typeof inline !== 'string') return [];
  const { diff_ids: diffIds } = parseImageConfig(bytes).rootfs;
  const layers = blobs.map((blob, i) => layerOf(blob, diffIds[i]));
  return stepsOf(source, jsonOf(Buffer.from(inline, 'base64')), layers);
}

function layerOf(blob: Descriptor, diffId: string | undefined): CacheLayer | undefined {
  if (diffId === undefined || !isDigest(diffId) || layerCompression(blob.mediaType) === undefined) return undefined;
  return { descriptor: OCI_FORM.layer(blob), diffId };
}

function stepsOf(
  { origin }: ImageSource,
  records: unknown,
  layers: readonly (CacheLayer | undefined)[],
): readonly SharedStep[] {
  return readRecords(records).flatMap(({ key, layer: number, newestSeconds, contentKey }) => {
    const layer = layers[number];
    if (layer === undefined) return [];
    const step: CachedStep = {
      ...layer,
      newestSeconds,
      ...(origin === undefined ? {} : { origin }),
      ...(contentKey === undefined ? {} : { contentKey }),
    };
    return [{ key, step }];
  });
}

function jsonOf(bytes: Buffer | undefined): unknown {
  if (bytes === undefined) throw cacheInvalid('its config is not there');
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw cacheInvalid(`its config is no JSON: ${error instanceof Error ? error.message : 'unreadable'}`);
  }
}
