/**
 * A client of any OCI registry over fetch. The demo pushes its base image with it, the builder pulls bases, and a
 * mirror copies images. What is absent is undefined; every refusal names the registry, what was asked and its answer.
 */
import { Readable } from 'node:stream';
import {
  type Descriptor,
  type Digest,
  digestAlgorithm,
  Digester,
  digestOf,
  isDigest,
  MediaType,
} from '../../oci/index.js';
import type { ByteSource, Clock } from '../../store/index.js';
import { Authenticator, type Fetch, type RegistryCredentials } from './authenticator.js';
import { type BlobUpload, uploadBlob, type UploadOptions, type UploadOutcome } from './blob-upload.js';
import { type Endpoint, endpointOf, remoteRepository } from './endpoint.js';
import { broken, contentMismatch, refusedBy } from './errors.js';
import { Transport, type TransportRequest } from './transport.js';

export interface RegistryClientDeps {
  readonly clock: Clock;
  /** The platform's own when absent. */
  readonly fetch?: Fetch;
}

export interface RegistryClientOptions {
  /** Host and port, as in a reference: `ghcr.io`, `docker.io`, `127.0.0.1:5000`. */
  readonly registry: string;
  readonly credentials?: RegistryCredentials;
  /** Speak http; only to loopback and private names. Off by default. */
  readonly insecure?: boolean;
  readonly userAgent?: string;
  /**
   * How long one request may wait, in all, for a registry that answers 429 with a Retry-After; 30,000 ms when absent.
   * A longer wait fails at once with REGISTRY_RATE_LIMITED, which says how long.
   */
  readonly rateLimitWaitMs?: number;
}

export interface RemoteManifest {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly bytes: Buffer;
}

export interface RemotePut {
  readonly digest: Digest;
  /** The registry read the manifest's subject and lists it as a referrer. */
  readonly listsReferrers: boolean;
}

export interface RemoteBlob {
  readonly sizeBytes: number;
  /** Fails with REGISTRY_CONTENT_MISMATCH at its end when the bytes are not those of the digest. */
  readonly stream: Readable;
}

const MANIFEST_TYPES = [
  MediaType.ociIndex,
  MediaType.ociManifest,
  MediaType.dockerManifestList,
  MediaType.dockerManifest,
].join(', ');
const MAX_MANIFEST_BYTES = 8 * 1024 * 1024;
const SMALL_REQUEST_TIMEOUT_MS = 60_000;
const RATE_LIMIT_WAIT_MS = 30_000;

/** @example new RegistryClient({ clock }, { registry: '127.0.0.1:5000', insecure: true }) */
export class RegistryClient {
  private readonly endpoint: Endpoint;
  private readonly transport: Transport;

  /** @throws AppError REGISTRY_NAME_INVALID, REGISTRY_INSECURE_REFUSED */
  constructor(
    private readonly deps: RegistryClientDeps,
    options: RegistryClientOptions,
  ) {
    const fetch = deps.fetch ?? globalThis.fetch;
    this.endpoint = endpointOf(options.registry, options.insecure);
    const authenticator = new Authenticator({ clock: deps.clock, fetch }, this.endpoint, options.credentials);
    const { userAgent = 'wharf', rateLimitWaitMs = RATE_LIMIT_WAIT_MS } = options;
    const transport = { fetch, authenticator, clock: deps.clock };
    this.transport = new Transport(transport, this.endpoint, { userAgent, rateLimitWaitMs });
  }

  /** Whether this is a registry that lets us in. @throws AppError */
  async ping(): Promise<void> {
    const response = await this.ask({ method: 'GET', target: '/v2/', scope: '', doing: 'say hello', signal: soon() });
    await response.body?.cancel();
  }

  /** @param reference a tag or a digest */
  async getManifest(repository: string, reference: string, signal?: AbortSignal): Promise<RemoteManifest | undefined> {
    const doing = `get manifest ${name(repository, reference)}`;
    const response = await this.askFor({
      method: 'GET',
      ...this.manifest(repository, reference),
      doing,
      signal: soon(signal),
    });
    if (response === undefined) return undefined;
    const bytes = await readAtMost(response, MAX_MANIFEST_BYTES);
    if (bytes === undefined) throw this.broken(doing, `the manifest has more than ${MAX_MANIFEST_BYTES} bytes`);
    const expected = isDigest(reference) ? reference : undefined;
    const digest = digestOf(bytes, expected === undefined ? 'sha256' : digestAlgorithm(expected));
    if (expected !== undefined && digest !== expected) throw this.mismatch(doing, expected, digest);
    return { digest, mediaType: mediaTypeOf(response), bytes };
  }

  async headManifest(repository: string, reference: string, signal?: AbortSignal): Promise<Descriptor | undefined> {
    const doing = `look at manifest ${name(repository, reference)}`;
    const response = await this.askFor({
      method: 'HEAD',
      ...this.manifest(repository, reference),
      doing,
      signal: soon(signal),
    });
    if (response === undefined) return undefined;
    const digest = response.headers.get('docker-content-digest') ?? reference;
    if (!isDigest(digest)) {
      // Registries before 1.1 need not say the digest: then only the bytes tell.
      const manifest = await this.getManifest(repository, reference, signal);
      if (manifest === undefined) return undefined;
      return { mediaType: manifest.mediaType, digest: manifest.digest, size: manifest.bytes.length };
    }
    return { mediaType: mediaTypeOf(response), digest, size: Number(response.headers.get('content-length') ?? 0) };
  }

  async putManifest(
    repository: string,
    reference: string,
    bytes: Uint8Array,
    mediaType: string,
    signal?: AbortSignal,
  ): Promise<RemotePut> {
    const doing = `put manifest ${name(repository, reference)}`;
    const response = await this.ask({
      method: 'PUT',
      ...this.manifest(repository, reference),
      scope: this.scope(repository, 'pull,push'),
      doing,
      headers: { 'content-type': mediaType },
      body: { open: () => single(bytes), sizeBytes: bytes.length },
      ...(signal === undefined ? {} : { signal }),
    });
    await response.body?.cancel();
    const digest = digestOf(bytes, isDigest(reference) ? digestAlgorithm(reference) : 'sha256');
    const said = response.headers.get('docker-content-digest');
    if (said !== null && said !== digest) throw this.mismatch(doing, digest, said);
    return { digest, listsReferrers: response.headers.has('oci-subject') };
  }

  async headBlob(
    repository: string,
    digest: Digest,
    signal?: AbortSignal,
  ): Promise<{ readonly sizeBytes: number } | undefined> {
    const doing = `look at blob ${name(repository, digest)}`;
    const asked = { method: 'HEAD', ...this.blob(repository, digest), doing, signal: soon(signal) } as const;
    const response = await this.askFor(asked);
    return response === undefined ? undefined : { sizeBytes: Number(response.headers.get('content-length') ?? 0) };
  }

  async getBlob(repository: string, digest: Digest, signal?: AbortSignal): Promise<RemoteBlob | undefined> {
    const doing = `get blob ${name(repository, digest)}`;
    const response = await this.askFor({
      method: 'GET',
      ...this.blob(repository, digest),
      doing,
      ...(signal === undefined ? {} : { signal }),
    });
    if (response === undefined) return undefined;
    const length = response.headers.get('content-length');
    if (length === null || !/^\d+$/.test(length)) throw this.broken(doing, 'it does not say how long the blob is');
    return {
      sizeBytes: Number(length),
      stream: Readable.from(this.verified(response, digest, doing), { objectMode: false }),
    };
  }

  /** Sends a blob unless it is there: HEAD, then a mount if one is offered, then the bytes. */
  async uploadBlob(repository: string, blob: BlobUpload, options: UploadOptions = {}): Promise<UploadOutcome> {
    if ((await this.headBlobForPush(repository, blob.digest, options.signal)) !== undefined) return 'existed';
    const remote = remoteRepository(this.endpoint.registry, repository);
    return uploadBlob(
      (request) => this.ask(request),
      { origin: this.endpoint.origin, repository: remote },
      blob,
      options,
    );
  }

  private headBlobForPush(repository: string, digest: Digest, signal?: AbortSignal): Promise<Response | undefined> {
    const doing = `look for blob ${name(repository, digest)}`;
    // With the push scope at once, so that the upload that follows needs no second token.
    const scope = this.scope(repository, 'pull,push');
    return this.askFor({ method: 'HEAD', ...this.blob(repository, digest), scope, doing, signal: soon(signal) });
  }

  private manifest(repository: string, reference: string): Pick<TransportRequest, 'target' | 'scope' | 'headers'> {
    const remote = remoteRepository(this.endpoint.registry, repository);
    return {
      target: `/v2/${remote}/manifests/${reference}`,
      scope: this.scope(repository, 'pull'),
      headers: { accept: MANIFEST_TYPES },
    };
  }

  private blob(repository: string, digest: Digest): Pick<TransportRequest, 'target' | 'scope'> {
    const remote = remoteRepository(this.endpoint.registry, repository);
    return { target: `/v2/${remote}/blobs/${digest}`, scope: this.scope(repository, 'pull') };
  }

  private scope(repository: string, actions: string): string {
    return `repository:${remoteRepository(this.endpoint.registry, repository)}:${actions}`;
  }

  /** The response if it is a success. @throws AppError otherwise */
  private async ask(request: TransportRequest): Promise<Response> {
    const response = await this.transport.send(request);
    if (response.ok) return response;
    throw await this.refused(response, request);
  }

  /** The same for what may be absent. */
  private async askFor(request: TransportRequest): Promise<Response | undefined> {
    const response = await this.transport.send(request);
    if (response.ok) return response;
    if (response.status !== 404) throw await this.refused(response, request);
    await response.body?.cancel();
    return undefined;
  }

  private async *verified(response: Response, digest: Digest, doing: string): ByteSource {
    const digester = new Digester(digestAlgorithm(digest));
    try {
      for await (const chunk of response.body ?? []) {
        digester.update(chunk);
        yield chunk;
      }
    } catch (error) {
      throw this.broken(doing, `the connection broke off after ${digester.sizeBytes} bytes`, error);
    }
    if (digester.digest() !== digest) throw this.mismatch(doing, digest, digester.digest());
  }

  private refused(response: Response, { doing }: TransportRequest): Promise<Error> {
    return refusedBy(response, { registry: this.endpoint.registry, doing }, this.deps.clock.nowMs());
  }

  private broken(doing: string, problem: string, cause?: unknown): Error {
    return broken({ registry: this.endpoint.registry, doing }, problem, cause);
  }

  private mismatch(doing: string, expected: string, actual: string): Error {
    return contentMismatch({ registry: this.endpoint.registry, doing }, expected, actual);
  }
}

/** Bounds a request whose answer is small; blobs take as long as they take. */
function soon(signal?: AbortSignal): AbortSignal {
  const limit = AbortSignal.timeout(SMALL_REQUEST_TIMEOUT_MS);
  return signal === undefined ? limit : AbortSignal.any([signal, limit]);
}

function name(repository: string, reference: string): string {
  return `${repository}${isDigest(reference) ? '@' : ':'}${reference}`;
}

function mediaTypeOf(response: Response): string {
  return (response.headers.get('content-type') ?? '').replace(/;.*$/s, '').trim();
}

async function readAtMost(response: Response, maxBytes: number): Promise<Buffer | undefined> {
  const chunks: Uint8Array[] = [];
  let seen = 0;
  for await (const chunk of response.body ?? []) {
    seen += chunk.length;
    if (seen > maxBytes) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

async function* single(bytes: Uint8Array): ByteSource {
  yield bytes;
}
