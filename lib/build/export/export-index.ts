/**
 * Several platforms as one image: an index over their manifests, in the order they were asked for, and behind all of them
 * what is attested of each.
 */
import { AppError } from '../../errors/index.js';
import { type Descriptor, digestOf, formatPlatform, type Platform } from '../../oci/index.js';
import { byRepository, type ExportDeps, type ExportedImage, filledMap, parseTag } from './export.js';
import { goJson } from './go-format.js';
import { type ImageForm, OCI_FORM } from './image-form.js';
import type { BuildRequest, PlatformResult } from '../types.js';

export interface ExportedPlatform extends ExportedImage {
  readonly platform: Platform;
  readonly platforms?: readonly PlatformResult[];
  /** The index's entry for what is attested of the image. */
  readonly attestations?: Descriptor;
  /** What each is called in a root folder. */
  readonly attestationFiles?: readonly string[];
}

/** Writes the index and points the tags at it; the images must be in the tags' repositories. */
export async function exportIndex(
  deps: ExportDeps,
  images: readonly ExportedPlatform[],
  request: Pick<BuildRequest, 'tags' | 'annotations'>,
  form: ImageForm = OCI_FORM,
): Promise<ExportedPlatform> {
  const [first] = images;
  if (first === undefined) throw new AppError('INTERNAL', 'an index of no image', { kind: 'internal' });
  const { index, manifestDescriptor } = request.annotations ?? {};
  const document = {
    schemaVersion: 2,
    mediaType: form.index,
    manifests: [
      ...images.map(({ digest, sizeBytes, platform }) => ({
        mediaType: form.manifest,
        digest,
        size: sizeBytes,
        ...filledMap('annotations', manifestDescriptor),
        platform: platformOf(platform),
      })),
      ...images.flatMap(({ attestations }) => attestations ?? []),
    ],
    ...filledMap('annotations', index),
  };
  const bytes = Buffer.from(goJson(document, 2));
  if (request.tags.length === 0) await deps.content.putBytes(bytes);
  for (const [repository, names] of byRepository(request.tags.map(parseTag))) {
    await deps.images.putManifest(repository, bytes, form.index, names);
  }
  return {
    ...first,
    digest: digestOf(bytes),
    sizeBytes: bytes.length,
    platforms: images.map(({ platform, digest, imageId, layers, attestations, attestationFiles }) => ({
      platform: formatPlatform(platform),
      digest,
      imageId,
      layers,
      ...(attestations === undefined ? {} : { attestations: attestations.digest }),
      ...(attestationFiles === undefined ? {} : { attestationFiles }),
    })),
  };
}

/** Members in the order of the Go type. */
function platformOf({ architecture, os, variant }: Platform): object {
  return { architecture, os, ...(variant === undefined ? {} : { variant }) };
}
