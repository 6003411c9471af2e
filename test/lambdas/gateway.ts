/**
 * An API Gateway HTTP API in front of two functions, as far as clients notice it: payload 2.0, base64 of what is not
 * text, joined headers, the limits of gateway and Lambda, and the challenge header under another name.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import type { FunctionProcess } from './function-process.js';

export interface Gateway {
  readonly url: string;
  /** Every event that went to a function, newest last. */
  readonly events: GatewayEvent[];
  close(): Promise<void>;
}

export interface GatewayEvent {
  readonly version: '2.0';
  readonly rawPath: string;
  readonly rawQueryString: string;
  readonly cookies?: readonly string[];
  readonly headers: Readonly<Record<string, string>>;
  readonly requestContext: { readonly http: { readonly method: string; readonly path: string } };
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

const GATEWAY_BYTES = 10 * 1024 * 1024;
const LAMBDA_BYTES = 6 * 1024 * 1024;

export async function startGateway(functions: {
  readonly api: FunctionProcess;
  readonly registry: FunctionProcess;
}): Promise<Gateway> {
  const events: GatewayEvent[] = [];
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await buffer(request);
    const event = eventOf(request, body);
    if (body.length > GATEWAY_BYTES || JSON.stringify(event).length > LAMBDA_BYTES) return refuse(response, 413);
    events.push(event);
    const isRegistry = /^\/(v2|token)(\/|$)/.test(event.rawPath);
    const result = await functions[isRegistry ? 'registry' : 'api'].invoke<GatewayResult>(event);
    if (JSON.stringify(result).length > LAMBDA_BYTES) return refuse(response, 500);
    send(response, result);
  };
  const server = createServer((request, response) => {
    serve(request, response).catch((error: unknown) => refuse(response, 500, String(error)));
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

export function eventOf(request: Pick<IncomingMessage, 'method' | 'url' | 'headers'>, body: Buffer): GatewayEvent {
  const [rawPath = '/', ...query] = (request.url ?? '/').split('?');
  const { cookie, ...rest } = request.headers;
  const headers = Object.fromEntries(
    Object.entries(rest).map(([name, value]) => [name, [value ?? ''].flat().join(',')]),
  );
  const isText = /^(text\/|application\/(json|javascript|xml))/.test(headers['content-type'] ?? '');
  const method = request.method ?? 'GET';
  return {
    version: '2.0',
    rawPath,
    rawQueryString: query.join('?'),
    ...(cookie === undefined ? {} : { cookies: cookie.split('; ') }),
    headers,
    requestContext: Object.assign({ http: { method, path: rawPath } }, { domainName: headers['host'] ?? '' }),
    ...(body.length === 0 ? {} : { body: body.toString(isText ? 'utf8' : 'base64') }),
    isBase64Encoded: !isText && body.length > 0,
  };
}

function send(response: ServerResponse, result: GatewayResult): void {
  const bytes = Buffer.from(result.body ?? '', result.isBase64Encoded === true ? 'base64' : 'utf8');
  const headers = Object.fromEntries(
    Object.entries(result.headers ?? {}).map(([name, value]) => [
      name === 'www-authenticate' ? 'x-amzn-remapped-www-authenticate' : name,
      value,
    ]),
  );
  if (result.cookies !== undefined) response.setHeader('set-cookie', [...result.cookies]);
  response.writeHead(result.statusCode, headers).end(bytes);
}

function refuse(response: ServerResponse, status: number, message = ''): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify({ message }));
}
