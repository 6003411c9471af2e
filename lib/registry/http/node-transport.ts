/**
 * The registry on a node:http server. Requests are read from the connection and answers written to it without Web
 * objects in between: making those costs more than most reads.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { pour } from '../../store/index.js';
import type { Reply } from './replies.js';
import type { RegistryRequest } from './types.js';

/** What a client goes on sending after its answer is read for so long, and so much: then the connection can be used again. */
const DRAIN_MS = 500;
const DRAIN_BYTES = 64 * 1024 * 1024;
const HOST = /^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?$/;

/** Undefined when the Host header or the path is none: nothing of it may get into an address we give out. */
export function nodeRequest(incoming: IncomingMessage): RegistryRequest | undefined {
  const { headers, method = 'GET', url: path = '' } = incoming;
  const match = HOST.exec(headers.host ?? '');
  if (match === null || Number(match[1] ?? 0) > 65_535 || !path.startsWith('/')) return undefined;
  return {
    method,
    url: `http://${headers.host}${path}`,
    headers: {
      get: (name) => {
        const value = headers[name];
        return value === undefined ? null : Array.isArray(value) ? value.join(', ') : value;
      },
      has: (name) => headers[name] !== undefined,
    },
  };
}

/** @throws what the source of the body throws midway; a client that went away is no error */
export async function writeReply(reply: Reply, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const { status, headers, body } = reply;
  outgoing.once('finish', () => drain(incoming));
  outgoing.writeHead(status, headers);
  if (body === undefined || typeof body === 'string' || body instanceof Uint8Array) {
    outgoing.end(body);
    return;
  }
  try {
    await pour(body, writerOf(outgoing));
    outgoing.end();
  } catch (error) {
    outgoing.destroy();
    if (!isAboutClient(error)) throw error;
  }
}

/** Writes a piece, and resolves when the system has taken it; rejects when the client goes away meanwhile. */
function writerOf(outgoing: ServerResponse): (bytes: Uint8Array) => Promise<void> {
  let abandon: (reason: Error) => void = () => {};
  const gone = Object.assign(new Error('the client went away'), { code: 'ECONNRESET' });
  outgoing.once('close', () => abandon(gone));
  return (bytes) =>
    new Promise((resolve, reject) => {
      if (outgoing.destroyed) return reject(gone);
      abandon = reject;
      outgoing.write(bytes, (error) => (error ? reject(error) : resolve()));
    });
}

/** Node reads on by itself where nothing of a body was read, not where some was. */
function drain(incoming: IncomingMessage): void {
  if (incoming.complete || incoming.destroyed) return;
  let left = DRAIN_BYTES;
  const cut = (): void => incoming.socket.destroySoon();
  const late = setTimeout(cut, DRAIN_MS);
  late.unref();
  incoming.on('data', (chunk: Buffer) => {
    left -= chunk.length;
    if (left < 0) cut();
  });
  incoming.once('close', () => clearTimeout(late));
  incoming.on('error', () => {});
  incoming.resume();
}

function isAboutClient(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return ['ERR_STREAM_PREMATURE_CLOSE', 'ERR_STREAM_DESTROYED', 'ECONNRESET', 'EPIPE'].includes(String(code));
}
