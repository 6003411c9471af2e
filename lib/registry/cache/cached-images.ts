/**
 * `Images` for the house, caches included: builder and engine read layers from the content store, not through the
 * registry, so an image of a cache is fetched whole when it is asked for here.
 */
import { AppError } from '../../errors/index.js';
import { type Descriptor, type Digest, parseManifestDocument } from '../../oci/index.js';
import { mapBounded } from '../bounded.js';
import type { Registry } from '../registry.js';
import type { Images, StoredManifest, TagEntry } from '../types.js';
import type { RegistryCache } from './registry-cache.js';

const BLOBS_AT_ONCE = 3;

export class CachedImages implements Images {
  constructor(
    private readonly registry: Registry,
    private readonly cache: RegistryCache,
  ) {}

  async manifest(
    repository: string,
    reference: { readonly tag: string } | { readonly digest: Digest },
  ): Promise<StoredManifest | undefined> {
    if (!(await this.cache.covers(repository))) return this.registry.manifest(repository, reference);
    await this.cache.ensureManifest(repository, reference);
    const manifest = await this.registry.manifest(repository, reference);
    if (manifest !== undefined) await this.fetchBlobs(repository, manifest);
    return manifest;
  }

  async putManifest(
    repository: string,
    bytes: Uint8Array,
    mediaType: string,
    tags: readonly string[],
  ): Promise<Descriptor> {
    if (!(await this.cache.covers(repository))) return this.registry.putManifest(repository, bytes, mediaType, tags);
    throw new AppError('REPOSITORY_IS_CACHE', `${repository} is a cache of another registry`, {
      kind: 'unsupported',
      hint: 'the name of a repository of your own',
    });
  }

  linkBlob(repository: string, digest: Digest): Promise<void> {
    return this.registry.linkBlob(repository, digest);
  }

  repositories(options?: { readonly after?: string; readonly limit?: number }): Promise<readonly string[]> {
    return this.registry.repositories(options);
  }

  tags(repository: string): Promise<readonly TagEntry[] | undefined> {
    return this.registry.tags(repository);
  }

  /** Config and layers; the images of an index are fetched when one of them is asked for. */
  private async fetchBlobs(repository: string, { bytes, mediaType }: StoredManifest): Promise<void> {
    const document = parseManifestDocument(bytes, mediaType);
    if (document.kind === 'index') return;
    const { config, layers } = document.manifest;
    await mapBounded([config, ...layers], BLOBS_AT_ONCE, async ({ digest }) => {
      if ((await this.registry.blobs.stat(repository, digest)) !== undefined) return;
      const stream = await (await this.cache.blob(repository, digest))?.open();
      // Read to its end: then it is stored.
      if (stream !== undefined) for await (const _ of stream);
    });
  }
}
