/**
 * Images as one tar, streamed: an OCI layout (with every platform of an index), what `docker load` takes, or the files
 * of the merged root folder. Blobs pass as they are stored; the same image always gives the same bytes.
 */
import { type TarMember, writeTar } from '../../layers/index.js';
import {
  type Descriptor,
  type Digest,
  isIndexType,
  isManifestType,
  type Manifest,
  parseManifestDocument,
} from '../../oci/index.js';
import type { Images, StoredManifest } from '../../registry/index.js';
import type { ByteSource } from '../../store/index.js';
import { blobPath, bytesMember, fileEntry, folders, sorted } from '../steps/archive-members.js';
import {
  type ArchiveSource,
  builtImage,
  type BuiltSource,
  imageOf,
  incompleteImage,
  namedImage,
} from './archive-source.js';
import { parseTag } from './export.js';
import { rootfsMembers } from './rootfs-archive.js';
import { type RootfsDeps, type RootfsOptions, rootfsParts } from './rootfs-parts.js';

export const ARCHIVE_FORMATS = ['oci', 'docker', 'rootfs'] as const;
export type ArchiveFormat = (typeof ARCHIVE_FORMATS)[number];

export interface ImageArchiveDeps extends RootfsDeps {
  readonly images: Pick<Images, 'manifest'>;
}

export interface ImageArchiveOptions extends RootfsOptions {
  readonly format: ArchiveFormat;
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
  return archiveOf(deps, options, await namedImage(deps.images, name));
}

/**
 * The image a build made, whether it was given a name or not.
 * @throws AppError BUILD_NO_IMAGE, and what imageArchive throws
 */
export async function builtArchive(
  deps: ImageArchiveDeps,
  build: BuiltSource,
  options: ImageArchiveOptions,
): Promise<ByteSource> {
  return archiveOf(deps, options, await builtImage(deps, build));
}

export async function archiveOf(
  deps: RootfsDeps,
  options: ImageArchiveOptions,
  source: ArchiveSource,
): Promise<ByteSource> {
  if (options.format === 'rootfs') {
    return writeTar(rootfsMembers(await rootfsParts(deps, source, options), source.ofBuild?.epochSeconds));
  }
  const archive = new ImageArchive(deps, source);
  if (options.format === 'oci') return archive.ociLayout(options.platform);
  return archive.dockerTar((await imageOf(source, options.platform)).manifest);
}

class ImageArchive {
  constructor(
    private readonly deps: Pick<RootfsDeps, 'content'>,
    private readonly source: ArchiveSource,
  ) {}

  async ociLayout(platform: string | undefined): Promise<ByteSource> {
    const root = platform === undefined ? this.source.root : (await imageOf(this.source, platform)).stored;
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
      if (child === undefined) throw incompleteImage(entry.digest, this.source.name);
      await this.collect(child, blobs);
    }
  }

  /** Opened when its turn comes; that it is there is found out now. */
  private async blob(path: string, { digest, size }: Descriptor): Promise<TarMember> {
    const { content } = this.deps;
    const probe = await content.open(digest);
    if (probe === undefined) throw incompleteImage(digest, this.source.name);
    probe.destroy();
    const body = async function* (): AsyncGenerator<Uint8Array> {
      const stream = await content.open(digest);
      if (stream !== undefined) yield* stream as AsyncIterable<Uint8Array>;
    };
    return { entry: fileEntry(path, size), body: body() };
  }
}
