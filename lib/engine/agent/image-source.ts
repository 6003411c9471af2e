/**
 * From an image's name in a task definition to what a container needs of it: config and layers. The local registry is
 * read directly; there is no pull over HTTP on one machine.
 */
import {
  type Descriptor,
  type Digest,
  formatPlatform,
  formatReference,
  type ImageConfig,
  type Index,
  type Manifest,
  parseImageConfig,
  parseManifestDocument,
  parseReference,
  type Platform,
  platformMatches,
  type Reference,
} from '../../oci/index.js';
import type { Images, StoredManifest } from '../../registry/index.js';
import type { ContentStore } from '../../store/index.js';
import { ContainerFailure } from './container-failure.js';

export interface ImageLayer {
  readonly descriptor: Descriptor;
  /** Digest of the layer's uncompressed tar. */
  readonly diffId: Digest;
}

export interface ResolvedImage {
  /** What the name led to: of the index, where the image has several platforms. */
  readonly digest: Digest;
  /** Digest of its config: what docker calls the image's id. */
  readonly configDigest: Digest;
  readonly config: ImageConfig;
  /** The bottom layer first. */
  readonly layers: readonly ImageLayer[];
}

export interface ImageSourceDeps {
  readonly images: Pick<Images, 'manifest'>;
  readonly content: Pick<ContentStore, 'read'>;
}

export interface ImageSourceOptions {
  readonly platform: Platform;
  /** Whether a host in an image's name is this platform's own registry. */
  readonly isLocalRegistry: (host: string) => boolean;
}

/** @throws ContainerFailure CannotPullContainerError */
export async function resolveImage(
  deps: ImageSourceDeps,
  options: ImageSourceOptions,
  image: string,
): Promise<ResolvedImage> {
  const reference = parseReference(image);
  if (reference.registry !== undefined && !options.isLocalRegistry(reference.registry)) {
    throw pullFailure(
      `${image} lies in the registry ${reference.registry}; tasks on this machine use images of the local registry only`,
    );
  }
  const named = await findManifest(deps, reference);
  if (named === undefined) throw pullFailure(`manifest for ${formatReference(reference)} not found: manifest unknown`);
  const manifest = await platformManifest(deps, options.platform, reference, named);
  const bytes = await deps.content.read(manifest.config.digest);
  if (bytes === undefined) throw pullFailure(`config ${manifest.config.digest} of ${image} is not in the store`);
  const config = parseImageConfig(bytes);
  return {
    digest: named.digest,
    configDigest: manifest.config.digest,
    config,
    layers: pairLayers(manifest, config, image),
  };
}

async function findManifest(deps: ImageSourceDeps, reference: Reference): Promise<StoredManifest | undefined> {
  const { repository, digest, tag = 'latest' } = reference;
  return deps.images.manifest(repository, digest === undefined ? { tag } : { digest });
}

async function platformManifest(
  deps: ImageSourceDeps,
  platform: Platform,
  reference: Reference,
  named: StoredManifest,
): Promise<Manifest> {
  const document = parseManifestDocument(named.bytes, named.mediaType);
  if (document.kind === 'manifest') return document.manifest;
  const entry = chooseEntry(document.index, platform);
  if (entry === undefined) {
    const offered = document.index.manifests.flatMap((each) => (each.platform ? [formatPlatform(each.platform)] : []));
    throw pullFailure(
      `no matching manifest for ${formatPlatform(platform)} in the manifest list entries of ` +
        `${formatReference(reference)} (it has ${offered.join(', ') || 'none'})`,
    );
  }
  const chosen = await deps.images.manifest(reference.repository, { digest: entry.digest });
  if (chosen === undefined) throw pullFailure(`manifest ${entry.digest} of ${formatReference(reference)} not found`);
  const inner = parseManifestDocument(chosen.bytes, chosen.mediaType);
  if (inner.kind === 'manifest') return inner.manifest;
  throw pullFailure(`${entry.digest} of ${formatReference(reference)} is an index inside an index`);
}

/** The entry for the platform; one without variant runs on any of the same architecture. */
function chooseEntry(index: Index, platform: Platform): Descriptor | undefined {
  const exact = index.manifests.find((entry) => entry.platform && platformMatches(platform, entry.platform));
  return (
    exact ??
    index.manifests.find(
      ({ platform: offered }) =>
        offered?.os === platform.os && offered.architecture === platform.architecture && offered.variant === undefined,
    )
  );
}

function pairLayers(manifest: Manifest, config: ImageConfig, image: string): ImageLayer[] {
  const diffIds = config.rootfs.diff_ids;
  if (diffIds.length !== manifest.layers.length) {
    throw pullFailure(`${image} has ${manifest.layers.length} layers, but its config lists ${diffIds.length}`);
  }
  return manifest.layers.flatMap((descriptor, i) => {
    const diffId = diffIds[i];
    return diffId === undefined ? [] : [{ descriptor, diffId }];
  });
}

function pullFailure(message: string): ContainerFailure {
  return new ContainerFailure('CannotPullContainerError', message);
}
