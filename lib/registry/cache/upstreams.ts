/**
 * Upstreams: which repositories of ours are caches of another registry's. A prefix stands for a host: with
 * `hub → docker.io`, `hub/library/busybox` is a cache of `docker.io/library/busybox`. Few, and asked for with every
 * read, so they are held in memory for some seconds.
 */
import { AppError } from '../../errors/index.js';
import { isRepositoryName } from '../../oci/index.js';
import type { Clock, RecordKey, RecordStore } from '../../store/index.js';
import { endpointOf, isLoopbackRegistry, isRegistryName } from '../client/index.js';

export interface Upstream {
  /** Of our repositories: one component or more. */
  readonly prefix: string;
  /** Host and port, as in a reference. */
  readonly registry: string;
  /** For so long a tag is taken to be where it was last seen. */
  readonly tagTtlSeconds: number;
  /** What nobody asked for in so long is evicted, at the latest when twice that is over; 0: tags hold it. */
  readonly keepSeconds?: number;
  /** What it holds beyond so many bytes is evicted, the longest unused first; as many as there are when absent. */
  readonly maxBytes?: number;
  /** Plain http; only to a loopback or private name. */
  readonly insecure?: boolean;
}

/** A repository of ours, and where it comes from. */
export interface CachedPlace {
  readonly upstream: Upstream;
  readonly repository: string;
  /** Its name at the upstream. */
  readonly remote: string;
}

const PARTITION = 'UPSTREAMS';
/** Another process of the installation may have changed them. */
const HELD_MS = 5_000;
const MAX_UPSTREAMS = 100;
const MAX_TTL_SECONDS = 30 * 24 * 3600;
export const DEFAULT_TAG_TTL_SECONDS = 300;
const MIN_KEEP_SECONDS = 3600;
const MAX_KEEP_SECONDS = 3650 * 24 * 3600;
/** Less than most images have: everything would be fetched again and again. */
const MIN_CACHE_BYTES = 1_000_000;
export const DEFAULT_KEEP_SECONDS = 30 * 24 * 3600;

export class Upstreams {
  private held: { readonly list: readonly Upstream[]; readonly atMs: number } | undefined;

  constructor(private readonly deps: { readonly records: RecordStore; readonly clock: Clock }) {}

  /** By prefix. */
  async list(): Promise<readonly Upstream[]> {
    const page = await this.deps.records.query<Upstream>(PARTITION, { limit: MAX_UPSTREAMS });
    return page.records.map(({ value }) => ({
      keepSeconds: DEFAULT_KEEP_SECONDS,
      ...value,
      ...(isLoopbackRegistry(value.registry) ? { insecure: true } : {}),
    }));
  }

  /** @throws AppError UPSTREAM_INVALID, UPSTREAMS_FULL, REGISTRY_NAME_INVALID, REGISTRY_INSECURE_REFUSED */
  async put(upstream: Upstream): Promise<void> {
    const { prefix, registry, tagTtlSeconds, keepSeconds = DEFAULT_KEEP_SECONDS, maxBytes, insecure } = upstream;
    if (!isRepositoryName(prefix) || prefix.length > 100) {
      throw new AppError('UPSTREAM_INVALID', `${JSON.stringify(prefix.slice(0, 120))} is no prefix of repositories`, {
        hint: 'the beginning of repository names, such as hub or mirror/ghcr; at most 100 characters',
      });
    }
    if (!Number.isInteger(tagTtlSeconds) || tagTtlSeconds < 0 || tagTtlSeconds > MAX_TTL_SECONDS) {
      throw new AppError('UPSTREAM_INVALID', `a tag cannot be trusted for ${tagTtlSeconds} s`, {
        hint: `0 to ${MAX_TTL_SECONDS} seconds`,
      });
    }
    const isKept = keepSeconds === 0 || (keepSeconds >= MIN_KEEP_SECONDS && keepSeconds <= MAX_KEEP_SECONDS);
    if (!Number.isInteger(keepSeconds) || !isKept) {
      throw new AppError('UPSTREAM_INVALID', `what nobody asks for cannot be kept for ${keepSeconds} s`, {
        hint: `${MIN_KEEP_SECONDS} to ${MAX_KEEP_SECONDS} seconds, or 0 to evict nothing`,
      });
    }
    if (maxBytes !== undefined && !(Number.isSafeInteger(maxBytes) && maxBytes >= MIN_CACHE_BYTES)) {
      throw new AppError('UPSTREAM_INVALID', `a cache cannot be bounded to ${maxBytes} bytes`, {
        hint: `${MIN_CACHE_BYTES} bytes and more, or nothing for no bound`,
      });
    }
    endpointOf(registry, insecure);
    const known = await this.list();
    if (known.length >= MAX_UPSTREAMS && !known.some((each) => each.prefix === prefix)) {
      throw new AppError('UPSTREAMS_FULL', `there are ${MAX_UPSTREAMS} upstreams`, { kind: 'limited' });
    }
    await this.deps.records.put(keyOf(prefix), upstream);
    this.held = undefined;
  }

  /** What was cached stays, as ordinary repositories. @returns false when there is none */
  async delete(prefix: string): Promise<boolean> {
    const result = await this.deps.records.delete(keyOf(prefix), { expect: 'present' });
    this.held = undefined;
    return result.outcome === 'written';
  }

  /** The place of a repository under the longest prefix that fits; undefined: it is no cache. */
  async find(repository: string): Promise<CachedPlace | undefined> {
    let best: Upstream | undefined;
    for (const upstream of await this.recent()) {
      const fits = repository.startsWith(`${upstream.prefix}/`);
      if (fits && upstream.prefix.length > (best?.prefix.length ?? -1)) best = upstream;
    }
    return best === undefined
      ? undefined
      : { upstream: best, repository, remote: repository.slice(best.prefix.length + 1) };
  }

  /** Where a repository of this host is cached; of two caches of it the first by prefix. */
  async cacheOf(source: string, repository: string): Promise<string | undefined> {
    if (!isRegistryName(source)) return undefined;
    const { origin } = endpointOf(source);
    const upstream = (await this.recent()).find(({ registry }) => endpointOf(registry).origin === origin);
    return upstream === undefined ? undefined : `${upstream.prefix}/${repository}`;
  }

  private async recent(): Promise<readonly Upstream[]> {
    const nowMs = this.deps.clock.nowMs();
    if (this.held === undefined || nowMs - this.held.atMs >= HELD_MS) {
      this.held = { list: await this.list(), atMs: nowMs };
    }
    return this.held.list;
  }
}

function keyOf(prefix: string): RecordKey {
  return { partition: PARTITION, sort: prefix };
}
