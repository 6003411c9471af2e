/**
 * Images as one tar, streamed: an OCI layout (with every platform of an index), what `docker load` takes, or the files
 * of the merged root folder. Blobs pass as they are stored; the same image always gives the same bytes.
 */
import { AppError } from '../../errors/index.js';
import { ImageTree, type LayerIndexes, type TarMember, writeTar } from '../../layers/index.js';
import {
  type Descriptor,
  type Digest,
  formatPlatform,
  isIndexType,
  isManifestType,
  type Manifest,
  offeredPlatforms,
  parseImageConfig,
  parseManifestDocument,
  parsePlatform,
  parseReference,
  platformMatches,
} from '../../oci/index.js';
import type { Images, StoredManifest } from '../../registry/index.js';
import type { ByteSource, ContentStore } from '../../store/index.js';
import { blobPath, bytesMember, fileEntry, folders, sorted } from '../steps/archive-members.js';
import { parseTag } from './export.js';
import { checkApart, type NamedStatement, type RootfsPart, rootfsMembers, type Statement } from './rootfs-archive.js';
import type { Build } from '../types.js';

export const ARCHIVE_FORMATS = ['oci', 'docker', 'rootfs'] as const;
export type ArchiveFormat = (typeof ARCHIVE_FORMATS)[number];

const CREATED = 'org.opencontainers.image.created';
/** An SBOM may be long. */
const MAX_STATEMENT_BYTES = 64 * 1024 * 1024;
const UNKNOWN = { os: 'unknown', architecture: 'unknown' };

export interface ImageArchiveDeps {
  readonly images: Pick<Images, 'manifest'>;
  readonly content: Pick<ContentStore, 'open' | 'read'>;
  readonly indexes: Pick<LayerIndexes, 'get'>;
}

export interface ImageArchiveOptions {
  readonly format: ArchiveFormat;
  /** Which image of an index, for formats that hold one. */
  readonly platform?: string;
  /** Of the root folder of a build: a folder for each platform; when absent only where there are several. */
  readonly platformSplit?: boolean;
  /** Of the root folder of a build: what the names of attestations begin with. */
  readonly attestationPrefix?: string;
}

/**
 * What can be refused is refused before the first byte.
 * @param name `repository[:tag][@digest]` of our own registry
 * @throws AppError IMAGE_NOT_FOUND, IMAGE_PLATFORM_NEEDED, IMAGE_PLATFORM_UNKNOWN, IMAGE_INCOMPLETE, IMAGE_NOT_RUNNABLE
 */
export async function imageArchive(
  deps: ImageArchiveDeps,
  name: string,
  options: ImageArchiveOptions,
): Promise<ByteSource> {
  const { registry, repository, tag, digest } = parseReference(name);
  const by = digest === undefined ? { tag: tag ?? 'latest' } : { digest };
  const root = registry === undefined ? await deps.images.manifest(repository, by) : undefined;
  if (root === undefined) {
    throw new AppError('IMAGE_NOT_FOUND', `there is no image ${name} in the registry`, { kind: 'not-found' });
  }
  const named = tag ?? (digest === undefined ? 'latest' : undefined);
  return archiveOf(deps, options, {
    root,
    name: repository,
    tags: named === undefined ? [] : [`${repository}:${named}`],
    manifest: (child) => deps.images.manifest(repository, { digest: child }),
  });
}

/**
 * The image a build made, whether it was given a name or not. With one, its manifests are those of the repositories; without,
 * they are blobs, as long as nobody collected them.
 * @throws AppError BUILD_NO_IMAGE, and what imageArchive throws
 */
export async function builtArchive(
  deps: ImageArchiveDeps,
  { id, status, request, result, finishedMs }: Pick<Build, 'id' | 'status' | 'request' | 'result' | 'finishedMs'>,
  options: ImageArchiveOptions,
): Promise<ByteSource> {
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
  if (root === undefined) throw incomplete(result.digest, `build ${id}`);
  const { epochSeconds } = result;
  // As BuildKit dates a layout; of one build it is always the same.
  const createdMs = epochSeconds === undefined ? finishedMs : epochSeconds * 1000;
  const created = createdMs === undefined ? {} : { [CREATED]: new Date(createdMs).toISOString().replace(/\.\d+/, '') };
  return archiveOf(deps, options, {
    root,
    name: `build ${id}`,
    tags: result.tags,
    annotations: { ...created, ...request.annotations?.indexDescriptor },
    ofBuild: {
      files: new Map((result.platforms ?? []).map(({ digest, attestationFiles = [] }) => [digest, attestationFiles])),
      ...(epochSeconds === undefined ? {} : { epochSeconds }),
    },
    manifest: (child) => stored(child),
  });
}

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

export async function archiveOf(
  deps: Omit<ImageArchiveDeps, 'images'>,
  options: ImageArchiveOptions,
  source: ArchiveSource,
): Promise<ByteSource> {
  const archive = new ImageArchive(deps, source);
  if (options.format === 'oci') return archive.ociLayout(options.platform);
  if (options.format === 'rootfs') return archive.rootfs(options);
  return archive.dockerTar(await archive.single(options.platform));
}

class ImageArchive {
  constructor(
    private readonly deps: Omit<ImageArchiveDeps, 'images'>,
    private readonly source: ArchiveSource,
  ) {}

  async ociLayout(platform: string | undefined): Promise<ByteSource> {
    const root = platform === undefined ? this.source.root : (await this.select(platform)).stored;
    const blobs = new Map<Digest, TarMember>();
    await this.collect(root, blobs);
    const [tag] = this.source.tags.map((each) => parseTag(each).tag);
    const annotations = {
      ...this.source.annotations,
      ...(tag === undefined ? {} : { 'org.opencontainers.image.ref.name': tag }),
    };
    const entry = { mediaType: root.mediaType, digest: root.digest, size: root.bytes.length };
    const index = {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.index.v1+json',
      manifests: [Object.keys(annotations).length === 0 ? entry : { ...entry, annotations }],
    };
    return writeTar([
      ...folders(['blobs', ...new Set([...blobs.keys()].map((digest) => `blobs/${digest.split(':')[0] ?? ''}`))]),
      ...sorted(blobs),
      bytesMember('index.json', Buffer.from(JSON.stringify(index))),
      bytesMember('oci-layout', Buffer.from('{"imageLayoutVersion":"1.0.0"}')),
    ]);
  }

  async dockerTar(manifest: Manifest): Promise<ByteSource> {
    const config = `${manifest.config.digest.replace(/^.*:/, '')}.json`;
    const layers = manifest.layers.map(({ digest }) => `${digest.replace(/^.*:/, '')}.tar`);
    const members = new Map<string, TarMember>();
    members.set(config, await this.blob(config, manifest.config));
    for (const [i, layer] of manifest.layers.entries()) {
      const path = layers[i] ?? '';
      if (!members.has(path)) members.set(path, await this.blob(path, layer));
    }
    const document = Buffer.from(JSON.stringify([{ Config: config, RepoTags: this.source.tags, Layers: layers }]));
    return writeTar([...members.values(), bytesMember('manifest.json', document)]);
  }

  async rootfs({ platform, platformSplit, attestationPrefix = '' }: ImageArchiveOptions): Promise<ByteSource> {
    const { root, ofBuild } = this.source;
    const document = parseManifestDocument(root.bytes, root.mediaType);
    const images = document.kind === 'index' ? document.index.manifests.filter(isRunnable) : [];
    const all = ofBuild !== undefined && platform === undefined && images.length > 0;
    const isSplit = all && (platformSplit ?? images.length > 1);
    const wanted = all ? images.map((entry) => formatPlatform(entry.platform ?? UNKNOWN)) : [platform];
    const parts: RootfsPart[] = [];
    for (const each of wanted) {
      const { stored, manifest } = await this.select(each);
      const told = ofBuild === undefined ? [] : await this.statements(stored.digest, ofBuild.files);
      const name = (each ?? '').replaceAll('/', '_');
      const suffix = images.length > 1 && all && !isSplit ? name : undefined;
      const statements = told.map(({ file, statement }) => ({
        statement,
        file: attestationPrefix + (suffix === undefined ? file : withSuffix(file, suffix)),
      }));
      const folder = isSplit ? { folder: name } : {};
      parts.push({ tree: await this.tree(manifest), image: stored.digest, statements, ...folder });
    }
    if (parts.length > 1 && !isSplit) checkApart(parts);
    return writeTar(rootfsMembers(parts, ofBuild?.epochSeconds));
  }

  /** What is attested of an image, in its order. */
  private async statements(
    image: Digest,
    files: ReadonlyMap<Digest, readonly string[]>,
  ): Promise<readonly NamedStatement[]> {
    const { root } = this.source;
    const document = parseManifestDocument(root.bytes, root.mediaType);
    const entries = document.kind === 'index' ? document.index.manifests : [];
    const entry = entries.find(({ annotations = {} }) => annotations['vnd.docker.reference.digest'] === image);
    const stored = entry === undefined ? undefined : await this.source.manifest(entry.digest);
    if (stored === undefined) return [];
    const attested = parseManifestDocument(stored.bytes, stored.mediaType);
    const statements: NamedStatement[] = [];
    const layers = attested.kind === 'manifest' ? attested.manifest.layers : [];
    for (const [i, { digest }] of layers.entries()) {
      const bytes = await this.deps.content.read(digest, MAX_STATEMENT_BYTES);
      if (bytes === undefined) throw this.incomplete(digest);
      const statement = JSON.parse(bytes.toString('utf8')) as Statement;
      statements.push({ statement, file: files.get(image)?.[i] ?? numbered(statement, i) });
    }
    return statements;
  }

  private async tree(manifest: Manifest): Promise<ImageTree> {
    const { content, indexes } = this.deps;
    const bytes = await content.read(manifest.config.digest);
    if (bytes === undefined) throw this.incomplete(manifest.config.digest);
    const { diff_ids: diffIds } = parseImageConfig(bytes).rootfs;
    let tree = ImageTree.empty(content);
    for (const [i, descriptor] of manifest.layers.entries()) {
      const diffId = diffIds[i];
      if (diffId === undefined) {
        throw new AppError('IMAGE_NOT_RUNNABLE', 'the image has more layers than its config knows', { kind: 'failed' });
      }
      tree = tree.withLayer(await indexes.get({ descriptor, diffId }));
    }
    return tree;
  }

  /** The manifest of one platform: the only one there is, or the one that was asked for. */
  async single(platform: string | undefined): Promise<Manifest> {
    return (await this.select(platform)).manifest;
  }

  private async select(platform: string | undefined): Promise<{ stored: StoredManifest; manifest: Manifest }> {
    const { root } = this.source;
    const document = parseManifestDocument(root.bytes, root.mediaType);
    if (document.kind === 'manifest') return { stored: root, manifest: document.manifest };
    const images = document.index.manifests.filter(isRunnable);
    const wanted = platform === undefined ? undefined : parsePlatform(platform);
    const fitting = images.filter(
      (each) => wanted === undefined || (each.platform !== undefined && platformMatches(wanted, each.platform)),
    );
    const [entry, ...others] = fitting;
    const hint = `one of ${offeredPlatforms(document.index).join(', ')}`;
    if (entry === undefined) {
      const message = `the image has none for ${platform ?? 'any platform'}`;
      throw new AppError('IMAGE_PLATFORM_UNKNOWN', message, { kind: 'not-found', hint });
    }
    if (others.length > 0) {
      const message = 'the image has several platforms, and this format holds one';
      throw new AppError('IMAGE_PLATFORM_NEEDED', message, { hint });
    }
    const stored = await this.source.manifest(entry.digest);
    const child = stored === undefined ? undefined : parseManifestDocument(stored.bytes, stored.mediaType);
    if (stored === undefined || child?.kind !== 'manifest') throw this.incomplete(entry.digest);
    return { stored, manifest: child.manifest };
  }

  /** The manifest and everything under it, each blob once. */
  private async collect(stored: StoredManifest, blobs: Map<Digest, TarMember>): Promise<void> {
    blobs.set(stored.digest, bytesMember(blobPath(stored.digest), stored.bytes));
    const document = parseManifestDocument(stored.bytes, stored.mediaType);
    if (document.kind === 'manifest') {
      for (const each of [document.manifest.config, ...document.manifest.layers]) {
        if (!blobs.has(each.digest)) blobs.set(each.digest, await this.blob(blobPath(each.digest), each));
      }
      return;
    }
    for (const entry of document.index.manifests) {
      // Entries of a build cache are blobs.
      if (!isManifestType(entry.mediaType) && !isIndexType(entry.mediaType)) {
        blobs.set(entry.digest, await this.blob(blobPath(entry.digest), entry));
        continue;
      }
      const child = await this.source.manifest(entry.digest);
      if (child === undefined) throw this.incomplete(entry.digest);
      await this.collect(child, blobs);
    }
  }

  /** Opened when its turn comes; that it is there is found out now. */
  private async blob(path: string, { digest, size }: Descriptor): Promise<TarMember> {
    const { content } = this.deps;
    const probe = await content.open(digest);
    if (probe === undefined) throw this.incomplete(digest);
    probe.destroy();
    const body = async function* (): AsyncGenerator<Uint8Array> {
      const stream = await content.open(digest);
      if (stream !== undefined) yield* stream as AsyncIterable<Uint8Array>;
    };
    return { entry: fileEntry(path, size), body: body() };
  }

  private incomplete(digest: Digest): AppError {
    return incomplete(digest, this.source.name);
  }
}

/** As BuildKit: `provenance.linux_arm64.json`. */
function withSuffix(file: string, suffix: string): string {
  const dot = file.lastIndexOf('.');
  return dot < 0 ? `${file}.${suffix}` : `${file.slice(0, dot)}.${suffix}${file.slice(dot)}`;
}

/** Of a build that an earlier version made. */
function numbered({ predicateType }: Statement, i: number): string {
  if (predicateType.startsWith('https://slsa.dev/provenance/')) return 'provenance.json';
  return i === 0 ? 'sbom.spdx.json' : `sbom-${i + 1}.spdx.json`;
}

/** Not one of attestations. */
function isRunnable({ platform }: Descriptor): boolean {
  return platform?.os !== 'unknown';
}

function incomplete(digest: Digest, of: string): AppError {
  return new AppError('IMAGE_INCOMPLETE', `${digest} of ${of} is not in the store`, {
    kind: 'not-found',
    hint: 'push or build the image again',
  });
}
