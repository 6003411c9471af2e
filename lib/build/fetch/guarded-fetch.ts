/**
 * GET for addresses that come from a Dockerfile: every hop goes through the EgressGuard and connects to the address
 * that was checked; redirects are followed here, so that each is checked again; credentials stay with the host they
 * are for; time and size have limits.
 */
import { type IncomingMessage, request as httpRequest, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { LookupFunction } from 'node:net';
import { AppError } from '../../errors/index.js';
import type { Clock } from '../../store/index.js';
import type { CheckedAddress, EgressGuard } from './egress-guard.js';

export interface FetchLimits {
  /** Of one body. */
  readonly maxBytes: number;
  /** From the request to the last byte. */
  readonly timeoutMs: number;
}

export interface GuardedResponse {
  readonly status: number;
  header(name: string): string | undefined;
  /** Where the answer came from, after redirects, and the address that was connected to. */
  readonly url: URL;
  readonly address: CheckedAddress;
  /** To be read or dropped. @throws AppError BUILD_REMOTE_TOO_LARGE, BUILD_REMOTE_TIMEOUT */
  readonly body: AsyncIterable<Uint8Array>;
  /** Ends the connection. */
  drop(): void;
}

export interface GuardedFetchDeps {
  readonly guard: EgressGuard;
  readonly clock: Clock;
}

const MAX_REDIRECTS = 10;
const REDIRECTS = [301, 302, 303, 307, 308];

export class GuardedFetch {
  constructor(
    private readonly deps: GuardedFetchDeps,
    private readonly limits: FetchLimits,
  ) {}

  /**
   * @param headers of the first host; `authorization` is not sent to another one
   * @throws AppError BUILD_EGRESS_REFUSED, BUILD_REMOTE_UNREACHABLE, BUILD_REMOTE_TIMEOUT, or the signal's reason
   */
  async get(start: URL, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<GuardedResponse> {
    const ended = new AbortController();
    const timedOut = new AbortController();
    const stop = AbortSignal.any([signal, timedOut.signal]);
    this.deps.clock.sleep(this.limits.timeoutMs, ended.signal).then(
      () => timedOut.abort(timeout(start, this.limits.timeoutMs)),
      () => undefined,
    );
    try {
      const { url, address, message } = await this.follow(start, headers, stop);
      const drop = (): void => {
        ended.abort();
        message.destroy();
      };
      return {
        status: message.statusCode ?? 0,
        header: (name) => {
          const value = message.headers[name];
          return Array.isArray(value) ? value[0] : value;
        },
        url,
        address,
        body: this.limited(message, url, stop, drop),
        drop,
      };
    } catch (error) {
      ended.abort();
      stop.throwIfAborted();
      throw error;
    }
  }

  private async follow(
    start: URL,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<{ url: URL; address: CheckedAddress; message: IncomingMessage }> {
    let url = start;
    for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
      const address = await this.deps.guard.check(url);
      const message = await this.ask(
        url,
        address,
        url.host === start.host ? headers : withoutCredentials(headers),
        signal,
      );
      const { location } = message.headers;
      if (!REDIRECTS.includes(message.statusCode ?? 0) || location === undefined) return { url, address, message };
      message.destroy();
      url = redirected(url, location);
    }
    throw new AppError('BUILD_REMOTE_UNREACHABLE', `${shown(start)} redirects more than ${MAX_REDIRECTS} times`, {
      kind: 'failed',
    });
  }

  private ask(
    url: URL,
    address: CheckedAddress,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    const options: RequestOptions = {
      method: 'GET',
      headers: { 'accept-encoding': 'identity', 'user-agent': 'wharf', ...headers },
      agent: false,
      lookup: pinnedTo(address),
      signal,
    };
    return new Promise((resolve, reject) => {
      const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
      const request = send(url, options, (message) => {
        const peer = message.socket.remoteAddress ?? '';
        if (this.deps.guard.isAllowed(peer)) return resolve(message);
        message.destroy();
        reject(new AppError('BUILD_EGRESS_REFUSED', `${shown(url)} led to ${peer}`, { kind: 'forbidden' }));
      });
      request.once('error', (error) => {
        if (signal.aborted) return reject(signal.reason as Error);
        const message = `${shown(url)} cannot be reached: ${error.message}`;
        reject(new AppError('BUILD_REMOTE_UNREACHABLE', message, { kind: 'failed', retryable: true, cause: error }));
      });
      request.end();
    });
  }

  private async *limited(
    message: IncomingMessage,
    url: URL,
    signal: AbortSignal,
    drop: () => void,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    let bytes = 0;
    try {
      for await (const chunk of message as AsyncIterable<Uint8Array>) {
        bytes += chunk.length;
        if (bytes > this.limits.maxBytes) {
          throw new AppError('BUILD_REMOTE_TOO_LARGE', `${shown(url)} is larger than ${this.limits.maxBytes} bytes`, {
            kind: 'too-large',
          });
        }
        yield chunk;
      }
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof AppError) throw error;
      const what = `${shown(url)} broke off after ${bytes} bytes`;
      throw new AppError('BUILD_REMOTE_UNREACHABLE', what, { kind: 'failed', retryable: true, cause: error });
    } finally {
      drop();
    }
  }
}

/** Whatever the name means by now, this is where a connection goes. */
export function pinnedTo({ address, family }: CheckedAddress): LookupFunction {
  return (_host, options, callback) => {
    if (options.all === true) callback(null, [{ address, family }]);
    else callback(null, address, family);
  };
}

function redirected(from: URL, location: string): URL {
  const to = URL.canParse(location, from.href) ? new URL(location, from) : undefined;
  const isSafe = to?.protocol === 'https:' || (to?.protocol === 'http:' && from.protocol === 'http:');
  if (to === undefined || !isSafe) {
    throw new AppError('BUILD_EGRESS_REFUSED', `${shown(from)} redirects to ${to?.protocol ?? 'nowhere'}`, {
      kind: 'forbidden',
      hint: 'a redirect to https',
    });
  }
  to.username = '';
  to.password = '';
  return to;
}

function withoutCredentials(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name.toLowerCase() !== 'authorization'));
}

function timeout(url: URL, timeoutMs: number): AppError {
  return new AppError('BUILD_REMOTE_TIMEOUT', `${shown(url)} did not end within ${timeoutMs / 1000} s`, {
    kind: 'failed',
    retryable: true,
  });
}

/** Without the query, where signatures and tokens stand. */
export function shown(url: URL): string {
  return `${url.origin}${url.pathname}`;
}
