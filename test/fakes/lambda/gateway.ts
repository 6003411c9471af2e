/**
 * An API Gateway HTTP API in front of functions, as far as clients notice it: payload 2.0, base64 of what is not text,
 * joined headers, cookies apart, the limits of gateway and Lambda, 30 seconds, and the challenge under another name.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { InvocationError, type LambdaFunction } from './function.js';
import { routeOf, type Routes } from './routes.js';

export interface Gateway {
  readonly url: string;
  /** Every event that went to a function, newest last. */
  readonly events: GatewayEvent[];
  close(): Promise<void>;
}

export interface GatewayEvent {
  readonly version: '2.0';
  readonly routeKey: string;
  readonly rawPath: string;
  readonly rawQueryString: string;
  readonly cookies?: readonly string[];
  readonly headers: Readonly<Record<string, string>>;
  readonly requestContext: {
    readonly domainName: string;
    readonly http: { readonly method: string; readonly path: string };
    readonly requestId: string;
  };
  readonly body?: string;
  readonly isBase64Encoded: boolean;
}

interface GatewayResult {
  readonly statusCode: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly cookies?: readonly string[];
  readonly body?: string;
  readonly isBase64Encoded?: boolean;
}

export interface GatewayOptions {
  /** @default 30,000, the gateway's own */
  readonly integrationMs?: number;
}

const GATEWAY_BYTES = 10 * 1024 * 1024;
/** Request line and headers together. */
const HEADER_BYTES = 10_240;
/** Headers of an answer that the gateway gives another name. */
const RENAMED: Readonly<Record<string, string>> = { 'www-authenticate': 'x-amzn-remapped-www-authenticate' };

export async function startGateway(
  routes: Routes<Pick<LambdaFunction, 'invoke'>>,
  options: GatewayOptions = {},
): Promise<Gateway> {
  const events: GatewayEvent[] = [];
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (headerBytes(request) > HEADER_BYTES) return refuse(response, 431, 'Request Header Fields Too Large');
    const body = await buffer(request);
    if (body.length > GATEWAY_BYTES) return refuse(response, 413, 'Request Entity Too Large');
    const found = routeOf(routes, request.method ?? 'GET', (request.url ?? '/').split('?')[0] ?? '/');
    if (found === undefined) return refuse(response, 404, 'Not Found');
    const event = eventOf(request, body, found.routeKey);
    events.push(event);
    send(response, await answerOf(found.target, event, options.integrationMs ?? 30_000));
  };
  const server = createServer({ maxHeaderSize: 64 * 1024 }, (request, response) => {
    serve(request, response).catch((error: unknown) => {
      const [status, message] = failureOf(error);
      refuse(response, status, message);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    events,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** The function goes on when the gateway has given up; nobody hears it. */
async function answerOf(
  target: Pick<LambdaFunction, 'invoke'>,
  event: GatewayEvent,
  integrationMs: number,
): Promise<GatewayResult> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new InvocationError('Gateway.Timeout', 'no answer in time')), integrationMs);
  });
  try {
    return await Promise.race([target.invoke<GatewayResult>(event), late]);
  } finally {
    clearTimeout(timer);
  }
}

function failureOf(error: unknown): readonly [status: number, message: string] {
  const type = error instanceof InvocationError ? error.type : '';
  if (type === 'RequestTooLargeException') return [413, 'Request Entity Too Large'];
  if (type === 'TooManyRequestsException' || type === 'Gateway.Timeout') return [503, 'Service Unavailable'];
  return [500, 'Internal Server Error'];
}

export function eventOf(
  request: Pick<IncomingMessage, 'method' | 'url' | 'headers'>,
  body: Buffer,
  routeKey = '$default',
): GatewayEvent {
  const [rawPath = '/', ...query] = (request.url ?? '/').split('?');
  const { cookie, ...rest } = request.headers;
  const headers = Object.fromEntries(
    Object.entries(rest).map(([name, value]) => [name, [value ?? ''].flat().join(',')]),
  );
  const isText = /^(text\/|application\/(json|javascript|xml))/.test(headers['content-type'] ?? '');
  const method = request.method ?? 'GET';
  const requestId = Math.random().toString(36).slice(2);
  return {
    version: '2.0',
    routeKey,
    rawPath,
    rawQueryString: query.join('?'),
    ...(cookie === undefined ? {} : { cookies: cookie.split('; ') }),
    headers,
    requestContext: { http: { method, path: rawPath }, domainName: headers['host'] ?? '', requestId },
    ...(body.length === 0 ? {} : { body: body.toString(isText ? 'utf8' : 'base64') }),
    isBase64Encoded: !isText && body.length > 0,
  };
}

function headerBytes(request: IncomingMessage): number {
  const line = `${request.method} ${request.url} HTTP/1.1\r\n`.length;
  return request.rawHeaders.reduce((sum, part) => sum + part.length + 2, line);
}

function send(response: ServerResponse, result: GatewayResult): void {
  const bytes = Buffer.from(result.body ?? '', result.isBase64Encoded === true ? 'base64' : 'utf8');
  const headers = Object.entries(result.headers ?? {}).map(([name, value]) => [RENAMED[name] ?? name, value]);
  if (result.cookies !== undefined) response.setHeader('set-cookie', [...result.cookies]);
  response.writeHead(result.statusCode, Object.fromEntries(headers)).end(bytes);
}

function refuse(response: ServerResponse, status: number, message: string): void {
  if (response.headersSent) response.destroy();
  else response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify({ message }));
}
