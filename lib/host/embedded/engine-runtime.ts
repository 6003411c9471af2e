/**
 * What runs the tasks of an engine: real containers with runc on this machine, or the simulated runtime, which is
 * chosen by name only.
 */
import { RemoteImages, type Sandbox } from '../../build/index.js';
import { OverlaySandbox, type OverlaySandboxOptions } from '../../build/sandbox/sandbox-overlay.js';
import { type Agent, createAgent, folderObjects, type OtherRegistries } from '../../engine/agent/index.js';
import { storedSecrets } from '../../engine/agent/secret-source-stored.js';
import { createSimulatedAgent } from '../../engine/simulated/index.js';
import { AppError } from '../../errors/index.js';
import { UnpackedLayers } from '../../layers/index.js';
import { platformOfArch } from '../../oci/index.js';
import type { RegistryCredentialLookup } from '../../registry/client/index.js';
import type { Images } from '../../registry/index.js';
import {
  BridgeNetwork,
  checkRuntime,
  controllersBesideV1,
  missingTools,
  type OciRuntime,
  openHostScope,
  Runc,
  SupervisedContainers,
  sweepHost,
} from '../../runtime/index.js';
import type { Logger } from '../../store/index.js';
import type { DataFolder } from './data-folder.js';
import type { EmbeddedStore } from './store.js';
import { LogGroups } from './log-groups.js';
import { TaskRoles } from './task-roles.js';

export type RuntimeName = 'containers' | 'simulated';

export interface EngineRuntime {
  readonly agent: Agent;
  /** For RUN of builds; absent where nothing real runs. */
  readonly sandbox?: Sandbox;
  /** Six hex digits that everything of it on the host is named by; empty where there is nothing. */
  readonly scopeId: string;
  readonly layers: Pick<UnpackedLayers, 'list' | 'evict'>;
  /** Containers on the host: also those that have ended and are not taken away yet. */
  readonly held: () => Promise<number>;
  /** Takes bridge, namespaces and rules away when no container runs any more. */
  readonly tidy: () => Promise<void>;
}

export interface EngineRuntimeDeps {
  readonly folder: DataFolder;
  readonly store: EmbeddedStore;
  readonly images: Images;
  readonly logger: Logger;
}

export interface EngineRuntimeOptions {
  readonly runtime: RuntimeName;
  /** What makes the containers of tasks; RUN of builds is always runc's. @default runc */
  readonly ociRuntime?: OciRuntime;
  /** Whether a host in an image's name is this platform's own registry. */
  readonly isOwnRegistry: (host: string) => boolean;
  /** What RUN of builds gets and may have. */
  readonly runs?: OverlaySandboxOptions;
  /** Tasks may use images of other registries, with these credentials; refused when absent. */
  readonly otherRegistries?: { readonly credentials?: RegistryCredentialLookup };
}

/** @throws AppError HOST_NOT_READY, RUNC_TOO_OLD, CRUN_TOO_OLD, TASK_ROLES_INVALID, LOG_GROUPS_INVALID */
export async function openEngineRuntime(
  deps: EngineRuntimeDeps,
  options: EngineRuntimeOptions,
): Promise<EngineRuntime> {
  return options.runtime === 'simulated' ? simulated(deps) : containers(deps, options);
}

function simulated({ store, logger }: EngineRuntimeDeps): EngineRuntime {
  return {
    agent: createSimulatedAgent({ clock: store.clock, logger: logger.child({ part: 'agent' }) }),
    scopeId: '',
    layers: { list: () => Promise.resolve([]), evict: () => Promise.resolve(false) },
    held: () => Promise.resolve(0),
    tidy: () => Promise.resolve(),
  };
}

async function containers(deps: EngineRuntimeDeps, options: EngineRuntimeOptions): Promise<EngineRuntime> {
  const { ociRuntime = 'runc' } = options;
  await checkHost(ociRuntime);
  const { folder, store, images, logger } = deps;
  const { clock, content } = store;
  const scope = await openHostScope(folder.paths.runtime);
  const layers = await UnpackedLayers.open({ content }, folder.paths.layers);
  const runc = await Runc.open({ scope, clock });
  const verdicts = [runc.verdict, ...(ociRuntime === 'runc' ? [] : [await checkRuntime(ociRuntime)])];
  for (const verdict of verdicts) if (verdict.status === 'dated') logger.warn(verdict.warning);
  const network = await BridgeNetwork.open(scope);
  const supervised = new SupervisedContainers({ scope, clock }, { ociRuntime });
  const { otherRegistries: others } = options;
  const agent = createAgent(
    {
      content,
      images,
      layers,
      ...(others === undefined
        ? {}
        : { otherRegistries: overNetwork(new RemoteImages({ content, clock, ...others })) }),
      scope,
      containers: supervised,
      network,
      secrets: storedSecrets(store.secrets),
      objects: folderObjects(folder.paths.objects),
      credentials: await TaskRoles.open(folder.paths.taskRoles, clock),
      logRetention: await LogGroups.open(folder.paths.logGroups),
      clock,
      logger: logger.child({ part: 'agent' }),
    },
    { platform: platformOfArch(process.arch), isLocalRegistry: options.isOwnRegistry },
  );
  return {
    agent,
    scopeId: scope.id,
    layers,
    sandbox: await OverlaySandbox.open({ scope, runc, network, layers }, options.runs),
    held: async () => (await supervised.list()).length,
    tidy: async () => {
      if ((await supervised.list()).length === 0) await sweepHost({ scope, clock }, new Set());
    },
  };
}

function overNetwork(remote: RemoteImages): OtherRegistries {
  return {
    open: (registry) => remote.open(registry),
    fetchLayers: (registry, repository, layers) => {
      const origin = { registry, repository };
      return remote.fetchLayers(
        layers.map((layer) => ({ ...layer, origin })),
        new AbortController().signal,
      );
    },
  };
}

async function checkHost(ociRuntime: OciRuntime): Promise<void> {
  const problems = [
    ...(process.getuid?.() === 0 ? [] : ['root: containers need it']),
    ...missingTools(ociRuntime),
    ...(ociRuntime === 'crun' ? await hybridProblems() : []),
  ];
  if (problems.length === 0) return;
  throw new AppError('HOST_NOT_READY', `this machine cannot run containers yet: ${problems.join('; ')}`, {
    kind: 'unavailable',
    retryable: false,
    hint: 'run scripts/setup.sh as root on Debian or Ubuntu, or install what is missing; --runtime simulated plays tasks without containers',
    details: { missing: problems },
  });
}

/** crun would refuse every container. */
async function hybridProblems(): Promise<readonly string[]> {
  const controllers = await controllersBesideV1();
  if (controllers.length === 0) return [];
  // runc takes the name of the folder for the controller's.
  const folders = controllers.map((name) => `mount --mkdir -t cgroup -o ${name} cgroup /sys/fs/cgroup/${name}`);
  return [
    `crun: works with cgroup v1 or v2, not with both, and here v2 holds ${controllers.join(', ')} beside v1; bind them to v1 (${folders.join('; ')}) or start with --oci-runtime runc`,
  ];
}
