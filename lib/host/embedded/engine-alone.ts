/**
 * The engine alone: the ECS API on a port, and nothing else of Wharf. Images are those of the data folder, or of any
 * registry. With keys every request has to be signed by them; without, it listens on loopback only.
 */
import { simulatedTargetGroups } from '../../engine/simulated/index.js';
import type { Engine } from '../../engine/index.js';
import { AppError } from '../../errors/index.js';
import { serve } from '../../http/index.js';
import { type RegistryCredentialLookup, RegistryLogins } from '../../registry/client/index.js';
import { Registry } from '../../registry/index.js';
import type { OciRuntime } from '../../runtime/index.js';
import { silentLogger } from '../../store/logger-silent.js';
import type { Logger } from '../../store/index.js';
import { DataFolder } from './data-folder.js';
import { LateEcrAuthorization } from '../aws/ecr-authorization-late.js';
import { type AwsKeys, ecsDoor } from './ecs-door.js';
import { embeddedEngine } from './engine.js';
import { openEmbeddedStore } from './store.js';
import { sendEvents, type WebhookTarget } from './engine-events.js';
import { openEngineRuntime, type RuntimeName } from './engine-runtime.js';
import { isLoopback } from './loopback.js';

export interface EngineHostOptions {
  /** Data folder; made when absent. */
  readonly data: string;
  /** Port 0 takes a free one. */
  readonly listen: { readonly host: string; readonly port: number };
  /** @default containers */
  readonly runtime?: RuntimeName;
  /** What makes the containers of tasks. @default runc */
  readonly ociRuntime?: OciRuntime;
  /** @default us-east-1 */
  readonly region?: string;
  /** Twelve digits. @default 000000000000 */
  readonly accountId?: string;
  /** Requests have to be signed with them. Absent: any signature passes, and only loopback may be listened on. */
  readonly keys?: AwsKeys;
  /** For other registries; those kept in the data folder when absent. */
  readonly credentials?: RegistryCredentialLookup;
  /** Gets every event, beside the file in the data folder. */
  readonly webhook?: WebhookTarget;
  readonly logger?: Logger;
}

export interface RunningEngine {
  /** The endpoint of the ECS API, without a final slash. */
  readonly url: string;
  readonly region: string;
  readonly accountId: string;
  /** For what the API does not say: events, logs, explanations, instances that die. */
  readonly engine: Engine;
  /** Stops serving; containers go on running and are found again at the next start, unless `stopTasks` is set. */
  close(options?: { readonly stopTasks?: boolean }): Promise<void>;
}

/** @throws AppError ENGINE_KEYS_WANTED, ENGINE_ACCOUNT_INVALID, EVENTS_WEBHOOK_INVALID, DATA_FOLDER_IN_USE, DATA_FOLDER_UNUSABLE, HOST_NOT_READY */
export async function startEngine(options: EngineHostOptions): Promise<RunningEngine> {
  check(options);
  const folder = await DataFolder.open(options.data);
  const undo: (() => Promise<unknown>)[] = [() => folder.release()];
  try {
    return await compose(folder, options, undo);
  } catch (error) {
    for (const step of undo) await step();
    throw error;
  }
}

async function compose(
  folder: DataFolder,
  options: EngineHostOptions,
  undo: (() => Promise<unknown>)[],
): Promise<RunningEngine> {
  const { runtime: name = 'containers', region = 'us-east-1', accountId = '000000000000', keys } = options;
  const logger = options.logger ?? silentLogger;
  const store = await openEmbeddedStore(folder);
  undo.unshift(() => store.close());
  const { clock, ids, records, content, secrets } = store;
  const images = new Registry({ records, content, secrets, clock, ids });
  const credentials = options.credentials ?? new RegistryLogins(secrets, new LateEcrAuthorization(clock));
  const runtime = await openEngineRuntime(
    { folder, store, images, logger },
    {
      runtime: name,
      ...(options.ociRuntime === undefined ? {} : { ociRuntime: options.ociRuntime }),
      isOwnRegistry: () => false,
      otherRegistries: { credentials },
    },
  );
  undo.unshift(runtime.tidy);
  const engine = embeddedEngine(
    { store, runtime, logger, ...(name === 'simulated' ? { targetGroups: simulatedTargetGroups() } : {}) },
    { region, accountId },
  );
  undo.unshift(sendEvents(engine, { clock, logger }, { directory: folder.directory, webhook: options.webhook }));
  let stopping: Parameters<Engine['stop']>[0] = {};
  undo.unshift(() => engine.stop(stopping));
  const about = { fetch: () => Response.json({ service: 'wharf engine', runtime: name, region, accountId }) };
  const server = await serve({
    listen: options.listen,
    api: about,
    registry: { fetch: noRegistry },
    ecs: keys === undefined ? engine : ecsDoor(engine, { keys, region, clock, takesAnyCredentials: false }),
    logger: logger.child({ part: 'server' }),
  });
  undo.unshift(() => server.close());
  await engine.start();
  return {
    url: server.url,
    region,
    accountId,
    engine,
    async close(closing) {
      stopping = closing;
      for (const step of undo) await step();
    },
  };
}

/** In the shape of the distribution API, so that docker and skopeo print it to who tries to push here. */
function noRegistry(): Response {
  const message =
    'wharf engine serves the ECS API only: task definitions name images of any registry, or images that `wharf build` or a push to `wharf up` left in the same data folder';
  const errors = [{ code: 'UNSUPPORTED', message }];
  return Response.json({ errors }, { status: 404, headers: { 'docker-distribution-api-version': 'registry/2.0' } });
}

function check({ listen, keys, accountId }: EngineHostOptions): void {
  if (accountId !== undefined && !/^\d{12}$/.test(accountId)) {
    throw new AppError('ENGINE_ACCOUNT_INVALID', `"${accountId}" is no AWS account id`, { hint: 'twelve digits' });
  }
  if (keys !== undefined || isLoopback(listen.host)) return;
  throw new AppError('ENGINE_KEYS_WANTED', `without keys the engine listens on loopback only, not on ${listen.host}`, {
    hint: 'give keys (--keys FILE, or WHARF_ENGINE_ACCESS_KEY_ID and WHARF_ENGINE_SECRET_ACCESS_KEY)',
  });
}
