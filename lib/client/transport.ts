/** One call of the HTTP API: headers, errors as AppErrors with the server's code, and event streams. */
import { AppError, type ErrorKind, toAppError } from '../errors/index.js';
import { type HttpAnswer, type HttpCall, httpCall, type HttpRequest, textOf } from './http-call.js';

export interface TransportOptions {
  /** Of the platform, e.g. `http://127.0.0.1:7070`. */
  readonly url: string;
  readonly token: string;
  /** Makes the requests; Node's client when absent. */
  readonly http?: HttpCall;
}

export interface CallOptions {
  readonly query?: Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;
  /** Sent as JSON. */
  readonly json?: unknown;
  /** Sent as it is. */
  readonly body?: AsyncIterable<Uint8Array>;
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly idempotencyKey?: string;
  readonly signal?: AbortSignal;
}

/** Of a call that the caller may break off. */
export interface CallSettings {
  readonly signal?: AbortSignal;
}

type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

export class Transport {
  private readonly base: string;

  constructor(private readonly options: TransportOptions) {
    this.base = options.url.replace(/\/+$/, '');
  }

  /** The parsed answer; undefined when it has no body. @throws AppError with the server's code, or SERVER_UNREACHABLE */
  async call<T>(method: Method, path: string, options: CallOptions = {}): Promise<T> {
    const text = await textOf(await this.send(method, path, options));
    return (text === '' ? undefined : JSON.parse(text)) as T;
  }

  /** The answer's bytes while they come. @throws as call */
  async stream(path: string, options: CallOptions): Promise<AsyncIterable<Uint8Array>> {
    return (await this.send('GET', path, options)).body;
  }

  /** The answer with its stream. @throws as call */
  async send(method: Method, path: string, options: CallOptions = {}): Promise<HttpAnswer> {
    const url = new URL(this.base + path);
    for (const [name, value] of Object.entries(options.query ?? {})) {
      if (value === undefined) continue;
      for (const each of typeof value === 'object' ? value : [value]) url.searchParams.append(name, String(each));
    }
    const headers: Record<string, string> = {
      accept: 'application/json',
      authorization: `Bearer ${this.options.token}`,
      ...(options.json === undefined ? {} : { 'content-type': 'application/json' }),
      ...(options.contentType === undefined ? {} : { 'content-type': options.contentType }),
      ...(options.idempotencyKey === undefined ? {} : { 'idempotency-key': options.idempotencyKey }),
      ...options.headers,
    };
    const body = options.json === undefined ? options.body : JSON.stringify(options.json);
    const answer = await this.request(url, {
      method,
      headers,
      ...(body === undefined ? {} : { body }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    if (answer.status >= 200 && answer.status < 300) return answer;
    throw errorOf({ status: answer.status, requestId: answer.header('x-request-id') }, await textOf(answer));
  }

  private async request(url: URL, request: HttpRequest): Promise<HttpAnswer> {
    try {
      return await (this.options.http ?? httpCall)(url, request);
    } catch (error) {
      if (error instanceof Error && error.name === 'AbortError') throw error;
      // What the body's own source threw is the caller's error, not the network's.
      if (error instanceof AppError) throw error;
      throw new AppError('SERVER_UNREACHABLE', `${url.origin} does not answer: ${toAppError(error).message}`, {
        kind: 'unavailable',
        hint: 'is it running? wharf up starts it; WHARF_URL or --url says where it is',
        cause: error,
      });
    }
  }
}

const KINDS: Readonly<Record<number, ErrorKind>> = {
  400: 'invalid',
  401: 'unauthenticated',
  403: 'forbidden',
  404: 'not-found',
  405: 'invalid',
  409: 'conflict',
  413: 'too-large',
  415: 'invalid',
  422: 'failed',
  429: 'limited',
  501: 'unsupported',
  503: 'unavailable',
};

/** @example errorOf({ status: 404 }, text) // AppError CLUSTER_NOT_FOUND, details.requestId */
export function errorOf(
  { status, requestId }: { readonly status: number; readonly requestId?: string | undefined },
  body: string,
): AppError {
  const kind = KINDS[status] ?? (status >= 500 ? 'internal' : 'invalid');
  const problem = asRecord(parse(body));
  const text = (name: string) => (typeof problem[name] === 'string' ? problem[name] : undefined);
  const hint = text('hint');
  return new AppError(text('code') ?? 'SERVER_ERROR', text('detail') ?? `the server answered ${status}`, {
    kind,
    ...(hint === undefined ? {} : { hint }),
    ...(typeof problem['retryable'] === 'boolean' ? { retryable: problem['retryable'] } : {}),
    details: {
      ...asRecord(problem['details']),
      status,
      requestId: text('requestId') ?? requestId,
      ...(problem['errors'] === undefined ? {} : { errors: problem['errors'] }),
    },
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
