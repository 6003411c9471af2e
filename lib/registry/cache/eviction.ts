/**
 * What the collector is told about caches: for how long each keeps what nobody asks for, how much, and how a manifest
 * leaves one.
 * It can be fetched again, so it does not lie about for undelete, and its tags go with it.
 */
import type { Digest } from '../../oci/index.js';
import type { CacheRules } from '../collector/index.js';
import type { Registry } from '../registry.js';
import { DEFAULT_KEEP_SECONDS, type Upstreams } from './upstreams.js';

export class CacheEviction implements CacheRules {
  constructor(private readonly deps: { readonly registry: Registry; readonly upstreams: Upstreams }) {}

  async keepMs(repository: string): Promise<number | undefined> {
    const place = await this.deps.upstreams.find(repository);
    if (place === undefined) return undefined;
    const { keepSeconds = DEFAULT_KEEP_SECONDS } = place.upstream;
    return keepSeconds === 0 ? undefined : keepSeconds * 1000;
  }

  async bound(repository: string): Promise<{ readonly cache: string; readonly maxBytes: number } | undefined> {
    const { upstream } = (await this.deps.upstreams.find(repository)) ?? {};
    return upstream?.maxBytes === undefined ? undefined : { cache: upstream.prefix, maxBytes: upstream.maxBytes };
  }

  evict(repository: string, digest: Digest, version: number): Promise<boolean> {
    return this.deps.registry.manifests.evict(repository, digest, version);
  }
}
