/**
 * Caches in a process that cannot wait for a layer: what is held is served, tags where they were last seen. What is not
 * held is refused with where it is fetched.
 */
import { AppError } from '../../errors/index.js';
import type { Digest } from '../../oci/index.js';
import type { Registry } from '../registry.js';
import type { Lookup, RegistryCache } from './registry-cache.js';
import type { CachedPlace, Upstreams } from './upstreams.js';

export interface HeldOnlyDeps {
  readonly registry: Registry;
  readonly upstreams: Upstreams;
}

export class HeldOnly implements RegistryCache {
  /** @param fetchedBy who fetches what is not held, for those who are refused */
  constructor(
    private readonly deps: HeldOnlyDeps,
    private readonly fetchedBy: string,
  ) {}

  async covers(repository: string): Promise<boolean> {
    return (await this.deps.upstreams.find(repository)) !== undefined;
  }

  cacheOf(source: string, repository: string): Promise<string | undefined> {
    return this.deps.upstreams.cacheOf(source, repository);
  }

  /** @throws AppError CACHE_NOT_HELD */
  async ensureManifest(
    repository: string,
    reference: { readonly tag: string } | { readonly digest: Digest },
  ): Promise<Lookup> {
    const place = await this.deps.upstreams.find(repository);
    if (place === undefined) return 'current';
    const { tagList, manifests } = this.deps.registry;
    const digest = 'digest' in reference ? reference.digest : await tagList.resolve(repository, reference.tag);
    if (digest !== undefined && (await manifests.stat(repository, digest)) !== undefined) return 'stale';
    throw this.notHeld(place, 'digest' in reference ? `@${reference.digest}` : `:${reference.tag}`);
  }

  async blobSize(repository: string, digest: Digest): Promise<undefined> {
    const place = await this.deps.upstreams.find(repository);
    if (place !== undefined) throw this.notHeld(place, `, blob ${digest}`);
  }

  blob(repository: string, digest: Digest): Promise<undefined> {
    return this.blobSize(repository, digest);
  }

  private notHeld({ repository, upstream }: CachedPlace, what: string): AppError {
    const { registry } = upstream;
    return new AppError(
      'CACHE_NOT_HELD',
      `${repository}${what} is not held yet by the cache of ${registry}, and nothing is fetched here`,
      { kind: 'not-found', hint: this.fetchedBy, details: { registry } },
    );
  }
}
