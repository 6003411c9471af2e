/**
 * An S3 of our own for tests, over HTTP on loopback, because none on the registry does conditional writes, checksum
 * trailers and aborts. It checks what S3 checks: signatures, checksums, part sizes and order, conditions.
 */
import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { answer, type Answer } from './answers.js';
import type { Bucket } from './bucket.js';
import { S3Failure } from './failure.js';
import { checkSignature } from './signature.js';
import { toXml } from './xml.js';

/** What goes wrong with a request: an error answer, a connection cut before or after the work is done, or nothing. */
export type S3Fault = { readonly status: number; readonly code: string } | 'cut-before' | 'cut-after' | undefined;

export interface S3FakeOptions {
  /** Asked at every request. */
  readonly fault?: (request: { readonly method: string; readonly path: string }) => S3Fault;
}

export interface S3Fake {
  readonly endpoint: string;
  /** Buckets by name, for looking behind the scenes. */
  readonly buckets: ReadonlyMap<string, Bucket>;
  close(): Promise<void>;
}

export async function startS3Fake(options: S3FakeOptions = {}): Promise<S3Fake> {
  const buckets = new Map<string, Bucket>();
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const fault = options.fault?.({ method: request.method ?? '', path: request.url ?? '' });
    if (fault === 'cut-before') return void request.socket.destroy();
    const result = await answerOrFail(request, buckets, fault);
    if (fault === 'cut-after') return void request.socket.destroy();
    response.writeHead(result.status, { 'x-amz-request-id': randomBytes(8).toString('hex'), ...result.headers });
    response.end(request.method === 'HEAD' ? undefined : result.body);
  };
  const server = createServer((request, response) => {
    handle(request, response).catch((error: unknown) => response.destroy(error as Error));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    buckets,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answerOrFail(request: IncomingMessage, buckets: Map<string, Bucket>, fault: S3Fault): Promise<Answer> {
  try {
    checkSignature(request);
    if (typeof fault === 'object') throw new S3Failure(fault.status, fault.code);
    return await answer(request, buckets);
  } catch (error) {
    request.resume();
    const failure = error instanceof S3Failure ? error : new S3Failure(500, 'InternalError', String(error));
    const body = toXml('Error', { Code: failure.code, Message: failure.message });
    return { status: failure.status, headers: { 'content-type': 'application/xml' }, body };
  }
}
