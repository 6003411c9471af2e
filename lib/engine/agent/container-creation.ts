/**
 * Makes a container out of its image, ready to start: ports, secrets, root, volumes, the process set up; and beside them
 * its network, of which only the namespace has to be there before the process is. Its record is on disk before the
 * first step but its link to the network, so that whatever a kill leaves half made is found and taken away; what is
 * learnt on the way goes to disk with the next record, that of its start.
 */
import { join } from 'node:path';
import { removeTree } from '../../layers/index.js';
import { mountOverlay, RESOLVER_ADDRESS } from '../../runtime/index.js';
import { failingAs } from './container-failure.js';
import { attachNetwork, chooseBindings, type ContainerPlace, linkedNames } from './container-network.js';
import { containerSpec } from './container-spec.js';
import type { ContainerRunDeps, ContainerSurroundings } from './container-surroundings.js';
import { logGroupOf } from './log-retention.js';
import { endpointEnvironment } from './endpoint/endpoint-environment.js';
import { filedEnvironment } from './environment-files.js';
import type { ResolvedImage } from './image-source.js';
import { secretEnvironment } from './secret-source.js';
import { both } from './side-by-side.js';
import type { ContainerRecord } from './task-records.js';
import type { ContainerPayload } from './types.js';
import type { VolumeMount } from './volumes.js';

export interface ContainerPlan {
  readonly runtimeId: string;
  /** Where its root is mounted. */
  readonly rootfs: string;
  readonly payload: ContainerPayload;
  readonly image: ResolvedImage;
  /** Short names of the image's unpacked layers, the bottom one first. */
  readonly layers: readonly string[];
  /** Told when what the container mounts is ready for others, and its place in the network is known. */
  readonly prepared: () => void;
}

/** @throws ContainerFailure */
export async function createContainer(
  deps: ContainerRunDeps,
  task: ContainerSurroundings,
  plan: ContainerPlan,
  signal: AbortSignal,
): Promise<void> {
  const { runtimeId, payload } = plan;
  await removeTree(join(task.folder, runtimeId));
  const bindings = await chooseBindings(deps, task, payload, runtimeId);
  const record: ContainerRecord = { ...firstRecord(plan, deps.clock.nowMs()), bindings };
  const written = task.write(record);
  let joinable: (place: ContainerPlace) => void = () => undefined;
  const early = new Promise<ContainerPlace>((resolve) => void (joinable = resolve));
  const network = failingAs('CannotStartContainerError', signal, async () => {
    // A link without ports is the same whoever makes it, and has a record of its own: it need not wait for this one.
    if (bindings.length > 0) await written;
    const place = await attachNetwork(deps, task, payload, { runtimeId, bindings }, joinable);
    if (place.address !== undefined) await deps.announceNames();
    return place;
  });
  const process = (async () => {
    await written;
    const surroundings = await prepare(deps, task, plan, signal);
    const place = await Promise.race([early, network]);
    const { address, macAddress } = place;
    const prepared: ContainerRecord = {
      ...record,
      mounts: surroundings.volumes,
      ...(address === undefined ? {} : { address }),
      ...(macAddress === undefined ? {} : { macAddress }),
    };
    task.note(prepared);
    plan.prepared();
    // The runtime takes longer than the rest of the network: both go on side by side.
    await setUp(deps, task, plan, { ...surroundings, place }, signal);
    return prepared;
  })();
  const [, prepared] = await both(network, process);
  task.note({ ...prepared, phase: 'created' });
}

interface Prepared {
  readonly secrets: readonly string[];
  readonly filed: readonly string[];
  readonly volumes: readonly VolumeMount[];
}

/** What the container is made of but its network: secrets, the root, volumes. */
async function prepare(
  deps: ContainerRunDeps,
  task: ContainerSurroundings,
  plan: ContainerPlan,
  signal: AbortSignal,
): Promise<Prepared> {
  const { rootfs, payload, image } = plan;
  const secrets = await secretEnvironment(deps.secrets, payload);
  const filed = await filedEnvironment(deps.objects, payload);
  return failingAs('CannotCreateContainerError', signal, async () => {
    await mountRoot(deps, task, plan);
    const declared = Object.keys(image.config.config?.Volumes ?? {});
    const volumes = await task.volumes.prepare(payload, rootfs, declared, inherited(task, payload));
    return { secrets, filed, volumes };
  });
}

/** The container's process, which waits for its start. */
async function setUp(
  deps: ContainerRunDeps,
  task: ContainerSurroundings,
  { runtimeId, rootfs, payload, image }: ContainerPlan,
  { place, ...prepared }: Prepared & { readonly place: ContainerPlace },
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  const spec = containerSpec(payload, image, {
    ...prepared,
    id: runtimeId,
    rootfs,
    network: place.mode,
    ownEnvironment: (env) => endpointEnvironment(deps.scope, task.payload, payload, task.endpointIds(), env),
    ...(place.address === undefined ? {} : { resolver: RESOLVER_ADDRESS }),
    linked: linkedNames(task, payload),
  });
  await failingAs('CannotStartContainerError', signal, () => deps.containers.create(spec, place.address));
}

function firstRecord({ runtimeId, image, payload }: ContainerPlan, nowMs: number): ContainerRecord {
  const config = image.config.config;
  const logGroup = logGroupOf(payload);
  return {
    runtimeId,
    phase: 'preparing',
    imageDigest: image.digest,
    imageId: image.configDigest,
    bindings: [],
    createdMs: nowMs,
    ...(logGroup === undefined ? {} : { logGroup }),
    ...(config?.StopSignal === undefined ? {} : { stopSignal: config.StopSignal }),
    ...(config?.Shell === undefined ? {} : { shell: config.Shell }),
  };
}

async function mountRoot(deps: ContainerRunDeps, task: ContainerSurroundings, plan: ContainerPlan): Promise<void> {
  const own = join(task.folder, plan.runtimeId);
  await mountOverlay({
    directory: deps.layers.directory,
    lowers: [...plan.layers].reverse(),
    upper: join(own, 'upper'),
    work: join(own, 'work'),
    target: plan.rootfs,
    // What a task keeps is in volumes: after a loss of power its containers are made anew.
    discardable: true,
  });
}

/** What `volumesFrom` brings: read-only where that is asked for, or where it was so there. */
function inherited(task: ContainerSurroundings, { volumesFrom = [] }: ContainerPayload): readonly VolumeMount[] {
  return volumesFrom.flatMap(({ container, readonly }) =>
    (task.recordOf(container)?.mounts ?? []).map((mount) => ({ ...mount, readonly: mount.readonly || readonly })),
  );
}
