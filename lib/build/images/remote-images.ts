/**
 * Images of other registries, as far as a build needs them: manifests and configs when a base is looked up, layers
 * when somebody reads them. What was fetched lies in the content store under its digest, so it is fetched once, by
 * whoever needs it first; every byte is checked against its digest on the way.
 */
import { AppError } from '../../errors/index.js';
import type { Descriptor, Digest } from '../../oci/index.js';
import {
  type RegistryClient,
  RegistryConnections,
  type RegistryConnectionsDeps,
  type RegistryConnectionsOptions,
} from '../../registry/client/index.js';
import type { StoredManifest } from '../../registry/index.js';
import type { ByteSource, ContentStore } from '../../store/index.js';
import { SingleFlight, Slots } from '../solve/concurrency.js';
import type { Layer, RegistryOrigin } from '../plan/steps.js';

export interface RemoteImagesDeps extends RegistryConnectionsDeps {
  readonly content: ContentStore;
}

export interface RemoteImagesOptions extends RegistryConnectionsOptions {
  /** Layers fetched at once; 3 when absent. */
  readonly parallelism?: number;
}

const MAX_CONFIG_BYTES = 8 * 1024 * 1024;

export class RemoteImages {
  private readonly flights = new SingleFlight<true>();
  private readonly slots: Slots;
  private readonly connections: RegistryConnections;

  constructor(
    private readonly deps: RemoteImagesDeps,
    options: RemoteImagesOptions = {},
  ) {
    this.connections = new RegistryConnections(deps, options);
    this.slots = new Slots(options.parallelism ?? 3);
  }

  /**
   * One look-up's connection: tokens are kept while it lives.
   * @param signal of whoever looks: no registry that says nothing holds them up
   * @throws AppError REGISTRY_NAME_INVALID
   */
  async open(registry: string, signal?: AbortSignal): Promise<RemoteImage> {
    return new RemoteImage(await this.connections.open(registry), this.deps.content, signal);
  }

  /** For whoever writes there: with the login kept for it. @throws AppError REGISTRY_NAME_INVALID */
  connect(registry: string): Promise<RegistryClient> {
    return this.connections.open(registry);
  }

  /**
   * Makes sure that the layers that come from registries are in the content store.
   * @throws AppError BUILD_LAYER_UNAVAILABLE, REGISTRY_…
   */
  async fetchLayers(layers: readonly Layer[], signal: AbortSignal): Promise<void> {
    const fetching = layers.map(async ({ descriptor, origin }) => {
      if (origin === undefined || !('registry' in origin)) return;
      if ((await this.deps.content.stat(descriptor.digest)) !== undefined) return;
      await this.flights.run(descriptor.digest, () => this.fetchLayer(descriptor, origin, signal), signal);
    });
    await Promise.all(fetching);
  }

  private fetchLayer(descriptor: Descriptor, origin: RegistryOrigin, signal: AbortSignal): Promise<true> {
    return this.slots.run(async (): Promise<true> => {
      signal.throwIfAborted();
      const client = await this.connections.open(origin.registry);
      const blob = await client.getBlob(origin.repository, descriptor.digest, signal);
      const what = `layer ${descriptor.digest} of ${origin.registry}/${origin.repository}`;
      if (blob === undefined) throw unavailable(`${what} is not there`);
      if (blob.sizeBytes !== descriptor.size) {
        blob.stream.destroy();
        throw unavailable(`${what} has ${blob.sizeBytes} bytes, and its manifest says ${descriptor.size}`);
      }
      await this.deps.content.put(blob.stream as ByteSource, { expected: descriptor.digest, signal });
      return true;
    });
  }
}

/** The images of one other registry. */
export class RemoteImage {
  constructor(
    private readonly client: RegistryClient,
    private readonly content: ContentStore,
    private readonly signal?: AbortSignal,
  ) {}

  /** The manifest behind a tag or digest; undefined when absent. Known bytes are not asked for again. */
  async manifest(
    repository: string,
    by: { readonly tag: string } | { readonly digest: Digest },
  ): Promise<StoredManifest | undefined> {
    const head = await this.client.headManifest(repository, 'tag' in by ? by.tag : by.digest, this.signal);
    if (head === undefined) return undefined;
    const kept = await this.content.read(head.digest);
    if (kept !== undefined) return { digest: head.digest, mediaType: head.mediaType, bytes: kept };
    const manifest = await this.client.getManifest(repository, head.digest, this.signal);
    if (manifest === undefined) return undefined;
    await this.content.putBytes(manifest.bytes, { expected: manifest.digest });
    return manifest;
  }

  async has(repository: string, blob: Digest): Promise<boolean> {
    return (await this.client.headBlob(repository, blob, this.signal)) !== undefined;
  }

  /** A config document; undefined when absent. @throws AppError BUILD_LAYER_UNAVAILABLE when it is far too large */
  async config(repository: string, { digest, size }: Descriptor): Promise<Buffer | undefined> {
    const kept = await this.content.read(digest);
    if (kept !== undefined) return kept;
    if (size > MAX_CONFIG_BYTES) throw unavailable(`config ${digest} has ${size} bytes, at most ${MAX_CONFIG_BYTES}`);
    const blob = await this.client.getBlob(repository, digest, this.signal);
    if (blob === undefined) return undefined;
    if (blob.sizeBytes !== size) {
      blob.stream.destroy();
      throw unavailable(`config ${digest} has ${blob.sizeBytes} bytes, and its manifest says ${size}`);
    }
    await this.content.put(blob.stream as ByteSource, {
      expected: digest,
      ...(this.signal === undefined ? {} : { signal: this.signal }),
    });
    return this.content.read(digest);
  }
}

function unavailable(message: string): AppError {
  return new AppError('BUILD_LAYER_UNAVAILABLE', message, {
    kind: 'failed',
    hint: 'push the image again at that registry, or name another tag',
  });
}
