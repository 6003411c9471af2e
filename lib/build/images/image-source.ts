/**
 * An image found in a place that has images: manifest and config only, no layer is read. Which manifest of an index is
 * meant, and whether manifest and config belong together.
 */
import { AppError } from '../../errors/index.js';
import {
  type Descriptor,
  type Digest,
  formatPlatform,
  type Index,
  type Manifest,
  offeredPlatforms,
  parseImageConfig,
  parseManifestDocument,
  type Platform,
  platformMatches,
} from '../../oci/index.js';
import type { StoredManifest } from '../../registry/index.js';
import type { BaseImage, LayerOrigin } from '../plan/steps.js';

/** A place an image may be in: our registry, another one, an OCI layout. */
export interface ImageSource<Origin extends LayerOrigin = LayerOrigin> {
  /** As messages name it. */
  readonly where: string;
  /** Where the layers come from while our store does not have them. */
  readonly origin?: Origin;
  manifest(by: WantedImage): Promise<StoredManifest | undefined>;
  config(descriptor: Descriptor): Promise<Buffer | undefined>;
  /** Whether a layer is there. */
  has(layer: Descriptor): Promise<boolean>;
}

export type WantedImage = { readonly tag: string } | { readonly digest: Digest };

/**
 * @param name for messages
 * @throws AppError BUILD_BASE_PLATFORM, BUILD_BASE_BROKEN
 */
export async function imageIn(
  source: ImageSource,
  name: string,
  stored: StoredManifest,
  platform: Platform,
): Promise<Omit<BaseImage, 'name'>> {
  const { manifest, digest } = await pick(source, name, stored, platform);
  const bytes = await source.config(manifest.config);
  if (bytes === undefined) throw broken(name, `its config ${manifest.config.digest} is not in ${source.where}`);
  const config = parseImageConfig(bytes);
  const { diff_ids: diffIds } = config.rootfs;
  if (diffIds.length !== manifest.layers.length) {
    throw broken(name, `the manifest has ${manifest.layers.length} layers, the config ${diffIds.length}`);
  }
  const { origin } = source;
  return {
    digest,
    platform: {
      os: config.os,
      architecture: config.architecture,
      ...(config.variant === undefined || config.variant === '' ? {} : { variant: config.variant }),
    },
    layers: manifest.layers.flatMap((descriptor, i) => {
      const diffId = diffIds[i];
      return diffId === undefined ? [] : [{ descriptor, diffId, ...(origin === undefined ? {} : { origin }) }];
    }),
    config: config as unknown as Record<string, unknown>,
  };
}

/** The manifest for the platform; a single manifest is taken as it is, like docker does. */
async function pick(
  source: ImageSource,
  name: string,
  stored: StoredManifest,
  platform: Platform,
): Promise<{ readonly manifest: Manifest; readonly digest: Digest }> {
  const document = parseManifestDocument(stored.bytes, stored.mediaType);
  if (document.kind === 'manifest') return { manifest: document.manifest, digest: stored.digest };
  const entry = choose(document.index, platform);
  if (entry === undefined) {
    const offered = offeredPlatforms(document.index);
    throw new AppError('BUILD_BASE_PLATFORM', `base image ${name} has no image for ${formatPlatform(platform)}`, {
      kind: 'not-found',
      hint: `it has ${offered.join(', ') || 'none that names a platform'}`,
    });
  }
  const child = await source.manifest({ digest: entry });
  const parsed = child === undefined ? undefined : parseManifestDocument(child.bytes, child.mediaType);
  if (child === undefined || parsed?.kind !== 'manifest') {
    throw broken(name, `its index names ${entry}, which is no manifest in ${source.where}`);
  }
  return { manifest: parsed.manifest, digest: child.digest };
}

function choose(index: Index, platform: Platform): Digest | undefined {
  return index.manifests.find((each) => each.platform !== undefined && platformMatches(platform, each.platform))
    ?.digest;
}

function broken(name: string, why: string): AppError {
  return new AppError('BUILD_BASE_BROKEN', `base image ${name} cannot be built on: ${why}`, {
    kind: 'failed',
    hint: 'push the image again',
  });
}
