/**
 * Which image an archive is made of: one that has a name in our registry, or one that a build made, with a name or
 * without; and of an index, which of its images.
 */
import { AppError } from '../../errors/index.js';
import {
  type Descriptor,
  type Digest,
  type Manifest,
  offeredPlatforms,
  parseManifestDocument,
  parsePlatform,
  parseReference,
  platformMatches,
} from '../../oci/index.js';
import type { Images, StoredManifest } from '../../registry/index.js';
import type { ContentStore } from '../../store/index.js';
import type { Build } from '../types.js';
import { parseTag } from './export.js';

const CREATED = 'org.opencontainers.image.created';

/** Where an archive's image is from. */
export interface ArchiveSource {
  readonly root: StoredManifest;
  /** For messages. */
  readonly name: string;
  /** `repository:tag` */
  readonly tags: readonly string[];
  /** Of the layout's entry for the image. */
  readonly annotations?: Readonly<Record<string, string>>;
  /** The image as a build made it: a root folder has all its platforms, the time it was given, and its attestations. */
  readonly ofBuild?: {
    readonly epochSeconds?: number;
    /** What the attestations of each image are called. */
    readonly files: ReadonlyMap<Digest, readonly string[]>;
  };
  readonly manifest: (digest: Digest) => Promise<StoredManifest | undefined>;
}

/** What is asked of a build whose image is archived. */
export type BuiltSource = Pick<Build, 'id' | 'status' | 'request' | 'result' | 'finishedMs'>;

/**
 * @param name `repository[:tag][@digest]` of our own registry
 * @throws AppError IMAGE_NOT_FOUND
 */
export async function namedImage(images: Pick<Images, 'manifest'>, name: string): Promise<ArchiveSource> {
  const { registry, repository, tag, digest } = parseReference(name);
  const by = digest === undefined ? { tag: tag ?? 'latest' } : { digest };
  const root = registry === undefined ? await images.manifest(repository, by) : undefined;
  if (root === undefined) {
    throw new AppError('IMAGE_NOT_FOUND', `there is no image ${name} in the registry`, { kind: 'not-found' });
  }
  const named = tag ?? (digest === undefined ? 'latest' : undefined);
  return {
    root,
    name: repository,
    tags: named === undefined ? [] : [`${repository}:${named}`],
    manifest: (child) => images.manifest(repository, { digest: child }),
  };
}

/**
 * With a name, a build's manifests are those of the repositories; without, they are blobs, as long as nobody collected
 * them.
 * @throws AppError BUILD_NO_IMAGE, IMAGE_INCOMPLETE
 */
export async function builtImage(
  deps: { readonly images: Pick<Images, 'manifest'>; readonly content: Pick<ContentStore, 'read'> },
  { id, status, request, result, finishedMs }: BuiltSource,
): Promise<ArchiveSource> {
  if (result === undefined) {
    throw new AppError('BUILD_NO_IMAGE', `build ${id} has made no image: it is ${status}`, {
      kind: 'conflict',
      hint: 'export a build that succeeded, and that was no check or plan',
    });
  }
  const repositories = new Set(result.tags.map((each) => parseTag(each).repository));
  const stored = async (digest: Digest): Promise<StoredManifest | undefined> => {
    for (const repository of repositories) {
      const manifest = await deps.images.manifest(repository, { digest });
      if (manifest !== undefined) return manifest;
    }
    const bytes = await deps.content.read(digest);
    if (bytes === undefined) return undefined;
    // What a build makes says what it is.
    const { mediaType } = JSON.parse(bytes.toString('utf8')) as { readonly mediaType: string };
    return { digest, mediaType, bytes };
  };
  const root = await stored(result.digest);
  if (root === undefined) throw incompleteImage(result.digest, `build ${id}`);
  const { epochSeconds } = result;
  // As BuildKit dates a layout; of one build it is always the same.
  const createdMs = epochSeconds === undefined ? finishedMs : epochSeconds * 1000;
  const created = createdMs === undefined ? {} : { [CREATED]: new Date(createdMs).toISOString().replace(/\.\d+/, '') };
  return {
    root,
    name: `build ${id}`,
    tags: result.tags,
    annotations: { ...created, ...request.annotations?.indexDescriptor },
    ofBuild: {
      files: new Map((result.platforms ?? []).map(({ digest, attestationFiles = [] }) => [digest, attestationFiles])),
      ...(epochSeconds === undefined ? {} : { epochSeconds }),
    },
    manifest: stored,
  };
}

/**
 * The manifest of one platform: the only one there is, or the one that was asked for.
 * @throws AppError IMAGE_PLATFORM_NEEDED, IMAGE_PLATFORM_UNKNOWN, IMAGE_INCOMPLETE
 */
export async function imageOf(
  { root, name, manifest }: ArchiveSource,
  platform: string | undefined,
): Promise<{ readonly stored: StoredManifest; readonly manifest: Manifest }> {
  const document = parseManifestDocument(root.bytes, root.mediaType);
  if (document.kind === 'manifest') return { stored: root, manifest: document.manifest };
  const wanted = platform === undefined ? undefined : parsePlatform(platform);
  const [entry, ...others] = document.index.manifests
    .filter(isRunnable)
    .filter((each) => wanted === undefined || (each.platform !== undefined && platformMatches(wanted, each.platform)));
  const hint = `one of ${offeredPlatforms(document.index).join(', ')}`;
  if (entry === undefined) {
    const message = `the image has none for ${platform ?? 'any platform'}`;
    throw new AppError('IMAGE_PLATFORM_UNKNOWN', message, { kind: 'not-found', hint });
  }
  if (others.length > 0) {
    const message = 'the image has several platforms, and this format holds one';
    throw new AppError('IMAGE_PLATFORM_NEEDED', message, { hint });
  }
  const stored = await manifest(entry.digest);
  const child = stored === undefined ? undefined : parseManifestDocument(stored.bytes, stored.mediaType);
  if (stored === undefined || child?.kind !== 'manifest') throw incompleteImage(entry.digest, name);
  return { stored, manifest: child.manifest };
}

/** Not one of attestations. */
export function isRunnable({ platform }: Descriptor): boolean {
  return platform?.os !== 'unknown';
}

export function incompleteImage(digest: Digest, of: string): AppError {
  return new AppError('IMAGE_INCOMPLETE', `${digest} of ${of} is not in the store`, {
    kind: 'not-found',
    hint: 'push or build the image again',
  });
}
