/**
 * The embedded host: all of Wharf in one process on one Linux machine, on one port. It only composes; every part is
 * the same as on AWS but for the adapters, and the engine that stands where Amazon ECS is.
 */
import { cpus, totalmem } from 'node:os';
import { ECSClient } from '@aws-sdk/client-ecs';
import { ApiTokens, identitiesOf, RegistryTokens, Robots, TokenKeys } from '../../auth/index.js';
import {
  BuildService,
  BuildWorker,
  ImageBuilder,
  RemoteImages,
  SentContexts,
  sweepWorkFolders,
} from '../../build/index.js';
import { operatorSecrets } from '../../engine/agent/secret-source-stored.js';
import { simulatedTargetGroups } from '../../engine/simulated/index.js';
import { createApiApp, createConsole, createFront, serve } from '../../http/index.js';
import { platformOfArch } from '../../oci/index.js';
import { createPlatform, imagesInUse, localCapacity } from '../../platform/index.js';
import { CachedImages, CacheEviction, PullThrough, Upstreams } from '../../registry/cache/index.js';
import { RegistryConnections, RegistryLogins } from '../../registry/client/index.js';
import { Collector } from '../../registry/collector/index.js';
import { createRegistryApp } from '../../registry/http/index.js';
import { Registry } from '../../registry/index.js';
import type { OciRuntime } from '../../runtime/index.js';
import type { Logger } from '../../store/index.js';
import { silentLogger } from '../../store/logger-silent.js';
import { builderRules, type BuildingRules, sandboxRules } from './building-rules.js';
import { type Connection, DataFolder } from './data-folder.js';
import { ecsDoor, openAwsKeys } from './ecs-door.js';
import { embeddedEngine } from './engine.js';
import { type EmbeddedStore, openEmbeddedStore } from './store.js';
import { LateEcrAuthorization } from '../aws/ecr-authorization-late.js';
import { EmbeddedUpkeep } from './upkeep.js';
import { sendEvents, type WebhookTarget } from './engine-events.js';
import { openEngineRuntime, type RuntimeName } from './engine-runtime.js';
import { isLoopback } from './loopback.js';
import { VERSION } from '../version.js';

export interface EmbeddedOptions {
  /** Data folder; made when absent. */
  readonly data: string;
  /** Port 0 takes a free one. */
  readonly listen: { readonly host: string; readonly port: number };
  /** The administrator's API token. Absent: the one of the last start, or a new one. */
  readonly token?: string;
  readonly logger?: Logger;
  /** What runs the tasks; `simulated` runs nothing and needs no root. @default containers */
  readonly runtime?: RuntimeName;
  /** What makes the containers of tasks. @default runc */
  readonly ociRuntime?: OciRuntime;
  /** Gets every event of the engine, beside the file in the data folder. */
  readonly webhook?: WebhookTarget;
  /** @default us-east-1 */
  readonly region?: string;
  /** @default 000000000000 */
  readonly accountId?: string;
  /** Builds at once. @default 2 */
  readonly buildSlots?: number;
  /** What builds get and may do on this machine. */
  readonly building?: BuildingRules;
}

export interface EmbeddedPlatform extends Connection {
  /** Six hex digits that everything of this platform on the host is named by; empty for the simulated runtime. */
  readonly scopeId: string;
  /**
   * Stops serving. Containers go on running and are found again at the next start; when none runs, nothing of the
   * platform is left on the host.
   */
  close(): Promise<void>;
}

// The SDK is pinned in the lockfile; its advice to upgrade Node is not for those who start a platform.
process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';

/** @throws AppError DATA_FOLDER_IN_USE, DATA_FOLDER_UNUSABLE, HOST_NOT_READY, LISTEN_FAILED */
export async function startEmbedded(options: EmbeddedOptions): Promise<EmbeddedPlatform> {
  const folder = await DataFolder.open(options.data);
  const undo: (() => Promise<unknown>)[] = [() => folder.release()];
  try {
    const store = await openEmbeddedStore(folder);
    undo.unshift(() => store.close());
    return await compose(folder, store, options, undo);
  } catch (error) {
    for (const step of undo) await step();
    throw error;
  }
}

async function compose(
  folder: DataFolder,
  store: EmbeddedStore,
  options: EmbeddedOptions,
  undo: (() => Promise<unknown>)[],
): Promise<EmbeddedPlatform> {
  const { clock, ids, records, content, secrets, buildQueue: queue } = store;
  const logger = options.logger ?? silentLogger;
  const region = options.region ?? 'us-east-1';
  const machine = platformOfArch(process.arch);
  // Known once the port is open.
  let ownUrl = '';
  const registryHosts: string[] = [];
  const isOwnRegistry = (host: string): boolean => registryHosts.includes(host);

  const tokens = new ApiTokens({ records, clock, ids });
  const token = await administratorToken(folder, tokens, options.token);
  const registryTokens = new RegistryTokens({ keys: new TokenKeys({ secrets, clock, ids }), clock, ids });
  const registry = new Registry({ records, content, secrets, clock, ids });
  const robots = new Robots({ records, clock, ids });
  const identities = identitiesOf(tokens, robots);
  const logins = new RegistryLogins(secrets, new LateEcrAuthorization(clock));
  const connections = new RegistryConnections({ clock, credentials: logins });
  const upstreams = new Upstreams({ records, clock });
  const cache = new PullThrough({
    registry,
    upstreams,
    // Clients of a cache do not wait for a limit of its upstream.
    connections: new RegistryConnections({ clock, credentials: logins }, { rateLimitWaitMs: 0 }),
    records,
    content,
    clock,
    logger: logger.child({ part: 'cache' }),
  });
  const images = new CachedImages(registry, cache);
  const registryApp = createRegistryApp({ registry, identities, registryTokens, cache, clock, logger });

  const front = createFront({ clock, logger: logger.child({ part: 'front' }) });
  const runtimeName = options.runtime ?? 'containers';
  const runtime = await openEngineRuntime(
    { folder, store, images, logger },
    {
      runtime: runtimeName,
      ...(options.ociRuntime === undefined ? {} : { ociRuntime: options.ociRuntime }),
      isOwnRegistry,
      ...sandboxRules(options.building),
    },
  );
  undo.unshift(runtime.tidy);
  const engine = embeddedEngine(
    { store, runtime, targetGroups: runtimeName === 'simulated' ? simulatedTargetGroups() : front, logger },
    { region, accountId: options.accountId ?? '000000000000' },
  );
  undo.unshift(sendEvents(engine, { clock, logger }, { directory: folder.directory, webhook: options.webhook }));
  undo.unshift(() => engine.stop());

  const builds = new BuildService({ records, content, queue, clock, ids, secrets });
  const contexts = new SentContexts({ records, content, clock, ids });
  await sweepWorkFolders(folder.paths.fetches);
  const builder = new ImageBuilder(
    {
      records,
      content,
      contexts,
      images,
      remote: new RemoteImages({ content, clock, credentials: logins }),
      ...(runtime.sandbox === undefined ? {} : { sandbox: runtime.sandbox }),
      clock,
      ids,
    },
    { platform: machine, registryHosts, ...builderRules(folder.paths.fetches, options.building) },
  );
  const worker = new BuildWorker(
    { builds, records, queue, clock, ids, logger: logger.child({ part: 'builder' }), build: builder.build },
    { slots: options.buildSlots ?? 2 },
  );

  const keys = await openAwsKeys(secrets, ids);
  const platform = createPlatform(
    {
      // The engine is reached as Amazon ECS would be: by the unmodified SDK, over HTTP, signed.
      ecs: new ECSClient({ region, credentials: keys, endpoint: async () => endpointOf(ownUrl) }),
      records,
      images,
      content,
      clock,
      ids,
      logger: logger.child({ part: 'platform' }),
      capacity: localCapacity({
        cpu: cpus().length * 1024,
        memory: Math.floor(totalmem() / 1024 / 1024),
        architecture: machine.architecture,
      }),
      routing: front,
      placement: {
        list: (cluster) => engine.unplaced(cluster),
        ofService: (cluster, service) => engine.unplacedService(cluster, service),
      },
      logs: { open: (taskArn, container, logOptions) => engine.logs(taskArn, container, logOptions) },
      exec: {
        open: (taskArn, { container, command, terminal }) =>
          engine.exec(taskArn, container, { args: command, ...(terminal === undefined ? {} : { terminal }) }),
      },
    },
    { platform: machine, isOwnRegistry },
  );
  engine.onEvent((event) => {
    platform.reconciler.apply(event).catch((error: unknown) => logger.warn('an ECS event was not applied', { error }));
  });

  const pins = { list: () => imagesInUse(records) };
  const upkeep = new EmbeddedUpkeep({
    collector: new Collector({ records, content, clock, pins, caches: new CacheEviction({ registry, upstreams }) }),
    layers: runtime.layers,
    sweepExpired: () => store.sweepExpired(),
    clock,
    logger: logger.child({ part: 'upkeep' }),
  });

  const closing = new AbortController();
  const access = { registry, identities, tokens, robots, logins, connections, caches: { upstreams, cache, images } };
  const apiDeps = {
    contexts,
    platform,
    builds,
    images: registry,
    content,
    ...access,
    taskSecrets: operatorSecrets(secrets),
    records,
    clock,
    ids,
    logger,
  };
  const server = await serve({
    listen: options.listen,
    api: createApiApp(apiDeps, { version: VERSION, closing: closing.signal }),
    registry: registryApp,
    ecs: ecsDoor(engine, { keys, region, clock, takesAnyCredentials: isLoopback(options.listen.host) }),
    console: createConsole(apiDeps),
    front,
    logger: logger.child({ part: 'server' }),
    onClosing: () => closing.abort(),
  });
  undo.unshift(() => server.close());
  registryHosts.push(`localhost:${server.port}`, `127.0.0.1:${server.port}`, new URL(server.url).host);
  ownUrl = isLoopback(options.listen.host) ? server.url : `http://127.0.0.1:${server.port}`;

  undo.unshift(() => platform.stop());
  await platform.start();
  await engine.start();
  undo.unshift(() => worker.stop());
  await worker.start();
  undo.unshift(() => upkeep.stop());
  upkeep.start();
  const connection = { url: server.url, registry: new URL(server.url).host, ecs: server.url, token };
  await folder.writeConnection(connection);
  return {
    ...connection,
    scopeId: runtime.scopeId,
    async close() {
      for (const step of undo) await step();
    },
  };
}

/** The token given, that of the last start if it still works, or a new one. Only its hash is in the records. */
async function administratorToken(folder: DataFolder, tokens: ApiTokens, given: string | undefined): Promise<string> {
  if (given !== undefined) {
    await tokens.ensureToken(given, 'admin');
    return given;
  }
  const last = (await folder.readConnection())?.token;
  if (last !== undefined && (await tokens.verify(last))?.role === 'admin') return last;
  return (await tokens.create('first start', 'admin')).token;
}

function endpointOf(url: string): { protocol: string; hostname: string; port: number; path: string } {
  const { protocol, hostname, port } = new URL(url);
  return { protocol, hostname, port: Number(port), path: '/' };
}
