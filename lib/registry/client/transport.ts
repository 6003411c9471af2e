/**
 * One request to another registry: with what it wants to be shown, following its redirects. Credentials go to the
 * registry's own host and nowhere else.
 */
import type { ByteSource, Clock } from '../../store/index.js';
import type { Authenticator, Fetch } from './authenticator.js';
import { type Endpoint, isAllowedTarget } from './endpoint.js';
import { broken, unreachable } from './errors.js';
import { retryAfterMs } from './retry-after.js';

export interface TransportRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** A path of the registry, or a Location it gave. */
  readonly target: string;
  /** `repository:<name>:<actions>`; empty for a ping. */
  readonly scope: string;
  /** For messages, as in `put manifest team/app:1`. */
  readonly doing: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Opened again when the request must be sent again. */
  readonly body?: { open(): ByteSource; readonly sizeBytes: number };
  readonly signal?: AbortSignal;
}

const MAX_REDIRECTS = 5;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
/** Of these alone it is certain that method and body are wanted there too (RFC 9110, section 15.4). */
const REPEATS_BODY = new Set([307, 308]);

/** A registry that limits its rate and does not say for how long is asked again after so long. */
const DEFAULT_RETRY_AFTER_MS = 1000;

export interface TransportDeps {
  readonly fetch: Fetch;
  readonly authenticator: Authenticator;
  readonly clock: Clock;
}

export interface TransportSettings {
  readonly userAgent: string;
  /** How long one request may wait, in all, for a registry that answers 429. */
  readonly rateLimitWaitMs: number;
}

export class Transport {
  constructor(
    private readonly deps: TransportDeps,
    readonly endpoint: Endpoint,
    private readonly settings: TransportSettings,
  ) {}

  /**
   * The response, whatever its status; its body is the caller's to consume. A 429 is answered with the wait it asks
   * for, if that is within bounds; else it is the response.
   * @throws AppError REGISTRY_UNREACHABLE
   */
  async send(request: TransportRequest): Promise<Response> {
    let leftMs = this.settings.rateLimitWaitMs;
    for (;;) {
      const response = await this.authenticated(request);
      if (response.status !== 429) return response;
      const waitMs = retryAfterMs(response, this.deps.clock.nowMs()) ?? DEFAULT_RETRY_AFTER_MS;
      if (waitMs > leftMs) return response;
      await response.body?.cancel();
      await this.deps.clock.sleep(waitMs, request.signal);
      leftMs -= Math.max(waitMs, DEFAULT_RETRY_AFTER_MS);
    }
  }

  private async authenticated(request: TransportRequest): Promise<Response> {
    const shown = this.deps.authenticator.header(request.scope);
    const first = await this.follow(request);
    if (first.status !== 401) return first;
    if (!(await this.deps.authenticator.answer(first, request.scope, shown))) return first;
    await first.body?.cancel();
    return this.follow(request);
  }

  private async follow(request: TransportRequest): Promise<Response> {
    let url = new URL(request.target, this.endpoint.origin);
    for (let hops = 0; ; hops++) {
      if (!isAllowedTarget(this.endpoint, url)) {
        throw broken(this.where(request), `it points to ${url.origin}, which is not https`);
      }
      const response = await this.once(request, url);
      const location = response.headers.get('location');
      if (!REDIRECTS.has(response.status) || location === null) return response;
      await response.body?.cancel();
      if (hops === MAX_REDIRECTS) throw broken(this.where(request), `more than ${MAX_REDIRECTS} redirects`);
      if (request.body !== undefined && !REPEATS_BODY.has(response.status)) {
        throw broken(this.where(request), `it redirects an upload with ${response.status}, not 307 or 308`);
      }
      if (!URL.canParse(location, url.href)) throw broken(this.where(request), 'its redirect is not a URL');
      url = new URL(location, url);
    }
  }

  private async once(request: TransportRequest, url: URL): Promise<Response> {
    const authorization =
      url.origin === this.endpoint.origin ? this.deps.authenticator.header(request.scope) : undefined;
    const headers: Record<string, string> = {
      'user-agent': this.settings.userAgent,
      // Content must come as it is stored: lengths and digests are of those bytes.
      'accept-encoding': 'identity',
      ...request.headers,
      ...(authorization === undefined ? {} : { authorization }),
      ...(request.body === undefined ? {} : { 'content-length': String(request.body.sizeBytes) }),
    };
    try {
      return await this.deps.fetch(url, {
        method: request.method,
        headers,
        redirect: 'manual',
        ...(request.body === undefined || request.body.sizeBytes === 0
          ? {}
          : { body: request.body.open(), duplex: 'half' }),
        ...(request.signal === undefined ? {} : { signal: request.signal }),
      });
    } catch (error) {
      request.signal?.throwIfAborted();
      throw unreachable(this.where(request), error);
    }
  }

  private where(request: TransportRequest): { readonly registry: string; readonly doing: string } {
    return { registry: this.endpoint.registry, doing: request.doing };
  }
}
