/**
 * One port for everything on one machine: a node:http server that tells by Host, path and header who is asked (the
 * front, the registry, ECS, the console, the API), streams both ways, and closes within a bounded time.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { AppError, errnoCode } from '../errors/index.js';
import { getRequestListener, type HttpBindings } from '@hono/node-server';
import type { Logger } from '../store/index.js';
import type { Front } from './front/index.js';
import type { Upgrade } from './route.js';
import { upgradeRequest } from './upgrade.js';

/** A fetch handler; gets Node's own request and response beside. */
export interface FetchApp {
  fetch(request: Request, env?: HttpBindings | { readonly upgrade: Upgrade }): Response | Promise<Response>;
}

/** Writes its answer itself. */
export interface NodeApp {
  handle(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void>;
}

export interface ServeOptions {
  readonly listen: { readonly host: string; readonly port: number };
  readonly api: FetchApp;
  /** /v2/ and /token. */
  readonly registry: NodeApp | FetchApp;
  /** `POST /` with an ECS X-Amz-Target. */
  readonly ecs?: FetchApp;
  /** GET / and /console. */
  readonly console?: FetchApp;
  readonly front?: Front;
  readonly logger: Logger;
  /** How long close() lets requests under way end; 5 s when absent. */
  readonly closeMs?: number;
  /** Told when close() begins, to end streams that would never end by themselves. */
  readonly onClosing?: () => void;
}

export interface RunningServer {
  /** Without a final slash. */
  readonly url: string;
  readonly port: number;
  close(): Promise<void>;
}

type Listener = (incoming: IncomingMessage, outgoing: ServerResponse) => Promise<void>;

const ECS_TARGET = 'AmazonEC2ContainerServiceV20141113.';
const CLOSE_MS = 5000;
/** Longer than the minute clients and load balancers keep connections, so that they are the ones to close. */
const KEEP_ALIVE_MS = 75_000;

/** Resolves when the port is open. @throws AppError ADDRESS_IN_USE, ADDRESS_UNUSABLE */
export async function serve(options: ServeOptions): Promise<RunningServer> {
  const dispatch = dispatcher(options);
  const server = createServer({ requestTimeout: 0, keepAliveTimeout: KEEP_ALIVE_MS }, (incoming, outgoing) => {
    dispatch(incoming, outgoing).catch((error: unknown) => {
      options.logger.error('a request could not be served', { path: incoming.url, error });
      outgoing.destroy();
    });
  });
  const upgraded = new Set<Duplex>();
  server.on('upgrade', (incoming: IncomingMessage, socket: Duplex, head: Buffer) => {
    upgraded.add(socket);
    socket.once('close', () => upgraded.delete(socket));
    if (options.front?.owns(incoming.headers.host) === true) void options.front.upgrade(incoming, socket, head);
    else {
      upgradeRequest(options.api, incoming, socket, head).catch((error: unknown) => {
        options.logger.error('an upgrade could not be served', { path: incoming.url?.split('?')[0], error });
        socket.destroy();
      });
    }
  });
  await listen(server, options.listen);
  const { port } = server.address() as AddressInfo;
  options.front?.listening(port);
  const { host } = options.listen;
  const shown = host.includes(':') ? `[${host}]` : host;
  return { url: `http://${shown}:${port}`, port, close: () => close(server, upgraded, options) };
}

function dispatcher(options: ServeOptions): Listener {
  const { front } = options;
  const api = listenerOf(options.api);
  const registry = listenerOf(options.registry);
  const ecs = options.ecs === undefined ? undefined : listenerOf(options.ecs);
  const page = options.console === undefined ? undefined : listenerOf(options.console);
  return async (incoming, outgoing) => {
    if (front?.owns(incoming.headers.host) === true) return front.handle(incoming, outgoing);
    const path = (incoming.url ?? '/').split('?')[0] ?? '/';
    if (path === '/v2' || path.startsWith('/v2/') || path === '/token' || path.startsWith('/token/')) {
      return registry(incoming, outgoing);
    }
    if (incoming.method === 'POST' && path === '/') {
      const target = String(incoming.headers['x-amz-target'] ?? '');
      return ecs !== undefined && target.startsWith(ECS_TARGET)
        ? ecs(incoming, outgoing)
        : refuseTarget(incoming, outgoing, target);
    }
    if (page !== undefined && (path === '/' || path === '/console' || path.startsWith('/console/'))) {
      return page(incoming, outgoing);
    }
    return api(incoming, outgoing);
  };
}

function listenerOf(app: NodeApp | FetchApp): Listener {
  if ('handle' in app) return (incoming, outgoing) => app.handle(incoming, outgoing);
  return getRequestListener((request, env) => app.fetch(request, env as HttpBindings), {
    overrideGlobalObjects: false,
  });
}

/** In the shape that AWS clients read: JSON 1.1. */
async function refuseTarget(incoming: IncomingMessage, outgoing: ServerResponse, target: string): Promise<void> {
  incoming.resume();
  const message =
    target === ''
      ? 'POST / is for AWS JSON calls and needs X-Amz-Target'
      : `${target.slice(0, 200)} is not served here; ${ECS_TARGET}* is`;
  const body = JSON.stringify({ __type: 'UnknownOperationException', message });
  outgoing.writeHead(400, { 'content-type': 'application/x-amz-json-1.1' }).end(body);
}

function listen(server: Server, { host, port }: { readonly host: string; readonly port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error): void => {
      reject(errnoCode(error) === 'EADDRINUSE' ? addressInUse(host, port) : addressUnusable(host, port, error));
    };
    server.once('error', failed);
    server.listen(port, host, () => {
      server.removeListener('error', failed);
      resolve();
    });
  });
}

function addressUnusable(host: string, port: number, error: Error): unknown {
  const why: Readonly<Record<string, string>> = {
    EADDRNOTAVAIL: `no network of this machine has the address ${host}`,
    ENOTFOUND: `the name ${host} is not known`,
    EACCES: `this user may not listen on port ${port}`,
  };
  const said = why[errnoCode(error) ?? ''];
  if (said === undefined) return error;
  return new AppError('ADDRESS_UNUSABLE', `cannot listen on ${host}:${port}: ${said}`, {
    hint: '--listen 127.0.0.1:7070 for this machine alone, 0.0.0.0:7070 for all its networks',
    cause: error,
  });
}

function addressInUse(host: string, port: number): AppError {
  return new AppError('ADDRESS_IN_USE', `another process listens on ${host}:${port}`, {
    kind: 'conflict',
    hint: 'end it, or listen on another port (--listen HOST:PORT)',
  });
}

/** No new connection; what is under way may end for a while; then everything is cut. */
async function close(server: Server, upgraded: ReadonlySet<Duplex>, options: ServeOptions): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  options.onClosing?.();
  server.closeIdleConnections();
  const late = setTimeout(() => {
    server.closeAllConnections();
    for (const socket of upgraded) socket.destroy();
  }, options.closeMs ?? CLOSE_MS);
  const idle = setInterval(() => server.closeIdleConnections(), 100);
  await closed;
  clearTimeout(late);
  clearInterval(idle);
  options.front?.close();
}
