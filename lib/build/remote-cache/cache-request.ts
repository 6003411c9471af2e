/** What a request may ask of caches beside our own; everything that can be refused before a build begins is refused here. */
import { AppError } from '../../errors/index.js';
import { type Digest, parseReference } from '../../oci/index.js';
import { buildkitSettings } from '../plan/buildkit-args.js';
import type { BuildRequest, CacheTarget } from '../types.js';

/** Contexts that are folders with a cache. */
export function sentCaches({ cacheFrom = [] }: Pick<BuildRequest, 'cacheFrom'>): readonly Digest[] {
  return cacheFrom.flatMap((source) => (source.type === 'local' ? [source.layout] : []));
}

/** A manifest unless it was said otherwise, or docker's media types leave only an index. */
export function isImageManifest({ imageManifest, ociMediaTypes = true }: CacheTarget & { type: 'registry' | 'local' }) {
  return imageManifest ?? ociMediaTypes;
}

/** Those of the request; the build argument that docker has for it means inline. */
export function cacheTargets({
  cacheTo = [],
  args = {},
}: Pick<BuildRequest, 'cacheTo' | 'args'>): readonly CacheTarget[] {
  if (!buildkitSettings(args).inlineCache || cacheTo.some(({ type }) => type === 'inline')) return cacheTo;
  return [...cacheTo, { type: 'inline' }];
}

/** @throws AppError REFERENCE_INVALID, CACHE_OPTION_INVALID */
export function checkCaches({
  cacheFrom = [],
  cacheTo = [],
  compression,
}: Pick<BuildRequest, 'cacheFrom' | 'cacheTo' | 'compression'>): void {
  for (const source of cacheFrom) if (source.type === 'registry') parseReference(source.ref);
  for (const target of cacheTo) {
    if (target.type === 'inline') continue;
    if (target.type === 'registry' && parseReference(target.ref).digest !== undefined) {
      throw invalid(`ref=${target.ref} has a digest`, 'a tag: the digest is what the build finds out');
    }
    if (target.ociMediaTypes !== false) continue;
    if (target.imageManifest === true) {
      throw invalid('an image manifest has OCI media types', 'image-manifest=false with oci-mediatypes=false');
    }
    if (compression?.type === 'zstd') {
      throw invalid('docker has no media type for layers in zstd', 'oci-mediatypes=true, or gzip');
    }
  }
}

function invalid(why: string, accepted: string): AppError {
  return new AppError('CACHE_OPTION_INVALID', `cache-to: ${why}`, { hint: accepted });
}
