/**
 * Images as one tar, streamed: an OCI layout (with every platform of an index), what `docker load` takes, or the files
 * of the merged root folder. Blobs pass as they are stored; the same image always gives the same bytes.
 */
import { AppError } from '../errors/index.js';
import {
  completeChangeset,
  copyEntry,
  ImageTree,
  type LayerIndexes,
  type TarMember,
  writeTar,
} from '../layers/index.js';
import {
  type Descriptor,
  type Digest,
  formatPlatform,
  type Manifest,
  parseImageConfig,
  parseManifestDocument,
  parsePlatform,
  parseReference,
  platformMatches,
} from '../oci/index.js';
import type { Images, StoredManifest } from '../registry/index.js';
import type { ByteSource, ContentStore } from '../store/index.js';

export const ARCHIVE_FORMATS = ['oci', 'docker', 'rootfs'] as const;
export type ArchiveFormat = (typeof ARCHIVE_FORMATS)[number];

export interface ImageArchiveDeps {
  readonly images: Pick<Images, 'manifest'>;
  readonly content: Pick<ContentStore, 'open' | 'read'>;
  readonly indexes: Pick<LayerIndexes, 'get'>;
}

export interface ImageArchiveOptions {
  readonly format: ArchiveFormat;
  /** Which image of an index, for formats that hold one. */
  readonly platform?: string;
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
  const archive = await ImageArchive.open(deps, name);
  if (options.format === 'oci') return archive.ociLayout(options.platform);
  const manifest = await archive.single(options.platform);
  return options.format === 'docker' ? archive.dockerTar(manifest) : archive.rootfs(manifest);
}

class ImageArchive {
  private constructor(
    private readonly deps: ImageArchiveDeps,
    private readonly repository: string,
    private readonly tag: string | undefined,
    private readonly root: StoredManifest,
  ) {}

  static async open(deps: ImageArchiveDeps, name: string): Promise<ImageArchive> {
    const { registry, repository, tag, digest } = parseReference(name);
    const by = digest === undefined ? { tag: tag ?? 'latest' } : { digest };
    const root = registry === undefined ? await deps.images.manifest(repository, by) : undefined;
    if (root === undefined) {
      throw new AppError('IMAGE_NOT_FOUND', `there is no image ${name} in the registry`, { kind: 'not-found' });
    }
    return new ImageArchive(deps, repository, tag ?? (digest === undefined ? 'latest' : undefined), root);
  }

  async ociLayout(platform: string | undefined): Promise<ByteSource> {
    const root = platform === undefined ? this.root : (await this.select(platform)).stored;
    const blobs = new Map<Digest, TarMember>();
    await this.collect(root, blobs);
    const annotations =
      this.tag === undefined ? {} : { annotations: { 'org.opencontainers.image.ref.name': this.tag } };
    const index = {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.index.v1+json',
      manifests: [{ mediaType: root.mediaType, digest: root.digest, size: root.bytes.length, ...annotations }],
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
    const RepoTags = this.tag === undefined ? [] : [`${this.repository}:${this.tag}`];
    const document = Buffer.from(JSON.stringify([{ Config: config, RepoTags, Layers: layers }]));
    return writeTar([...members.values(), bytesMember('manifest.json', document)]);
  }

  async rootfs(manifest: Manifest): Promise<ByteSource> {
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
    return writeTar(completeChangeset(rootMembers(tree), tree));
  }

  /** The manifest of one platform: the only one there is, or the one that was asked for. */
  async single(platform: string | undefined): Promise<Manifest> {
    return (await this.select(platform)).manifest;
  }

  private async select(platform: string | undefined): Promise<{ stored: StoredManifest; manifest: Manifest }> {
    const document = parseManifestDocument(this.root.bytes, this.root.mediaType);
    if (document.kind === 'manifest') return { stored: this.root, manifest: document.manifest };
    const images = document.index.manifests.filter((each) => each.platform?.os !== 'unknown');
    const wanted = platform === undefined ? undefined : parsePlatform(platform);
    const fitting = images.filter(
      (each) => wanted === undefined || (each.platform !== undefined && platformMatches(wanted, each.platform)),
    );
    const [entry, ...others] = fitting;
    const offered = images.flatMap((each) => (each.platform === undefined ? [] : [formatPlatform(each.platform)]));
    const hint = `one of ${offered.join(', ')}`;
    if (entry === undefined) {
      const message = `the image has none for ${platform ?? 'any platform'}`;
      throw new AppError('IMAGE_PLATFORM_UNKNOWN', message, { kind: 'not-found', hint });
    }
    if (others.length > 0) {
      const message = 'the image has several platforms, and this format holds one';
      throw new AppError('IMAGE_PLATFORM_NEEDED', message, { hint });
    }
    const stored = await this.deps.images.manifest(this.repository, { digest: entry.digest });
    const child = stored === undefined ? undefined : parseManifestDocument(stored.bytes, stored.mediaType);
    if (stored === undefined || child?.kind !== 'manifest') throw this.incomplete(entry.digest);
    return { stored, manifest: child.manifest };
  }

  /** The manifest and everything under it, each blob once. */
  private async collect(stored: StoredManifest, blobs: Map<Digest, TarMember>): Promise<void> {
    blobs.set(stored.digest, bytesMember(pathOf(stored.digest), stored.bytes));
    const document = parseManifestDocument(stored.bytes, stored.mediaType);
    if (document.kind === 'manifest') {
      for (const each of [document.manifest.config, ...document.manifest.layers]) {
        if (!blobs.has(each.digest)) blobs.set(each.digest, await this.blob(pathOf(each.digest), each));
      }
      return;
    }
    for (const { digest } of document.index.manifests) {
      const child = await this.deps.images.manifest(this.repository, { digest });
      if (child === undefined) throw this.incomplete(digest);
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
    return new AppError('IMAGE_INCOMPLETE', `${digest} of ${this.repository} is not in the store`, {
      kind: 'not-found',
      hint: 'push or build the image again',
    });
  }
}

/** All entries; names of one file become links to the first of them. */
async function* rootMembers(tree: ImageTree): AsyncGenerator<TarMember, void, undefined> {
  const first = new Map<string, string>();
  const entries = [...tree.walk()];
  const own = entries.filter((entry) => {
    if (entry.type !== 'file') return true;
    const isFirst = !first.has(entry.inode);
    if (isFirst) first.set(entry.inode, entry.path);
    return isFirst;
  });
  const members = tree.readMembers(own);
  try {
    for (const entry of entries) {
      const linkTarget = entry.type === 'file' ? first.get(entry.inode) : undefined;
      if (linkTarget !== undefined && linkTarget !== entry.path) {
        yield { entry: copyEntry(entry, { type: 'hardlink', linkTarget, sizeBytes: 0 }), body: once(new Uint8Array()) };
        continue;
      }
      const next = await members.next();
      if (next.done !== true) yield next.value;
    }
  } finally {
    await members.return();
  }
}

function pathOf(digest: Digest): string {
  return `blobs/${digest.replace(':', '/')}`;
}

function sorted(blobs: ReadonlyMap<Digest, TarMember>): TarMember[] {
  return [...blobs].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, member]) => member);
}

function folders(paths: readonly string[]): TarMember[] {
  const common = { type: 'directory', mode: 0o755, uid: 0, gid: 0, mtimeSeconds: 0, sizeBytes: 0 } as const;
  return paths.map((path) => ({ entry: { ...common, path }, body: once(new Uint8Array()) }));
}

function fileEntry(path: string, sizeBytes: number): TarMember['entry'] {
  return { path, type: 'file', mode: 0o644, uid: 0, gid: 0, mtimeSeconds: 0, sizeBytes };
}

function bytesMember(path: string, bytes: Uint8Array): TarMember {
  return { entry: fileEntry(path, bytes.length), body: once(bytes) };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes;
}
