/** What runs containers on one machine: unpacked layers, runc, the platform's bridge, the agent and the engine. */
import { createAgent, folderObjects } from '../engine/agent/index.js';
import { storedSecrets } from '../engine/agent/secret-source-stored.js';
import { createEngine, type Engine, type TargetGroups } from '../engine/index.js';
import { AppError } from '../errors/index.js';
import { UnpackedLayers } from '../layers/index.js';
import type { Sandbox } from '../build/index.js';
import { OverlaySandbox } from '../build/sandbox-overlay.js';
import { platformOfArch } from '../oci/index.js';
import type { Images } from '../registry/index.js';
import {
  BridgeNetwork,
  type HostScope,
  missingTools,
  openHostScope,
  Runc,
  SupervisedContainers,
  sweepHost,
} from '../runtime/index.js';
import type { Logger } from '../store/index.js';
import type { DataFolder } from './data-folder.js';
import type { EmbeddedStore } from './embedded-store.js';
import { TaskRoles } from './task-roles.js';

export interface EmbeddedEngine {
  readonly engine: Engine;
  readonly sandbox: Sandbox;
  readonly scope: HostScope;
  readonly layers: UnpackedLayers;
  /** Takes bridge, namespaces and rules away when no container runs any more. */
  readonly tidy: () => Promise<void>;
}

export interface EmbeddedEngineDeps {
  readonly folder: DataFolder;
  readonly store: EmbeddedStore;
  readonly images: Images;
  readonly targetGroups: TargetGroups;
  readonly logger: Logger;
}

export interface EmbeddedEngineOptions {
  readonly region: string;
  readonly accountId: string;
  /** Whether a host in an image's name is this platform's own registry. */
  readonly isOwnRegistry: (host: string) => boolean;
}

/** @throws AppError HOST_NOT_READY, RUNC_TOO_OLD, TASK_ROLES_INVALID */
export async function openEmbeddedEngine(
  deps: EmbeddedEngineDeps,
  options: EmbeddedEngineOptions,
): Promise<EmbeddedEngine> {
  checkHost();
  const { folder, store, images, targetGroups, logger } = deps;
  const { clock, ids, records, content } = store;
  const scope = await openHostScope(folder.paths.runtime);
  const layers = await UnpackedLayers.open({ content }, folder.paths.layers);
  const runc = await Runc.open({ scope, clock });
  const network = await BridgeNetwork.open(scope);
  const containers = new SupervisedContainers({ scope, clock });
  const agent = createAgent(
    {
      content,
      images,
      layers,
      scope,
      containers,
      network,
      secrets: storedSecrets(store.secrets),
      objects: folderObjects(folder.paths.objects),
      credentials: await TaskRoles.open(folder.paths.taskRoles, clock),
      clock,
      logger: logger.child({ part: 'agent' }),
    },
    { platform: platformOfArch(process.arch), isLocalRegistry: options.isOwnRegistry },
  );
  const engine = createEngine(
    { records, agent, targetGroups, clock, ids, logger: logger.child({ part: 'engine' }) },
    {
      region: options.region,
      accountId: options.accountId,
      architecture: process.arch === 'arm64' ? 'arm64' : 'x86_64',
      // ECS waits 40 s for a task that nothing can be asked about; on a laptop a crash shows sooner.
      healthyAfterRunningMs: 5_000,
    },
  );
  return {
    engine,
    scope,
    layers,
    sandbox: await OverlaySandbox.open({ scope, runc, network, layers }),
    tidy: async () => {
      if ((await containers.list()).length === 0) await sweepHost({ scope, clock }, new Set());
    },
  };
}

function checkHost(): void {
  const problems = [...(process.getuid?.() === 0 ? [] : ['root: containers need it']), ...missingTools()];
  if (problems.length === 0) return;
  throw new AppError('HOST_NOT_READY', `this machine cannot run containers yet: ${problems.join('; ')}`, {
    kind: 'unavailable',
    retryable: false,
    hint: 'run scripts/setup.sh as root on Debian or Ubuntu, or install what is missing',
    details: { missing: problems },
  });
}
