/**
 * The pull-through cache: what a repository under an upstream's prefix lacks is fetched when somebody asks for it, once
 * however many ask, and kept. A tag is looked up again when its time is over, or when a client insists; while the
 * upstream fails, what is here is served. A manifest is stored when it is asked for, before the blobs it names.
 */
import { Readable } from 'node:stream';
import { AppError } from '../../errors/index.js';
import type { Digest } from '../../oci/index.js';
import type { ByteSource, Clock, ContentStore, Logger, RecordKey, RecordStore } from '../../store/index.js';
import type { ReadableBlob } from '../blobs.js';
import type { RegistryClient, RegistryConnections } from '../client/index.js';
import type { Registry } from '../registry.js';
import { BlobFlight } from './blob-flight.js';
import type { Lookup, RegistryCache } from './registry-cache.js';
import { UpstreamState } from './upstream-state.js';
import type { CachedPlace, Upstreams } from './upstreams.js';

export interface PullThroughDeps {
  readonly registry: Registry;
  readonly upstreams: Upstreams;
  readonly connections: RegistryConnections;
  readonly records: RecordStore;
  readonly content: ContentStore;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Written when a tag was looked up; expires when that is not to be trusted any more. */
interface FreshRecord {
  readonly checkedMs: number;
}

export interface PullThroughOptions {
  /** Blobs that may be on their way at once: each holds some MiB. 64 when absent. */
  readonly maxFlights?: number;
}

const MAX_FLIGHTS = 64;

export class PullThrough implements RegistryCache {
  private readonly state: UpstreamState;
  private readonly flights = new Map<string, Promise<BlobFlight | undefined>>();
  private readonly lookups = new Map<string, Promise<Lookup>>();

  constructor(
    private readonly deps: PullThroughDeps,
    private readonly options: PullThroughOptions = {},
  ) {
    this.state = new UpstreamState(deps.clock);
  }

  async covers(repository: string): Promise<boolean> {
    return (await this.deps.upstreams.find(repository)) !== undefined;
  }

  cacheOf(source: string, repository: string): Promise<string | undefined> {
    return this.deps.upstreams.cacheOf(source, repository);
  }

  /** @throws AppError of the upstream, when there is nothing here to serve in its place */
  async ensureManifest(
    repository: string,
    reference: { readonly tag: string } | { readonly digest: Digest },
    options: { readonly refresh?: boolean } = {},
  ): Promise<Lookup> {
    const place = await this.deps.upstreams.find(repository);
    if (place === undefined) return 'current';
    if ('digest' in reference) {
      const { digest } = reference;
      if ((await this.deps.registry.manifests.stat(repository, digest)) !== undefined) return 'current';
      return this.once(`${repository}@${digest}`, () => this.fetchManifest(place, digest, []));
    }
    const { tag } = reference;
    if (options.refresh !== true && (await this.isFresh(place, tag))) return 'current';
    return this.once(`${repository}:${tag}`, () => this.lookUp(place, tag));
  }

  async blobSize(repository: string, digest: Digest): Promise<number | undefined> {
    const place = await this.deps.upstreams.find(repository);
    if (place === undefined) return undefined;
    return (await this.ask(place, (client) => client.headBlob(place.remote, digest)))?.sizeBytes;
  }

  /** As it arrives; it is stored whether or not it is read to its end. @throws AppError UPSTREAM_BUSY among others */
  async blob(repository: string, digest: Digest): Promise<ReadableBlob | undefined> {
    const place = await this.deps.upstreams.find(repository);
    if (place === undefined) return undefined;
    const key = `${repository}@${digest}`;
    let starting = this.flights.get(key);
    if (starting === undefined) {
      const { maxFlights = MAX_FLIGHTS } = this.options;
      if (this.flights.size >= maxFlights) throw busy(place, maxFlights);
      starting = this.start(place, digest);
      this.flights.set(key, starting);
      const forget = (): void => void this.flights.delete(key);
      // Kept while it is under way; afterwards the store answers.
      void starting.then((flight) => flight?.landed.then(forget, forget) ?? forget(), forget);
    }
    const flight = await starting;
    if (flight === undefined) return this.deps.registry.blobs.get(repository, digest);
    return {
      digest,
      sizeBytes: flight.sizeBytes,
      open: (range) => Promise.resolve(Readable.from(flight.read(range), { objectMode: false })),
      readUrl: () => Promise.resolve(undefined),
    };
  }

  /** Undefined: the upstream has it not, or there is nothing to fetch and it is linked now. */
  private async start(place: CachedPlace, digest: Digest): Promise<BlobFlight | undefined> {
    const { content, registry } = this.deps;
    const { repository, remote } = place;
    if ((await content.stat(digest)) !== undefined) {
      // Ours by another repository: it may be read here only if the upstream has it too.
      const there = await this.ask(place, (client) => client.headBlob(remote, digest));
      if (there !== undefined) await registry.blobs.link(repository, digest);
      return undefined;
    }
    const blob = await this.ask(place, (client) => client.getBlob(remote, digest));
    if (blob === undefined) return undefined;
    return new BlobFlight(digest, blob.sizeBytes, blob.stream as ByteSource, {
      store: async (source) => {
        try {
          await this.state.run(place.upstream.registry, () => content.put(source, { expected: digest }));
        } catch (error) {
          this.deps.logger.warn('a blob did not arrive from upstream', { repository, digest, error });
          throw error;
        }
        await registry.blobs.link(repository, digest);
      },
      open: async (range) => {
        const stream = await content.open(digest, range);
        if (stream === undefined) throw new AppError('BLOB_UNKNOWN', `blob ${digest} is gone`, { kind: 'not-found' });
        return stream as ByteSource;
      },
    });
  }

  private async isFresh(place: CachedPlace, tag: string): Promise<boolean> {
    if (place.upstream.tagTtlSeconds === 0) return false;
    if ((await this.deps.records.get<FreshRecord>(freshKey(place, tag))) === undefined) return false;
    return (await this.deps.registry.tagList.resolve(place.repository, tag)) !== undefined;
  }

  private async lookUp(place: CachedPlace, tag: string): Promise<Lookup> {
    const { registry, clock, records, logger } = this.deps;
    const { repository, remote, upstream } = place;
    const local = await registry.tagList.resolve(repository, tag);
    const isHere = local !== undefined && (await registry.manifests.stat(repository, local)) !== undefined;
    if (isHere && this.state.isFailing(upstream.registry)) return 'stale';
    try {
      const head = await this.ask(place, (client) => client.headManifest(remote, tag));
      if (head === undefined) {
        if (local !== undefined) await registry.tagList.delete(repository, tag);
        return 'current';
      }
      if (local !== head.digest || !isHere) await this.fetchManifest(place, head.digest, [tag]);
    } catch (error) {
      if (!isHere || !(error instanceof AppError)) throw error;
      logger.warn('a tag is served as it was last seen, its upstream fails', { repository, tag, error });
      return 'stale';
    }
    if (upstream.tagTtlSeconds === 0) return 'current';
    const checkedMs = clock.nowMs();
    const fresh: FreshRecord = { checkedMs };
    await records.put(freshKey(place, tag), fresh, { expiresAtMs: checkedMs + upstream.tagTtlSeconds * 1000 });
    return 'current';
  }

  private async fetchManifest(place: CachedPlace, digest: Digest, tags: readonly string[]): Promise<Lookup> {
    const { repository, remote, upstream } = place;
    const known = await this.deps.registry.manifests.get(repository, digest);
    const manifest = known ?? (await this.ask(place, (client) => client.getManifest(remote, digest)));
    if (manifest === undefined) return 'current';
    try {
      const options = { tags, digest, isCached: true };
      await this.deps.registry.manifests.put(repository, manifest.bytes, manifest.mediaType, options);
      return 'current';
    } catch (error) {
      if (!(error instanceof AppError) || error.kind !== 'invalid') throw error;
      throw new AppError(
        'UPSTREAM_MANIFEST_UNSUPPORTED',
        `${upstream.registry}/${remote}@${digest}: ${error.message}`,
        {
          kind: 'not-found',
          cause: error,
        },
      );
    }
  }

  private ask<T>(place: CachedPlace, question: (client: RegistryClient) => Promise<T>): Promise<T> {
    const { registry, insecure } = place.upstream;
    const options = insecure === undefined ? {} : { insecure };
    return this.state.run(registry, async () => question(await this.deps.connections.open(registry, options)));
  }

  /** Equal work is done once; whoever comes while it runs shares its end. */
  private once(key: string, work: () => Promise<Lookup>): Promise<Lookup> {
    const running = this.lookups.get(key);
    if (running !== undefined) return running;
    const mine = work().finally(() => this.lookups.delete(key));
    this.lookups.set(key, mine);
    return mine;
  }
}

function freshKey({ repository }: CachedPlace, tag: string): RecordKey {
  return { partition: `FRESH#${repository}`, sort: tag };
}

function busy({ upstream }: CachedPlace, flights: number): AppError {
  return new AppError('UPSTREAM_BUSY', `${flights} blobs are being fetched from upstreams`, {
    kind: 'limited',
    retryable: true,
    details: { registry: upstream.registry, retryAfterSeconds: 5 },
  });
}
