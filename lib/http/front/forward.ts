/**
 * Carries one request to one target, streaming both ways. It says `retry` only when nothing of the request can have
 * reached the target, so the caller may choose another; a request with a body gets a connection of its own, because
 * only then is it certain that a failed connection swallowed no byte.
 */
import { request as httpRequest, type IncomingMessage, type RequestOptions, type ServerResponse } from 'node:http';
import { type Duplex, pipeline } from 'node:stream';
import { errnoCode } from '../../errors/index.js';
import type { FrontTarget } from './target.js';

export type Attempt =
  | 'done'
  /** The target could not be connected: another may be tried. */
  | 'retry'
  /** A kept connection had died: the same target may be tried on a fresh one. */
  | 'stale'
  | 'failed';

const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'expect',
]);
/** Repeating one of these does no harm, should a kept connection turn out to be dead. */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);
const CONNECT_TIMEOUT_MS = 5000;

/** @param isFresh asks for a new connection, whatever the request */
export function forward(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  target: FrontTarget,
  isFresh: boolean,
): Promise<Attempt> {
  return new Promise((resolve) => {
    const withBody = hasBody(incoming);
    const reuses = !isFresh && !withBody && IDEMPOTENT.has(incoming.method ?? '');
    const upstream = httpRequest({
      ...addressed(incoming, target),
      headers: forwardedHeaders(incoming),
      agent: reuses ? target.agent : false,
      setHost: false,
    });
    let isConnected = false;
    let isAnswered = false;
    const release = target.begin(() => upstream.destroy());
    const end = (attempt: Attempt) => {
      release();
      resolve(attempt);
    };
    const slow = setTimeout(() => upstream.destroy(new Error('connection timed out')), CONNECT_TIMEOUT_MS);
    upstream.once('close', () => clearTimeout(slow));
    upstream.once('socket', (socket) => {
      const connected = () => {
        clearTimeout(slow);
        isConnected = true;
        if (withBody) incoming.pipe(upstream);
      };
      if (socket.connecting) socket.once('connect', connected);
      else connected();
    });
    upstream.once('response', (response) => {
      isAnswered = true;
      const headers = endToEnd(response.rawHeaders);
      outgoing.writeHead(response.statusCode ?? 502, response.statusMessage, headers);
      outgoing.flushHeaders();
      pipeline(response, outgoing, (error) => {
        if (error !== undefined && error !== null) outgoing.destroy();
        end('done');
      });
    });
    upstream.once('error', (error) => {
      if (isAnswered) return;
      const isStale = upstream.reusedSocket && ['ECONNRESET', 'EPIPE'].includes(errnoCode(error) ?? '');
      if (outgoing.destroyed) end('done');
      else if (isStale) end('stale');
      else end(isConnected ? 'failed' : 'retry');
    });
    outgoing.once('close', () => {
      if (!outgoing.writableFinished) upstream.destroy();
    });
    if (!withBody) upstream.end();
  });
}

/** Joins the client's connection and the target's, as for WebSockets. */
export function forwardUpgrade(
  incoming: IncomingMessage,
  client: Duplex,
  head: Buffer,
  target: FrontTarget,
): Promise<Attempt> {
  return new Promise((resolve) => {
    const headers = [
      ...forwardedHeaders(incoming),
      'Connection',
      'Upgrade',
      'Upgrade',
      incoming.headers.upgrade ?? 'websocket',
    ];
    const upstream = httpRequest({ ...addressed(incoming, target), headers, agent: false, setHost: false });
    const release = target.begin(() => {
      upstream.destroy();
      client.destroy();
    });
    const end = (attempt: Attempt) => {
      release();
      resolve(attempt);
    };
    upstream.once('upgrade', (response, socket, upstreamHead) => {
      client.write(responseHead(response));
      if (upstreamHead.length > 0) client.write(upstreamHead);
      if (head.length > 0) socket.write(head);
      join(socket, client, () => end('done'));
    });
    upstream.once('response', (response) => {
      // The target does not want to upgrade: its answer, then the end.
      client.write(responseHead(response, ['Connection', 'close']));
      pipeline(response, client, () => end('done'));
    });
    upstream.once('error', (error) => end(errnoCode(error) === 'ECONNREFUSED' ? 'retry' : 'failed'));
    client.once('close', () => upstream.destroy());
    upstream.end();
  });
}

function join(a: Duplex, b: Duplex, ended: () => void): void {
  const end = () => {
    a.destroy();
    b.destroy();
    ended();
  };
  for (const side of [a, b]) side.once('close', end).once('error', end);
  a.pipe(b);
  b.pipe(a);
}

export function hasBody(incoming: IncomingMessage): boolean {
  if (incoming.headers['transfer-encoding'] !== undefined) return true;
  return Number(incoming.headers['content-length'] ?? 0) > 0;
}

function addressed(incoming: IncomingMessage, target: FrontTarget): RequestOptions {
  const { host, port } = target.address;
  return { host, port, method: incoming.method ?? 'GET', path: incoming.url ?? '/' };
}

/** The client's headers for the target, with who asked; what was meant for this hop only is left out. */
function forwardedHeaders(incoming: IncomingMessage): string[] {
  const before = incoming.headers['x-forwarded-for'];
  const address = incoming.socket.remoteAddress ?? 'unknown';
  const forwardedFor = before === undefined ? address : `${String(before)}, ${address}`;
  const replaced = new Set(['x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host']);
  const headers = endToEnd(incoming.rawHeaders, replaced);
  headers.push('X-Forwarded-For', forwardedFor, 'X-Forwarded-Proto', 'http');
  headers.push('X-Forwarded-Host', incoming.headers.host ?? '');
  return headers;
}

function endToEnd(rawHeaders: readonly string[], also: ReadonlySet<string> = new Set()): string[] {
  const named = new Set<string>();
  eachHeader(rawHeaders, (name, value) => {
    if (name.toLowerCase() !== 'connection') return;
    for (const item of value.split(',')) named.add(item.trim().toLowerCase());
  });
  const kept: string[] = [];
  eachHeader(rawHeaders, (name, value) => {
    const lower = name.toLowerCase();
    if (!HOP_BY_HOP.has(lower) && !named.has(lower) && !also.has(lower)) kept.push(name, value);
  });
  return kept;
}

function eachHeader(rawHeaders: readonly string[], visit: (name: string, value: string) => void): void {
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) visit(rawHeaders[i] ?? '', rawHeaders[i + 1] ?? '');
}

function responseHead(response: IncomingMessage, instead?: readonly [string, string]): string {
  const lines = [`HTTP/1.1 ${response.statusCode ?? 502} ${response.statusMessage ?? ''}`];
  const headers = instead === undefined ? response.rawHeaders : [...endToEnd(response.rawHeaders), ...instead];
  eachHeader(headers, (name, value) => lines.push(`${name}: ${value}`));
  return `${lines.join('\r\n')}\r\n\r\n`;
}
