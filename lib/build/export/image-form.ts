/**
 * The form an image is written in: OCI's media types or docker's, one family in one manifest. A layer gets another label,
 * never other bytes. docker's have no place for zstd, annotations and attestations.
 */
import { AppError } from '../../errors/index.js';
import { type Descriptor, MediaType, TOC_DIGEST, UNCOMPRESSED_SIZE } from '../../oci/index.js';
import type { BuildRequest } from '../types.js';
import { sortedObject } from './go-format.js';

export interface ImageForm {
  readonly manifest: string;
  readonly index: string;
  readonly config: string;
  /** The descriptor of a layer with the media type of this form. */
  layer(descriptor: Descriptor): Descriptor;
}

const PAIRS = [
  [MediaType.ociLayer, MediaType.dockerLayer],
  [MediaType.ociLayerGzip, MediaType.dockerLayerGzip],
] as const;

export const OCI_FORM: ImageForm = {
  manifest: MediaType.ociManifest,
  index: MediaType.ociIndex,
  config: MediaType.ociConfig,
  layer: (descriptor) => {
    return annotated(relabelled(descriptor, new Map(PAIRS.map(([oci, docker]) => [docker, oci]))), descriptor);
  },
};

const DOCKER_FORM: ImageForm = {
  manifest: MediaType.dockerManifest,
  index: MediaType.dockerManifestList,
  config: MediaType.dockerConfig,
  layer: (descriptor) => relabelled(descriptor, new Map(PAIRS)),
};

function relabelled({ mediaType, digest, size }: Descriptor, types: ReadonlyMap<string, string>): Descriptor {
  return { mediaType: types.get(mediaType) ?? mediaType, digest, size };
}

/** With what a puller of single files wants to know of an eStargz. */
function annotated(layer: Descriptor, { annotations = {} }: Descriptor): Descriptor {
  const kept = Object.entries(annotations).filter(([name]) => name === TOC_DIGEST || name === UNCOMPRESSED_SIZE);
  return kept.length === 0 ? layer : { ...layer, annotations: sortedObject(Object.fromEntries(kept)) };
}

type Wanted = Pick<
  BuildRequest,
  'mediaTypes' | 'compatibilityVersion' | 'annotations' | 'attestations' | 'compression'
>;

/** BuildKit before 0.32 wrote docker's media types where nothing needed OCI's. @throws AppError BUILD_MEDIA_TYPES */
export function imageForm(wanted: Wanted, layers: readonly { readonly descriptor: Descriptor }[]): ImageForm {
  const { mediaTypes, compatibilityVersion = 30, annotations = {}, attestations, compression } = wanted;
  const isZstd = layers.some(({ descriptor }) => descriptor.mediaType === MediaType.ociLayerZstd);
  const reasons = [
    ...(isZstd ? ['layers in zstd'] : []),
    ...(compression?.type === 'estargz' ? ['layers in eStargz'] : []),
    ...(Object.keys(annotations).length === 0 ? [] : ['annotations']),
    ...(attestations === undefined ? [] : ['attestations']),
  ];
  if (mediaTypes === 'docker' && reasons.length > 0) {
    throw new AppError('BUILD_MEDIA_TYPES', `docker's media types have no place for ${reasons.join(' and ')}`, {
      hint: "OCI's media types, which docker reads as well; or an image without these",
    });
  }
  const isDocker = mediaTypes === 'docker' || (mediaTypes === undefined && compatibilityVersion < 30);
  return isDocker && reasons.length === 0 ? DOCKER_FORM : OCI_FORM;
}

/**
 * What can be refused before anything is built.
 * @throws AppError BUILD_MEDIA_TYPES, BUILD_COMPATIBILITY_UNSUPPORTED, COMPRESSION_UNSUPPORTED
 */
export function checkForm(wanted: Wanted): void {
  const { compatibilityVersion, compression } = wanted;
  if (compression?.type === 'estargz' && compression.force === true) {
    throw new AppError('COMPRESSION_UNSUPPORTED', 'layers of a base image cannot be forced into eStargz', {
      kind: 'unsupported',
      hint: 'estargz for the layers of the build, or a base image that was built with it',
    });
  }
  if (compatibilityVersion === 10 && compression?.type === 'zstd') {
    throw new AppError('BUILD_COMPATIBILITY_UNSUPPORTED', 'compatibility version 10 is not offered with zstd', {
      kind: 'unsupported',
      hint: 'gzip, or version 20: the zstd of those days is of no BuildKit today either',
    });
  }
  imageForm(wanted, compression?.type === 'zstd' ? [{ descriptor: ZSTD_LAYER }] : []);
}

const ZSTD_LAYER = { mediaType: MediaType.ociLayerZstd } as Descriptor;
