/**
 * From an image's name in a task definition to what a container needs of it: config and layers. The local registry is
 * read directly; images of other registries are fetched into the content store where the host allows it.
 */
import {
  type Descriptor,
  type Digest,
  formatPlatform,
  formatReference,
  type ImageConfig,
  type Index,
  type Manifest,
  offeredPlatforms,
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

type Wanted = { readonly tag: string } | { readonly digest: Digest };

/** Registries on the network, as far as tasks need them. Their failures are AppErrors that say what and where. */
export interface OtherRegistries {
  open(registry: string): Promise<{
    manifest(repository: string, by: Wanted): Promise<StoredManifest | undefined>;
    config(repository: string, descriptor: Descriptor): Promise<Uint8Array | undefined>;
  }>;
  /** Makes sure that the layers are in the content store. */
  fetchLayers(registry: string, repository: string, layers: readonly ImageLayer[]): Promise<void>;
}

export interface ImageSourceDeps {
  readonly images: Pick<Images, 'manifest'>;
  readonly content: Pick<ContentStore, 'read'>;
  /** Absent: images of other registries are refused, and names without a registry mean the local one only. */
  readonly otherRegistries?: OtherRegistries;
}

/** One repository, wherever it is. */
interface Source {
  manifest(by: Wanted): Promise<StoredManifest | undefined>;
  config(descriptor: Descriptor): Promise<Uint8Array | undefined>;
  fetchLayers(layers: readonly ImageLayer[]): Promise<void>;
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
  const { source, named } = await find(deps, options, image, reference);
  const manifest = await platformManifest(source, options.platform, reference, named);
  const bytes = await source.config(manifest.config);
  if (bytes === undefined) throw pullFailure(`config ${manifest.config.digest} of ${image} is not in the store`);
  const config = parseImageConfig(bytes);
  const layers = pairLayers(manifest, config, image);
  await source.fetchLayers(layers);
  return { digest: named.digest, configDigest: manifest.config.digest, config, layers };
}

/** The layers of an image of the local registry as its manifest lists them; undefined for any other image. */
export async function localLayers(
  deps: ImageSourceDeps,
  options: ImageSourceOptions,
  image: string,
): Promise<readonly { readonly digest: Digest; readonly sizeBytes: number }[] | undefined> {
  const reference = parseReference(image);
  const { registry, repository, digest, tag = 'latest' } = reference;
  if (registry !== undefined && !options.isLocalRegistry(registry)) return undefined;
  const source = localSource(deps, repository);
  const named = await source.manifest(digest === undefined ? { tag } : { digest });
  if (named === undefined) return undefined;
  const { layers } = await platformManifest(source, options.platform, reference, named);
  return layers.map((layer) => ({ digest: layer.digest, sizeBytes: layer.size }));
}

/** A name without a registry means the local one, and Docker Hub where the host allows other registries. */
async function find(
  deps: ImageSourceDeps,
  options: ImageSourceOptions,
  image: string,
  reference: Reference,
): Promise<{ readonly source: Source; readonly named: StoredManifest }> {
  const { registry, repository, digest, tag = 'latest' } = reference;
  const by: Wanted = digest === undefined ? { tag } : { digest };
  const sources: Source[] = [];
  if (registry === undefined || options.isLocalRegistry(registry)) sources.push(localSource(deps, repository));
  else if (deps.otherRegistries !== undefined)
    sources.push(await otherSource(deps.otherRegistries, registry, repository));
  else {
    throw pullFailure(
      `${image} lies in the registry ${registry}; tasks on this machine use images of the local registry only`,
    );
  }
  for (const source of sources) {
    const named = await source.manifest(by);
    if (named !== undefined) return { source, named };
    if (registry === undefined && deps.otherRegistries !== undefined && sources.length === 1) {
      const hub = repository.includes('/') ? repository : `library/${repository}`;
      sources.push(await otherSource(deps.otherRegistries, 'docker.io', hub));
    }
  }
  throw pullFailure(`manifest for ${formatReference(reference)} not found: manifest unknown`);
}

function localSource({ images, content }: ImageSourceDeps, repository: string): Source {
  return {
    manifest: (by) => images.manifest(repository, by),
    config: ({ digest }) => content.read(digest),
    fetchLayers: () => Promise.resolve(),
  };
}

async function otherSource(others: OtherRegistries, registry: string, repository: string): Promise<Source> {
  const remote = await others.open(registry);
  return {
    manifest: (by) => remote.manifest(repository, by),
    config: (descriptor) => remote.config(repository, descriptor),
    fetchLayers: (layers) => others.fetchLayers(registry, repository, layers),
  };
}

async function platformManifest(
  source: Source,
  platform: Platform,
  reference: Reference,
  named: StoredManifest,
): Promise<Manifest> {
  const document = parseManifestDocument(named.bytes, named.mediaType);
  if (document.kind === 'manifest') return document.manifest;
  const entry = chooseEntry(document.index, platform);
  if (entry === undefined) {
    const offered = offeredPlatforms(document.index);
    throw pullFailure(
      `no matching manifest for ${formatPlatform(platform)} in the manifest list entries of ` +
        `${formatReference(reference)} (it has ${offered.join(', ') || 'none'})`,
    );
  }
  const chosen = await source.manifest({ digest: entry.digest });
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
