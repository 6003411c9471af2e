/**
 * One HTTP request by Node's own client. `fetch` costs a command that only asks something a tenth of a second to load,
 * and copies what it sends.
 */
import { type ClientRequest, type IncomingMessage, request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { errnoCode } from '../errors/index.js';

export interface HttpRequest {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  /** A chunk is done with when the next one is asked for. */
  readonly body?: string | AsyncIterable<Uint8Array>;
  readonly signal?: AbortSignal;
}

export interface HttpAnswer {
  readonly status: number;
  header(name: string): string | undefined;
  /** Leaving its loop lets go of the connection. */
  readonly body: AsyncIterable<Uint8Array>;
}

export type HttpCall = (url: URL, request: HttpRequest) => Promise<HttpAnswer>;

/** @throws the system's error, or what the body's source throws */
export const httpCall: HttpCall = async (url, request) => {
  try {
    return await once(url, request);
  } catch (error) {
    // The server closed a connection that was kept, before it saw the request (Node's advice for `reusedSocket`).
    if (!(error instanceof StaleConnection) || !mayRepeat(request)) throw causeOf(error);
    return once(url, request).catch((second: unknown) => {
      throw causeOf(second);
    });
  }
};

class StaleConnection extends Error {}

function once(url: URL, { method, headers, body, signal }: HttpRequest): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const options = { method, headers, ...(signal === undefined ? {} : { signal }) };
    const request = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, options);
    let answered = false;
    request.once('response', (response) => {
      answered = true;
      // An answer before the end of what is sent is a refusal: the rest is not wanted.
      response.once('close', () => {
        if (!request.writableFinished) request.destroy();
      });
      resolve(answerOf(response));
    });
    request.on('error', (error) => {
      const isStale = request.reusedSocket && errnoCode(error) === 'ECONNRESET';
      reject(isStale ? new StaleConnection(error.message, { cause: error }) : error);
    });
    if (typeof body !== 'object') request.end(body);
    else {
      pour(body, request, () => answered).catch((error: unknown) => {
        reject(error instanceof Error ? error : new Error(String(error)));
        request.destroy();
      });
    }
  });
}

/** One chunk at a time: when the next is read, the system has the one before. */
async function pour(body: AsyncIterable<Uint8Array>, request: ClientRequest, isEnough: () => boolean): Promise<void> {
  for await (const chunk of body) {
    if (isEnough() || request.destroyed) return;
    // When the connection breaks, the request tells why.
    await new Promise<void>((resolve) => {
      request.once('close', resolve);
      request.write(chunk, () => {
        request.off('close', resolve);
        resolve();
      });
    });
  }
  request.end();
}

function answerOf(response: IncomingMessage): HttpAnswer {
  return {
    status: response.statusCode ?? 0,
    header(name) {
      const value = response.headers[name];
      return Array.isArray(value) ? value.join(', ') : value;
    },
    body: response,
  };
}

function mayRepeat({ method, headers, body }: HttpRequest): boolean {
  return typeof body !== 'object' && (method === 'GET' || 'idempotency-key' in headers);
}

function causeOf(error: unknown): unknown {
  return error instanceof StaleConnection ? error.cause : error;
}

export async function textOf({ body }: HttpAnswer): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}
