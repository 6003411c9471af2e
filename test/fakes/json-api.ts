/** The AWS JSON 1.0 protocol on a loopback port: an operation by its target header, an answer or a typed error. */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { crc32 } from 'node:zlib';

export interface JsonCall {
  /** Such as `PutItem`. */
  readonly operation: string;
  readonly input: Record<string, unknown>;
  readonly headers: IncomingHttpHeaders;
  /** Fires when the client goes away. */
  readonly signal: AbortSignal;
}

export interface JsonAnswer {
  readonly status: number;
  readonly body: string;
}

/**
 * What goes wrong with a call: an error answer, a connection that is cut before or after the work is done, or on which
 * nothing is ever said; or nothing.
 */
export type JsonFault =
  | { readonly status: number; readonly type: string; readonly more?: object }
  | 'cut-before'
  | 'cut-after'
  | 'hang-before'
  | 'hang-after'
  | undefined;

export interface JsonApi {
  readonly endpoint: string;
  close(): Promise<void>;
}

/** An error in the shape that the SDK reads; extra members are given on. */
export function jsonFailure(status: number, type: string, message = type, more: object = {}): JsonAnswer {
  return { status, body: JSON.stringify({ __type: type, message, ...more }) };
}

export async function startJsonApi(
  answer: (call: JsonCall) => Promise<JsonAnswer>,
  fault: (operation: string) => JsonFault = () => undefined,
): Promise<JsonApi> {
  const handle = async (request: IncomingMessage, signal: AbortSignal): Promise<JsonAnswer | undefined> => {
    const operation =
      String(request.headers['x-amz-target'] ?? '')
        .split('.')
        .at(-1) ?? '';
    const body = await text(request);
    const wrong = fault(operation);
    if (wrong === 'hang-before') await goneOf(signal);
    if (wrong === 'cut-before' || wrong === 'hang-before') return undefined;
    if (typeof wrong === 'object') return jsonFailure(wrong.status, wrong.type, wrong.type, wrong.more);
    const input = JSON.parse(body === '' ? '{}' : body) as Record<string, unknown>;
    const result = await answer({ operation, input, headers: request.headers, signal });
    if (wrong === 'hang-after') await goneOf(signal);
    return wrong === 'cut-after' || wrong === 'hang-after' ? undefined : result;
  };
  const send = (result: JsonAnswer | undefined, response: ServerResponse): void => {
    if (result === undefined) {
      response.destroy();
      return;
    }
    const bytes = Buffer.from(result.body);
    const headers = { 'content-type': 'application/x-amz-json-1.0', 'x-amz-crc32': String(crc32(bytes)) };
    response.writeHead(result.status, { ...headers, 'content-length': String(bytes.length) }).end(bytes);
  };
  const server = createServer((request, response) => {
    const gone = new AbortController();
    response.on('close', () => gone.abort());
    void handle(request, gone.signal)
      .catch((error: unknown) => jsonFailure(500, 'InternalServerError', String(error)))
      .then((result) => send(result, response));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Resolves when the client has given up. */
function goneOf(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
