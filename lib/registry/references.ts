/** What a manifest names: the blobs and manifests that must be in the repository before it, and its subject. */
import { type Descriptor, type Digest, isIndexType, isManifestType, type ManifestDocument } from '../oci/index.js';
import { manifestInvalid } from './errors.js';

export interface ManifestReference {
  readonly descriptor: Descriptor;
  /** `either`: an index entry of a type we do not know, as build caches have them. */
  readonly kind: 'blob' | 'manifest' | 'either';
  /** Layers of such types are fetched from elsewhere (image-spec layer.md, non-distributable layers). */
  readonly isOptional: boolean;
}

/** Bounds the work one manifest can cause; images have at most 127 layers. */
const MAX_REFERENCES = 2000;

/**
 * Each digest once.
 * @throws AppError MANIFEST_INVALID when there are too many
 */
export function referencesOf(document: ManifestDocument): readonly ManifestReference[] {
  const found = new Map<Digest, ManifestReference>();
  const add = (descriptor: Descriptor, kind: ManifestReference['kind']): void => {
    if (found.has(descriptor.digest)) return;
    found.set(descriptor.digest, { descriptor, kind, isOptional: isNonDistributable(descriptor.mediaType) });
  };
  if (document.kind === 'manifest') {
    add(document.manifest.config, 'blob');
    for (const layer of document.manifest.layers) add(layer, 'blob');
  } else {
    for (const entry of document.index.manifests) add(entry, childKind(entry.mediaType));
  }
  if (found.size > MAX_REFERENCES) {
    throw manifestInvalid(`the manifest names ${found.size} blobs and manifests`, `at most ${MAX_REFERENCES}`);
  }
  return [...found.values()];
}

export function subjectOf(document: ManifestDocument): Digest | undefined {
  return (document.kind === 'manifest' ? document.manifest : document.index).subject?.digest;
}

function childKind(mediaType: string): ManifestReference['kind'] {
  return isManifestType(mediaType) || isIndexType(mediaType) ? 'manifest' : 'either';
}

function isNonDistributable(mediaType: string): boolean {
  return mediaType.includes('.nondistributable.') || mediaType.includes('.foreign.');
}
