/**
 * Looks a base image up: manifest and config only, no layer is read. So far the images of Wharf's own registry; a name
 * that belongs to another registry is refused by name.
 */
import { AppError } from '../errors/index.js';
import {
  type Digest,
  formatPlatform,
  formatReference,
  type Index,
  type Manifest,
  parseImageConfig,
  parseManifestDocument,
  parseReference,
  type Platform,
  platformMatches,
  type Reference,
} from '../oci/index.js';
import type { Images, StoredManifest } from '../registry/index.js';
import type { ContentStore } from '../store/index.js';
import { closeNames } from './build-errors.js';
import type { BaseImage } from './steps.js';

export interface BaseImageDeps {
  readonly images: Images;
  readonly content: ContentStore;
  /** Hosts that mean our own registry, `localhost:5000`-style. */
  readonly registryHosts: readonly string[];
}

/** @throws AppError BUILD_BASE_UNKNOWN, BUILD_BASE_PLATFORM, BUILD_BASE_BROKEN, BUILD_UNSUPPORTED_REGISTRY, REFERENCE_INVALID */
export async function findBaseImage(deps: BaseImageDeps, name: string, platform: Platform): Promise<BaseImage> {
  const reference = parseReference(name);
  const found = await lookUp(deps, name, reference);
  const { manifest, digest } = await pick(deps, name, found.repository, found.stored, platform);
  const bytes = await deps.content.read(manifest.config.digest);
  if (bytes === undefined) throw broken(name, `its config ${manifest.config.digest} is not in the store`);
  const config = parseImageConfig(bytes);
  const { diff_ids: diffIds } = config.rootfs;
  if (diffIds.length !== manifest.layers.length) {
    throw broken(name, `the manifest has ${manifest.layers.length} layers, the config ${diffIds.length}`);
  }
  return {
    name: formatReference({ ...reference, digest: found.stored.digest }),
    repository: found.repository,
    digest,
    platform: {
      os: config.os,
      architecture: config.architecture,
      ...(config.variant === undefined || config.variant === '' ? {} : { variant: config.variant }),
    },
    layers: manifest.layers.flatMap((descriptor, i) => {
      const diffId = diffIds[i];
      return diffId === undefined ? [] : [{ descriptor, diffId }];
    }),
    config: config as unknown as Record<string, unknown>,
  };
}

interface Found {
  readonly repository: string;
  readonly stored: StoredManifest;
}

async function lookUp(deps: BaseImageDeps, name: string, reference: Reference): Promise<Found> {
  if (reference.registry !== undefined && !deps.registryHosts.includes(reference.registry)) {
    throw new AppError(
      'BUILD_UNSUPPORTED_REGISTRY',
      `base image ${name}: images of ${reference.registry} cannot be pulled yet`,
      { kind: 'unsupported', hint: 'push the image to this registry, and name it without a host' },
    );
  }
  const { repository, digest } = reference;
  const by = digest === undefined ? { tag: reference.tag ?? 'latest' } : { digest };
  // What docker calls `busybox` is `library/busybox` where a mirror keeps it.
  const repositories = repository.includes('/') ? [repository] : [repository, `library/${repository}`];
  for (const each of repositories) {
    const stored = await deps.images.manifest(each, by);
    if (stored !== undefined) return { repository: each, stored };
  }
  throw await unknown(deps, name, reference, repositories);
}

async function unknown(
  deps: BaseImageDeps,
  name: string,
  reference: Reference,
  lookedUp: readonly string[],
): Promise<AppError> {
  const suffix = reference.digest === undefined ? `:${reference.tag ?? 'latest'}` : `@${reference.digest}`;
  const tried = lookedUp.map((repository) => repository + suffix).join(' and ');
  const tags = (await deps.images.tags(reference.repository)) ?? [];
  const close =
    tags.length > 0
      ? tags.slice(0, 5).map(({ tag }) => `${reference.repository}:${tag}`)
      : closeNames(reference.repository, await deps.images.repositories({ limit: 1000 }));
  return new AppError('BUILD_BASE_UNKNOWN', `base image ${name} is not known: looked for ${tried} in this registry`, {
    kind: 'not-found',
    hint: close.length > 0 ? `did you mean ${close.join(' or ')}?` : 'push it to this registry first',
    details: { reference: name, lookedUp: lookedUp.map((repository) => repository + suffix) },
  });
}

/** The manifest for the platform; a single manifest is taken as it is, like docker does. */
async function pick(
  deps: BaseImageDeps,
  name: string,
  repository: string,
  stored: StoredManifest,
  platform: Platform,
): Promise<{ readonly manifest: Manifest; readonly digest: Digest }> {
  const document = parseManifestDocument(stored.bytes, stored.mediaType);
  if (document.kind === 'manifest') return { manifest: document.manifest, digest: stored.digest };
  const entry = choose(document.index, platform);
  if (entry === undefined) {
    const offered = document.index.manifests.flatMap((each) =>
      each.platform === undefined || each.platform.os === 'unknown' ? [] : [formatPlatform(each.platform)],
    );
    throw new AppError('BUILD_BASE_PLATFORM', `base image ${name} has no image for ${formatPlatform(platform)}`, {
      kind: 'not-found',
      hint: `it has ${offered.join(', ') || 'none that names a platform'}`,
    });
  }
  const child = await deps.images.manifest(repository, { digest: entry });
  const parsed = child === undefined ? undefined : parseManifestDocument(child.bytes, child.mediaType);
  if (child === undefined || parsed?.kind !== 'manifest') {
    throw broken(name, `its index names ${entry}, which is no manifest in the registry`);
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
