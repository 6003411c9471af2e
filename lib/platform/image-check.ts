/**
 * Pre-flight of an image: what a name means now, and whether it can run here. A wrong name, a foreign platform or a
 * missing blob is refused before any running task is touched.
 */
import { AppError } from '../errors/index.js';
import {
  type Digest,
  formatPlatform,
  type ImageConfig,
  offeredPlatforms,
  parseImageConfig,
  parseManifestDocument,
  parseReference,
  type Platform,
  platformMatches,
} from '../oci/index.js';
import type { Images, StoredManifest } from '../registry/index.js';
import type { ContentStore } from '../store/index.js';
import type { PortSpec } from './types.js';

export interface CheckedImage {
  readonly repository: string;
  readonly tag?: string;
  /** Of the manifest for the platform, never of an index. */
  readonly digest: Digest;
  readonly config: ImageConfig;
}

export interface ImageCheckDeps {
  readonly images: Images;
  readonly content: Pick<ContentStore, 'read'>;
}

export interface ImageCheckOptions {
  /** Of the instances. */
  readonly platform: Platform;
  /** Whether a host in an image name is this registry; loopback names are, when absent. */
  readonly isOwnRegistry?: (host: string) => boolean;
}

/** @throws AppError IMAGE_NOT_FOUND, IMAGE_REGISTRY_FOREIGN, IMAGE_PLATFORM_MISMATCH, REFERENCE_INVALID */
export async function checkImage(
  deps: ImageCheckDeps,
  options: ImageCheckOptions,
  name: string,
): Promise<CheckedImage> {
  const reference = parseReference(name);
  const isOwn = options.isOwnRegistry ?? isLoopback;
  if (reference.registry !== undefined && !isOwn(reference.registry)) {
    throw new AppError('IMAGE_REGISTRY_FOREIGN', `image ${name} is in another registry, ${reference.registry}`, {
      kind: 'unsupported',
      hint: "push it into Wharf's registry and deploy it from there",
    });
  }
  const { repository } = reference;
  const tag = reference.tag ?? 'latest';
  const found = await deps.images.manifest(
    repository,
    reference.digest === undefined ? { tag } : { digest: reference.digest },
  );
  if (found === undefined) throw await notFound(deps.images, name, repository);
  const manifest = await forPlatform(deps.images, repository, name, found, options.platform);
  const config = await readConfig(deps, name, manifest, options.platform);
  const named = reference.digest === undefined || reference.tag !== undefined ? { tag } : {};
  return { repository, digest: manifest.digest, config, ...named };
}

/** TCP and UDP ports the image says it listens on. */
export function exposedPorts(config: ImageConfig): readonly PortSpec[] {
  return Object.keys(config.config?.ExposedPorts ?? {}).flatMap((text) => {
    const [port, protocol = 'tcp'] = text.split('/');
    const container = Number(port);
    if (!Number.isInteger(container) || container < 1 || container > 65_535) return [];
    return protocol === 'tcp' || protocol === 'udp' ? [{ container, protocol }] : [];
  });
}

async function forPlatform(
  images: Images,
  repository: string,
  name: string,
  stored: StoredManifest,
  wanted: Platform,
): Promise<StoredManifest> {
  const document = parseManifestDocument(stored.bytes, stored.mediaType);
  if (document.kind === 'manifest') return stored;
  const match = document.index.manifests.find(
    ({ platform }) => platform !== undefined && platformMatches(wanted, platform),
  );
  const manifest = match === undefined ? undefined : await images.manifest(repository, { digest: match.digest });
  if (manifest !== undefined) return manifest;
  throw platformMismatch(name, wanted, offeredPlatforms(document.index));
}

async function readConfig(
  deps: ImageCheckDeps,
  name: string,
  stored: StoredManifest,
  wanted: Platform,
): Promise<ImageConfig> {
  const document = parseManifestDocument(stored.bytes, stored.mediaType);
  const digest = document.kind === 'manifest' ? document.manifest.config.digest : undefined;
  const bytes = digest === undefined ? undefined : await deps.content.read(digest);
  if (bytes === undefined) {
    throw new AppError('IMAGE_INCOMPLETE', `image ${name}: the registry has no config ${digest ?? ''}`, {
      kind: 'conflict',
      hint: 'push the image again',
    });
  }
  const config = parseImageConfig(bytes);
  const offered: Platform = {
    os: config.os,
    architecture: config.architecture,
    ...(config.variant === undefined ? {} : { variant: config.variant }),
  };
  if (!platformMatches(wanted, offered)) throw platformMismatch(name, wanted, [formatPlatform(offered)]);
  return config;
}

function platformMismatch(name: string, wanted: Platform, offered: readonly string[]): AppError {
  return new AppError(
    'IMAGE_PLATFORM_MISMATCH',
    `image ${name} is for ${offered.join(', ') || 'no platform at all'}; the instances are ${formatPlatform(wanted)}`,
    { hint: `build it for ${formatPlatform(wanted)}` },
  );
}

async function notFound(images: Images, name: string, repository: string): Promise<AppError> {
  const tags = await images.tags(repository);
  const hint =
    tags === undefined || tags.length === 0
      ? `build it first: wharf build -t ${repository} .`
      : `tags of ${repository}: ${tags
          .slice(0, 10)
          .map((entry) => entry.tag)
          .join(', ')}`;
  return new AppError('IMAGE_NOT_FOUND', `there is no image ${name} in the registry`, { kind: 'not-found', hint });
}

function isLoopback(host: string): boolean {
  return /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/.test(host);
}
