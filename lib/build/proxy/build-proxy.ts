/**
 * The HTTP(S) proxy of one RUN, and its only way out: connections come from the sandbox, are asked for with the rules
 * that ADD has (`fetch/egress-guard.ts`, the source policy), and what comes back is hashed as it passes. TLS ends here, by
 * a certificate authority that the command trusts for as long as it runs. As BuildKit's proxy network.
 */
import { createHash } from 'node:crypto';
import {
  createServer,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  request as httpRequest,
  type Server,
  type ServerResponse,
} from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { AppError } from '../../errors/index.js';
import type { EgressGuard } from '../fetch/egress-guard.js';
import { pinnedTo, shown } from '../fetch/guarded-fetch.js';
import type { Authority } from './authority.js';
import type { IncompleteReason, ProxyCapture } from './proxy-capture.js';

export interface BuildProxyDeps {
  readonly authority: Authority;
  readonly capture: ProxyCapture;
  /** What may be reached; everything when absent, for a RUN that may use the host's network. */
  readonly guard?: EgressGuard;
  /** What the source policy makes of an address. @throws AppError when it is denied */
  readonly policed?: (method: string, url: string) => string;
  /** Certificates, beside those that Node trusts, by which servers may be known. */
  readonly trusted?: readonly string[];
}

export class BuildProxy {
  private readonly server: Server;
  private readonly sockets = new Set<Duplex>();
  private readonly exchanges = new Set<Promise<void>>();
  /** Of connections through a tunnel: the host and port that it leads to. */
  private readonly tunnels = new WeakMap<object, string>();

  constructor(private readonly deps: BuildProxyDeps) {
    this.server = createServer((request, response) => {
      const exchange = this.exchange(request, response).finally(() => this.exchanges.delete(exchange));
      this.exchanges.add(exchange);
    });
    // A build step may wait as long as it wants.
    this.server.requestTimeout = 0;
    this.server.on('connect', (request, socket, head) => this.tunnel(request, socket, head));
  }

  /** PEM, for the command to trust. */
  get certificate(): string {
    return this.deps.authority.certificate;
  }

  /** Serves a connection of the command. */
  accept(socket: Socket): void {
    this.keep(socket);
    this.server.emit('connection', socket);
  }

  /** Ends every connection; what is on its way counts as far as it came. */
  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await Promise.all(this.exchanges);
    this.server.close();
  }

  private keep(socket: Duplex): void {
    this.sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => this.sockets.delete(socket));
  }

  private tunnel(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { url: target = '' } = request;
    const address = `https://${target}/`;
    // As URL writes it: an IPv6 address in hexadecimal groups alone, a name in ASCII.
    const host = URL.canParse(address) ? new URL(address).hostname.replace(/^\[|\]$/g, '') : '';
    if (host === '') {
      socket.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n');
      return;
    }
    socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
    if (head.length > 0) socket.unshift(head);
    const secureContext = this.deps.authority.server(host);
    const secure = new TLSSocket(socket, { isServer: true, secureContext, ALPNProtocols: ['http/1.1'] });
    this.keep(secure);
    this.tunnels.set(secure, target);
    this.server.emit('connection', secure);
  }

  private async exchange(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { capture } = this.deps;
    const method = request.method ?? 'GET';
    const asked = this.addressOf(request);
    if (asked === undefined) return refuse(response, 400, 'this is a proxy: ask for a whole address');
    let reason: IncompleteReason | undefined;
    try {
      const url = new URL(this.deps.policed?.(method, asked.href) ?? asked.href);
      const answer = await this.ask(url, method, request, response);
      const { statusCode: status = 502, headers } = answer;
      const { location } = headers;
      capture.request({ method, url: asked.href, status, ...leadsTo(location, url) });
      const sha256 = await passOn(answer, response);
      reason = incompleteReason(method, request, status, sha256);
      if (reason === undefined && status < 300) capture.material({ url: asked.href, sha256: sha256 ?? '' });
    } catch (error) {
      const isForbidden = error instanceof AppError && error.code !== 'BUILD_REMOTE_UNREACHABLE';
      const status = isForbidden ? 403 : 502;
      const why = error instanceof Error ? error.message : String(error);
      capture.request({ method, url: asked.href, status, why });
      if (!isForbidden) reason = 'upstream_error';
      refuse(response, status, why);
    }
    if (reason !== undefined) capture.incomplete({ method, url: asked.href, reason });
  }

  private addressOf(request: IncomingMessage): URL | undefined {
    const { url = '' } = request;
    const tunnel = this.tunnels.get(request.socket);
    const address = tunnel === undefined ? url : `https://${tunnel}${url}`;
    const parsed = URL.canParse(address) ? new URL(address) : undefined;
    return parsed?.protocol === 'https:' || parsed?.protocol === 'http:' ? parsed : undefined;
  }

  /** Passes the request on, and gives what the server answers. */
  private async ask(
    url: URL,
    method: string,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<IncomingMessage> {
    const { guard, trusted } = this.deps;
    const address = await guard?.check(url);
    const headers = { ...endToEnd(request.headers), 'accept-encoding': 'identity', host: url.host };
    const secure = url.protocol === 'https:';
    const options = {
      method,
      headers,
      agent: false,
      ...(address === undefined ? {} : { lookup: pinnedTo(address) }),
      ...(secure && trusted !== undefined ? { ca: [...trusted] } : {}),
    };
    return new Promise((resolve, reject) => {
      let isAnswered = false;
      const upstream = (secure ? httpsRequest : httpRequest)(url, options, (answer) => {
        isAnswered = true;
        const peer = answer.socket.remoteAddress ?? '';
        if (guard?.isAllowed(peer) !== false) return resolve(answer);
        answer.destroy();
        reject(new AppError('BUILD_EGRESS_REFUSED', `${shown(url)} led to ${peer}`, { kind: 'forbidden' }));
      });
      upstream.once('error', reject);
      request.once('error', (error) => upstream.destroy(error));
      response.once('close', () => {
        if (!isAnswered) upstream.destroy(new Error('nobody waits for the answer any more'));
      });
      request.pipe(upstream);
    });
  }
}

function leadsTo(location: string | undefined, from: URL): { readonly location?: string } {
  if (location === undefined) return {};
  return { location: URL.canParse(location, from.href) ? new URL(location, from).href : location };
}

/** @returns the digest of the body; undefined when not all of it came, or nobody was there to take it */
async function passOn(answer: IncomingMessage, response: ServerResponse): Promise<string | undefined> {
  const hash = createHash('sha256');
  const { statusCode = 502, statusMessage = '' } = answer;
  response.writeHead(statusCode, statusMessage, endToEnd(answer.headers));
  let received = 0;
  // Who has all of it may go before we know that this was all.
  response.once('close', () => {
    if (String(received) !== answer.headers['content-length']) answer.destroy();
  });
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      hash.update(chunk);
      received += chunk.length;
      if (!response.write(chunk) && !response.destroyed) await drained(response);
    }
  } catch {
    response.destroy();
    return undefined;
  } finally {
    answer.destroy();
  }
  response.end();
  return hash.digest('hex');
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.off('drain', done).off('close', done);
      resolve();
    };
    response.once('drain', done).once('close', done);
  });
}

function incompleteReason(
  method: string,
  request: IncomingMessage,
  status: number,
  sha256: string | undefined,
): IncompleteReason | undefined {
  if (method !== 'GET') return 'method_not_materializable';
  if (request.headers.range !== undefined || status === 206) return 'partial_response';
  if (sha256 === undefined) return 'body_read_failed';
  return status >= 400 ? 'unsuccessful_response' : undefined;
}

const HOP_BY_HOP = new Set(
  'connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding upgrade'.split(
    ' ',
  ),
);

/** What is meant for the other end, and not for this hop. */
function endToEnd(headers: IncomingMessage['headers']): OutgoingHttpHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !HOP_BY_HOP.has(name)));
}

function refuse(response: ServerResponse, status: number, message: string): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  response.writeHead(status, { 'content-type': 'text/plain', connection: 'close' });
  response.end(`${message}\n`);
}
