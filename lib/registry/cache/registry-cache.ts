/** What the protocol asks of caches of other registries, whether what they lack is fetched here or not. */
import type { Digest } from '../../oci/index.js';
import type { ReadableBlob } from '../blobs.js';

/** `stale`: the upstream could not be asked, and what was last seen is served. */
export type Lookup = 'current' | 'stale';

export interface RegistryCache {
  /** Whether the repository is a cache, which nobody pushes to. */
  covers(repository: string): Promise<boolean>;
  /**
   * The repository here that is the cache of one at its source; undefined: the source is no upstream.
   * @param source a host, as in a reference
   */
  cacheOf(source: string, repository: string): Promise<string | undefined>;
  /**
   * Sees to it that the manifest is here as far as the upstream has it, and that the tag points where it does there.
   * Does nothing for a repository that is no cache.
   * @param options.refresh ask the upstream even if the tag was looked up a moment ago
   * @throws AppError when there is nothing here to serve, and why
   */
  ensureManifest(
    repository: string,
    reference: { readonly tag: string } | { readonly digest: Digest },
    options?: { readonly refresh?: boolean },
  ): Promise<Lookup>;
  /** The size of a blob that a cache lacks; undefined: not there either, or no cache. */
  blobSize(repository: string, digest: Digest): Promise<number | undefined>;
  /** A blob that a cache lacks; undefined: the upstream has it not, or no cache. */
  blob(repository: string, digest: Digest): Promise<ReadableBlob | undefined>;
}
