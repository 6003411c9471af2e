/**
 * A fetch app behind an API Gateway HTTP API (payload 2.0). Answers are whole, not streamed: an event stream is gathered
 * for a few seconds, below Lambda's 6 MB, and its client resumes by Last-Event-ID. (Hono has such an adapter, which
 * turns base64 to bytes a character at a time; bodies here have megabytes.)
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2 } from 'aws-lambda';
import { inLogContext, noteIds } from './log-context.js';

export interface HttpApp {
  fetch(request: Request): Response | Promise<Response>;
}

export interface HttpHandlerOptions {
  /** Send every body as base64, so that no byte is taken for text; only what is not text when absent. */
  readonly isExact?: boolean;
  /** When the request's signal fires; 25 s when absent, before the gateway's 30. */
  readonly limitMs?: number;
  /** How long an event stream is gathered before its client gets it and asks for more; 4 s when absent. */
  readonly streamMs?: number;
}

export type HttpHandler = (event: APIGatewayProxyEventV2) => Promise<APIGatewayProxyStructuredResultV2>;

const LIMIT_MS = 25_000;
const STREAM_MS = 4_000;
const STREAM_BYTES = 4 * 1024 * 1024;
const TEXT = /^(text\/(?!event-stream)|application\/([^;]+\+)?json)/;

export function httpHandler(app: HttpApp, options: HttpHandlerOptions = {}): HttpHandler {
  const { isExact = false, limitMs = LIMIT_MS, streamMs = STREAM_MS } = options;
  const answer: HttpHandler = async (event) => {
    const request = requestOf(event, AbortSignal.timeout(limitMs));
    if (request === undefined) return { statusCode: 400, body: '' };
    const response = await app.fetch(request);
    noteIds({ ...subjectOf(response.headers.get('location') ?? event.rawPath), requestId: requestIdOf(response) });
    const isText = !isExact && TEXT.test(response.headers.get('content-type') ?? '');
    const body = await gather(response, streamMs);
    const cookies = response.headers.getSetCookie();
    const headers = [...response.headers].filter(([name]) => name !== 'set-cookie');
    return {
      statusCode: response.status,
      headers: Object.fromEntries(headers),
      ...(cookies.length === 0 ? {} : { cookies }),
      body: body.toString(isText ? 'utf8' : 'base64'),
      isBase64Encoded: !isText,
    };
  };
  // The gateway's own id, which its access log has: a line of it is found again here.
  return (event) => inLogContext({ gatewayRequest: event.requestContext.requestId }, () => answer(event));
}

const requestIdOf = ({ headers }: Response): string | undefined => headers.get('x-request-id') ?? undefined;

/** The build or the task that a path of the API names, that of an answer for what was made by it. */
function subjectOf(path: string): { readonly build?: string; readonly task?: string } {
  const [, kind, id] = /^\/v1\/(?:clusters\/[^/]+\/)?(builds|tasks)\/([^/]+)/.exec(path) ?? [];
  if (id === undefined) return {};
  return kind === 'builds' ? { build: id } : { task: id };
}

/** Undefined for what is no request: a path or a header that HTTP does not know. */
function requestOf(event: APIGatewayProxyEventV2, signal: AbortSignal): Request | undefined {
  const { rawPath, rawQueryString, cookies, requestContext, body = '', isBase64Encoded } = event;
  const { method } = requestContext.http;
  const bytes = Buffer.from(body, isBase64Encoded ? 'base64' : 'utf8');
  const query = rawQueryString === '' ? '' : `?${rawQueryString}`;
  try {
    const headers = new Headers(Object.entries(event.headers).map(([name, value]) => [name, value ?? '']));
    if (cookies !== undefined) headers.set('cookie', cookies.join('; '));
    const url = `https://${requestContext.domainName}${rawPath}${query}`;
    if (bytes.length === 0 || method === 'GET' || method === 'HEAD')
      return new Request(url, { method, headers, signal });
    headers.set('content-length', String(bytes.length));
    return new Request(url, { method, headers, signal, body: bytes });
  } catch {
    return undefined;
  }
}

/** The body; of an event stream what comes in time, to the end of a whole event: every chunk is one. */
async function gather(response: Response, streamMs: number): Promise<Buffer> {
  if (response.headers.get('content-type') !== 'text/event-stream' || response.body === null) {
    return Buffer.from(await response.arrayBuffer());
  }
  const reader = response.body.getReader();
  const ended = new AbortController();
  const timeIsOver = delay(streamMs, undefined, { signal: ended.signal }).catch(() => undefined);
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  while (bytes < STREAM_BYTES) {
    const next = await Promise.race([reader.read(), timeIsOver]);
    if (next?.value === undefined) break;
    chunks.push(next.value);
    bytes += next.value.length;
  }
  ended.abort();
  await reader.cancel();
  return Buffer.concat(chunks);
}
