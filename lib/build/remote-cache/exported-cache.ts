/**
 * A cache as documents: the config, and the manifest or index that names it with the layers, in the bytes that BuildKit
 * would write. The same steps give the same digests. A layer is listed once and alone: what it stands on is found by
 * whoever builds, who has the base image.
 */
import { type Descriptor, type Digest, digestOf, MediaType } from '../../oci/index.js';
import { goJson } from '../export/go-format.js';
import type { Layer } from '../plan/steps.js';
import { layerOf } from '../solve/chain.js';
import type { KnownStep } from '../solve/solve-input.js';
import type { CacheTarget } from '../types.js';
import {
  CACHE_CONFIG_TYPE,
  CREATED_ANNOTATION,
  createdAt,
  DIFF_ID_ANNOTATION,
  isWritable,
  recordsOf,
} from './cache-config.js';
import { isImageManifest } from './cache-request.js';

export interface CacheDocuments {
  readonly config: Buffer;
  readonly manifest: Buffer;
  readonly mediaType: string;
  /** What must be where the manifest goes, beside the config. */
  readonly layers: readonly Layer[];
  readonly steps: number;
}

type WrittenTarget = CacheTarget & { readonly type: 'registry' | 'local' };

/** @returns undefined when there is no step to hand on */
export function cacheDocuments(known: readonly KnownStep[], target: WrittenTarget): CacheDocuments | undefined {
  const steps = known.filter((each) => isWritable(each) && (target.mode === 'max' || each.inImage));
  if (steps.length === 0) return undefined;
  const layers = [...new Map(steps.map(({ step }) => [step.descriptor.digest, step]))].sort(([a], [b]) =>
    compare(a, b),
  );
  const numbers = new Map(layers.map(([digest], i) => [digest, i]));
  const records = recordsOf(steps, ({ descriptor }) => numbers.get(descriptor.digest) ?? 0);
  const config = Buffer.from(JSON.stringify({ layers: layers.map(([blob]) => ({ blob, parent: -1 })), records }));
  const descriptors = layers.map(([, { descriptor, diffId, newestSeconds }]): Descriptor => {
    const annotations = { [CREATED_ANNOTATION]: createdAt(newestSeconds), [DIFF_ID_ANNOTATION]: diffId };
    const { mediaType, digest, size } = descriptor;
    return { mediaType: target.ociMediaTypes === false ? dockerType(mediaType) : mediaType, digest, size, annotations };
  });
  return {
    config,
    ...manifestOf(target, { mediaType: CACHE_CONFIG_TYPE, digest: digestOf(config), size: config.length }, descriptors),
    layers: layers.map(([, step]) => layerOf(step)),
    steps: new Set(steps.map(({ key }) => key)).size,
  };
}

function manifestOf(
  target: WrittenTarget,
  config: Descriptor,
  layers: readonly Descriptor[],
): Pick<CacheDocuments, 'manifest' | 'mediaType'> {
  const isManifest = isImageManifest(target);
  const indexType = target.ociMediaTypes === false ? MediaType.dockerManifestList : MediaType.ociIndex;
  const mediaType = isManifest ? MediaType.ociManifest : indexType;
  const content = isManifest ? { config, layers } : { manifests: [...layers, config] };
  return { manifest: Buffer.from(goJson({ schemaVersion: 2, mediaType, ...content })), mediaType };
}

const DOCKER_TYPES: Readonly<Record<string, string>> = {
  [MediaType.ociLayer]: MediaType.dockerLayer,
  [MediaType.ociLayerGzip]: MediaType.dockerLayerGzip,
};

function dockerType(mediaType: string): string {
  return DOCKER_TYPES[mediaType] ?? mediaType;
}

function compare(a: Digest, b: Digest): number {
  return a < b ? -1 : 1;
}
