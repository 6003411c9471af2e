/**
 * Looks a base image up: manifest and config only, no layer is read. A name with a host is looked up at that registry;
 * one without at our own, then at Docker Hub where the operator allows it. What was found is pinned by its digest.
 */
import { AppError } from '../../errors/index.js';
import { formatReference, parseReference, type Platform, type Reference } from '../../oci/index.js';
import type { Images, StoredManifest } from '../../registry/index.js';
import type { ContentStore } from '../../store/index.js';
import { closeNames } from '../build-errors.js';
import { imageIn, type ImageSource, type WantedImage } from './image-source.js';
import type { RemoteImages } from './remote-images.js';
import type { BaseImage, RegistryOrigin } from '../plan/steps.js';

export interface BaseImageDeps {
  readonly images: Images;
  readonly content: ContentStore;
  /** Hosts that mean our own registry, `localhost:5000`-style. */
  readonly registryHosts: readonly string[];
  /** Without it a name of another registry is refused. */
  readonly remote?: RemoteImages;
  /** Whether a name without a host may mean docker.io/library when our registry does not have it. */
  readonly allowDockerHub: boolean;
  /** Of the build: when it ends, so does the asking. */
  readonly signal: AbortSignal;
}

/** A registry an image may be in. */
export interface RegistrySource extends ImageSource<RegistryOrigin> {
  readonly repository: string;
}

interface Found {
  readonly source: RegistrySource;
  readonly stored: StoredManifest;
}

/** @throws AppError BUILD_BASE_UNKNOWN, BUILD_BASE_PLATFORM, BUILD_BASE_BROKEN, BUILD_UNSUPPORTED_REGISTRY, REFERENCE_INVALID, REGISTRY_… */
export async function findBaseImage(deps: BaseImageDeps, name: string, platform: Platform): Promise<BaseImage> {
  const reference = parseReference(name);
  const { source, stored } = await lookUp(deps, name, reference);
  const { origin, repository } = source;
  const pinned = { ...reference, digest: stored.digest };
  return {
    ...(await imageIn(source, name, stored, platform)),
    name: formatReference(origin === undefined ? pinned : { ...pinned, registry: origin.registry, repository }),
  };
}

async function lookUp(deps: BaseImageDeps, name: string, reference: Reference): Promise<Found> {
  const { digest } = reference;
  const by: WantedImage = digest === undefined ? { tag: reference.tag ?? 'latest' } : { digest };
  const asked: string[] = [];
  for (const source of await sourcesOf(deps, name, reference)) {
    let stored: StoredManifest | undefined;
    try {
      stored = await source.manifest(by);
    } catch (error) {
      // Docker Hub denies what it does not have; where that was only a guess, the name is simply not known.
      const isGuess = source.origin !== undefined && reference.registry === undefined;
      if (!isGuess || !(error instanceof AppError)) throw explained(error, name, source);
      asked.push(`${shown(source, by)} (${error.message})`);
      continue;
    }
    if (stored !== undefined) return { source, stored };
    asked.push(shown(source, by));
  }
  throw await unknown(deps, name, reference, asked);
}

/** Where the name may lead, in the order of asking. */
async function sourcesOf(deps: BaseImageDeps, name: string, reference: Reference): Promise<readonly RegistrySource[]> {
  const { registry, repository } = reference;
  const { remote } = deps;
  if (registry !== undefined && !deps.registryHosts.includes(registry)) {
    if (remote === undefined) throw noOtherRegistries(name, registry);
    return [await remoteSource(remote, registry, repository, deps.signal)];
  }
  // What docker calls `busybox` is `library/busybox` where a mirror keeps it.
  const short = !repository.includes('/');
  const own = short ? [repository, `library/${repository}`] : [repository];
  const sources = own.map((each) => ownSource(deps, each));
  if (registry !== undefined || remote === undefined || !deps.allowDockerHub) return sources;
  const there = short ? `library/${repository}` : repository;
  return [...sources, await remoteSource(remote, 'docker.io', there, deps.signal)];
}

export function ownSource(
  { images, content }: Pick<BaseImageDeps, 'images' | 'content'>,
  repository: string,
): RegistrySource {
  return {
    where: 'this registry',
    repository,
    manifest: (by) => images.manifest(repository, by),
    config: ({ digest }) => content.read(digest),
    has: async ({ digest }) => (await content.stat(digest)) !== undefined,
  };
}

export async function remoteSource(
  remote: RemoteImages,
  registry: string,
  repository: string,
  signal: AbortSignal,
): Promise<RegistrySource> {
  const image = await remote.open(registry, signal);
  return {
    where: registry,
    origin: { registry, repository },
    repository,
    manifest: (by) => image.manifest(repository, by),
    config: (descriptor) => image.config(repository, descriptor),
    has: ({ digest }) => image.has(repository, digest),
  };
}

function shown({ repository, where }: RegistrySource, by: WantedImage): string {
  return `${repository}${'tag' in by ? `:${by.tag}` : `@${by.digest}`} in ${where}`;
}

/** What another registry said, with the image it was about and what to do. */
function explained(error: unknown, name: string, { where }: RegistrySource): unknown {
  if (!(error instanceof AppError)) return error;
  const { code, kind, retryable, details } = error;
  const denied = kind === 'unauthenticated' || kind === 'forbidden';
  const hint = denied
    ? `keep credentials for ${where} (wharf registry login ${where}), or name an image that anybody may pull`
    : error.hint;
  const options = { kind, retryable, details, cause: error, ...(hint === undefined ? {} : { hint }) };
  return new AppError(code, `base image ${name}: ${error.message}`, options);
}

function noOtherRegistries(name: string, registry: string): AppError {
  return new AppError('BUILD_UNSUPPORTED_REGISTRY', `base image ${name}: this builder does not pull from ${registry}`, {
    kind: 'unsupported',
    hint: 'push the image to this registry, and name it without a host',
  });
}

async function unknown(
  deps: BaseImageDeps,
  name: string,
  reference: Reference,
  asked: readonly string[],
): Promise<AppError> {
  const message = `base image ${name} is not known: looked for ${asked.join(' and ')}`;
  const options = { kind: 'not-found', details: { reference: name, lookedUp: asked } } as const;
  if (reference.registry !== undefined && !deps.registryHosts.includes(reference.registry)) {
    const hint = `is the name right, and may ${reference.registry} show it to us?`;
    return new AppError('BUILD_BASE_UNKNOWN', message, { ...options, hint });
  }
  const tags = (await deps.images.tags(reference.repository)) ?? [];
  const close =
    tags.length > 0
      ? tags.slice(0, 5).map(({ tag }) => `${reference.repository}:${tag}`)
      : closeNames(reference.repository, await deps.images.repositories({ limit: 1000 }));
  const elsewhere =
    deps.remote === undefined || deps.allowDockerHub
      ? ''
      : ', or name the registry it is in: docker.io/library/busybox';
  const hint = close.length > 0 ? `did you mean ${close.join(' or ')}?` : `push it to this registry first${elsewhere}`;
  return new AppError('BUILD_BASE_UNKNOWN', message, { ...options, hint });
}
