/**
 * The streaming front of the registry on AWS: the registry of the functions as a server, for bodies that no function
 * can take. It runs in containers behind a load balancer; what it writes, the functions read, and the other way round.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Upstreams } from '../../registry/cache/index.js';
import { createRegistryApp, registryServerOptions } from '../../registry/http/index.js';
import { openAwsPullThrough } from './caches.js';
import type { AwsConfig, STORE_SETTINGS } from './config.js';
import { INLINE_BLOB_BYTES, openAwsRegistry, openAwsTokens } from './registry.js';
import { openSchema } from '../../store/index.js';
import { openAwsStore } from './store.js';

export type RegistryFrontConfig = AwsConfig<(typeof STORE_SETTINGS)[number] | 'adminTokenArn' | 'publicUrl'>;

export interface RegistryFrontOptions {
  readonly port: number;
  /** How long requests under way may take once it closes. */
  readonly drainMs: number;
}

export interface RunningRegistryFront {
  readonly port: number;
  /** Takes no new connection, lets requests end, and cuts what is left when the time is over. */
  close(): Promise<void>;
}

/** Longer than the load balancer keeps a connection, so that it is never the front that closes a good one. */
const KEEP_ALIVE_MS = 350_000;
/** Each holds up to two parts for the bucket and what its client did not take yet: 24 MiB of the container's 512. */
const MAX_FLIGHTS = 12;

/** Resolves when the port is open. @throws AppError STORE_REFUSED, STORE_UNAVAILABLE, SCHEMA_NEWER */
export async function startRegistryFront(
  config: RegistryFrontConfig,
  options: RegistryFrontOptions,
): Promise<RunningRegistryFront> {
  const store = openAwsStore(config);
  // A front that cannot read the records does not open its port.
  await openSchema(store.records);
  const tokens = openAwsTokens(store, config);
  const registry = openAwsRegistry(store);
  const cache = openAwsPullThrough(store, registry, new Upstreams(store), { maxFlights: MAX_FLIGHTS });
  const app = createRegistryApp(
    { ...store, ...tokens, registry, cache },
    { publicUrl: config.publicUrl, redirectAboveBytes: INLINE_BLOB_BYTES },
  );
  let isClosing = false;
  const server = createServer({ ...registryServerOptions, keepAliveTimeout: KEEP_ALIVE_MS }, (incoming, outgoing) => {
    if (incoming.url === '/healthz') return answerHealth(incoming, outgoing, isClosing);
    if (isClosing) outgoing.setHeader('connection', 'close');
    void app.handle(incoming, outgoing);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(options.port, resolve);
  });
  const { port } = server.address() as AddressInfo;
  store.logger.info('the registry front answers', { port, publicUrl: config.publicUrl });
  return {
    port,
    async close() {
      isClosing = true;
      store.logger.info('the registry front closes');
      await drain(server, options.drainMs);
    },
  };
}

/** That it lives says nothing of the stores: a front that is started anew reaches them no better. */
function answerHealth(incoming: IncomingMessage, outgoing: ServerResponse, isClosing: boolean): void {
  incoming.resume();
  outgoing.writeHead(isClosing ? 503 : 200, { 'content-type': 'text/plain' });
  outgoing.end(isClosing ? 'closing\n' : 'ok\n');
}

async function drain(server: Server, drainMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  const idle = setInterval(() => server.closeIdleConnections(), 100);
  const late = setTimeout(() => server.closeAllConnections(), drainMs);
  server.closeIdleConnections();
  await closed;
  clearInterval(idle);
  clearTimeout(late);
}
