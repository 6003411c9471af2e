/**
 * The search for an instance, and its claim. What is in memory follows every write of this engine; if it is not to be
 * trusted, or finds nothing, the records are read anew.
 */
import type { Context } from '../context.js';
import { explainPlacement, type Explanation } from '../placement/explanation.js';
import { place, type Rejection, type Requirement } from '../placement/place.js';
import { instanceSnapshot, portKeys, type Snapshot } from '../placement/snapshot.js';
import type { InstanceState, TaskState } from '../state/model.js';

export type PlaceOutcome<T> =
  { readonly placed: T } | { readonly rejections: readonly Rejection[]; readonly explanation?: Explanation };

const TRIES = 20;
const FORGET_AFTER = 3;
const NO_PORTS: ReadonlySet<string> = new Set();

/** @param claim gives undefined when the instance is not as it was seen: another look is taken then */
export async function findPlace<T>(
  context: Context,
  cluster: string,
  requirement: Requirement,
  claim: (instance: InstanceState) => Promise<T | undefined>,
): Promise<PlaceOutcome<T>> {
  let rejections: readonly Rejection[] = [];
  for (let attempt = 0; attempt < TRIES; attempt += 1) {
    if (attempt >= FORGET_AFTER) context.state.live.forget(cluster);
    const instance = await seenPlace(context, cluster, requirement);
    if (instance === undefined) {
      const reasons = await whyNoPlace(context, cluster, requirement);
      if (reasons === undefined) continue;
      return reasons;
    }
    const placed = await claim(instance);
    if (placed !== undefined) return { placed };
    rejections = [{ instanceId: instance.id, instanceArn: instance.arn, findings: [{ reason: 'AGENT' }] }];
  }
  return { rejections };
}

/** The instance that would be chosen by what is in memory. */
export async function seenPlace(
  context: Context,
  cluster: string,
  requirement: Requirement,
): Promise<InstanceState | undefined> {
  const live = await context.state.live.of(cluster);
  const chosen = live.index.choose(requirement, await hostPortsFor(context, requirement), context.options.random);
  return chosen && live.instances.get(chosen.id);
}

/** By the records; undefined when there is a place after all. */
export async function whyNoPlace(
  context: Context,
  cluster: string,
  requirement: Requirement,
): Promise<{ readonly rejections: readonly Rejection[]; readonly explanation: Explanation } | undefined> {
  const snapshot = await readSnapshot(context, cluster);
  const placement = place(snapshot, requirement, context.options.random);
  if (placement.placed) return undefined;
  const explanation = explainPlacement(snapshot, requirement, placement.rejections);
  return { rejections: placement.rejections, explanation };
}

/** The cluster as the records have it now. */
async function readSnapshot(context: Context, cluster: string): Promise<Snapshot> {
  const [instances, tasks] = [await context.state.instances.all(cluster), await context.state.tasks.all(cluster)];
  const byInstance = new Map<string, TaskState[]>();
  for (const task of tasks) {
    if (task.instanceId === undefined) continue;
    byInstance.set(task.instanceId, [...(byInstance.get(task.instanceId) ?? []), task]);
  }
  const live = instances.filter((instance) => instance.status !== 'INACTIVE');
  return {
    instances: live.map((instance) => instanceSnapshot(instance, byInstance.get(instance.id) ?? [])),
    hostPorts: new Set(await takenHostPorts(context)),
  };
}

/** Those that are taken on the machine all instances share, where the task asks for any. */
export async function hostPortsFor(context: Context, { needs }: Requirement): Promise<ReadonlySet<string>> {
  if (context.options.hostPortScope === 'instance' || portKeys(needs).length === 0) return NO_PORTS;
  const { state } = context;
  const clusters = await state.clusters.all('');
  const live = await Promise.all(clusters.map(({ name }) => state.live.of(name)));
  return new Set(live.flatMap(({ hostPorts }) => [...hostPorts.keys()]));
}

async function takenHostPorts(context: Context): Promise<readonly string[]> {
  if (context.options.hostPortScope === 'instance') return [];
  const clusters = await context.state.clusters.all('');
  const tasks = await Promise.all(clusters.map((cluster) => context.state.tasks.all(cluster.name)));
  return tasks.flat().flatMap((task) => (task.instanceId === undefined ? [] : portKeys(task.reserved)));
}
