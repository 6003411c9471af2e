/**
 * From "run this definition" to task records with a claimed place, handed to the agent. One launch at a time looks at
 * the cluster and claims; the claim itself is a conditional transaction, so a second engine would only make it retry.
 */
import type { Context } from '../context.js';
import { explainPlacement, type Explanation } from '../placement/explanation.js';
import { place, type Rejection, type Requirement } from '../placement/place.js';
import { noteAttempt } from '../placement/unplaced.js';
import { instanceSnapshot, portKeys, type Snapshot } from '../placement/snapshot.js';
import type {
  ClusterState,
  ContainerState,
  InstanceState,
  LoadBalancer,
  NetworkConfiguration,
  PlacementConstraintState,
  PlacementStrategyState,
  Tag,
  TaskDefinitionState,
  TaskState,
} from '../state/model.js';
import type { TaskOverrideInput } from '../api/task-definition-input.js';
import { containerSize, overrideOf, taskNeeds } from './sizes.js';
import { createTask } from './task-changes.js';

export interface LaunchRequest {
  readonly cluster: ClusterState;
  readonly definition: TaskDefinitionState;
  readonly overrides: TaskOverrideInput;
  readonly group: string;
  readonly startedBy?: string | undefined;
  readonly constraints: readonly PlacementConstraintState[];
  readonly strategies: readonly PlacementStrategyState[];
  /** Only these instances. */
  readonly only?: ReadonlySet<string>;
  readonly tags: readonly Tag[];
  readonly enableExecuteCommand: boolean;
  /** Of awsvpc tasks. */
  readonly networkConfiguration?: NetworkConfiguration | undefined;
  readonly service?: {
    readonly name: string;
    readonly deploymentId: string;
    readonly loadBalancers: readonly LoadBalancer[];
  };
  /** One task per id. A task that exists already under its id is handed back as it is. */
  readonly taskIds: readonly string[];
}

export interface LaunchResult {
  readonly tasks: readonly TaskState[];
  /** Why the tasks that are missing from `tasks` could not be placed: one table per task. */
  readonly unplaced: readonly (readonly Rejection[])[];
  /** The same with the smallest fix, of the first of them. */
  readonly explanation?: Explanation;
}

const TRIES = 20;
const FORGET_AFTER = 3;
const NO_PORTS: ReadonlySet<string> = new Set();

/** @param start told of every new task once its record stands */
export function launchTasks(
  context: Context,
  request: LaunchRequest,
  start: (task: TaskState) => void,
): Promise<LaunchResult> {
  return context.mutex.run('placement', async () => {
    const tasks: TaskState[] = [];
    const unplaced: (readonly Rejection[])[] = [];
    let explanation: Explanation | undefined;
    for (const id of request.taskIds) {
      const existing = await context.state.task(request.cluster.name, id);
      const outcome = existing ?? (await launchOne(context, request, id, start));
      if ('id' in outcome) tasks.push(outcome);
      else {
        unplaced.push(outcome.rejections);
        explanation ??= outcome.explanation;
      }
    }
    if (explanation !== undefined && request.service === undefined) {
      await noteAttempt(context, {
        ...explanation,
        cluster: request.cluster.name,
        group: request.group,
        taskDefinitionArn: request.definition.arn,
        tasks: unplaced.length,
        atMs: context.deps.clock.nowMs(),
      });
    }
    return { tasks, unplaced, ...(explanation === undefined ? {} : { explanation }) };
  });
}

async function launchOne(
  context: Context,
  request: LaunchRequest,
  id: string,
  start: (task: TaskState) => void,
): Promise<TaskState | { readonly rejections: readonly Rejection[]; readonly explanation?: Explanation }> {
  const requirement: Requirement = {
    needs: taskNeeds(request.definition.definition, request.overrides),
    constraints: [...request.definition.definition.placementConstraints, ...request.constraints],
    strategies: request.strategies,
    group: request.group,
    ...(request.only === undefined ? {} : { only: request.only }),
  };
  let rejections: readonly Rejection[] = [];
  for (let attempt = 0; attempt < TRIES; attempt += 1) {
    // What is in memory follows every write of this engine; if it is not to be trusted, the records are read anew.
    if (attempt >= FORGET_AFTER) context.state.live.forget(request.cluster.name);
    const live = await context.state.live.of(request.cluster.name);
    const chosen = live.index.choose(requirement, await hostPortsFor(context, requirement), context.options.random);
    if (chosen === undefined) {
      const snapshot = await readSnapshot(context, request.cluster.name);
      const placement = place(snapshot, requirement, context.options.random);
      if (placement.placed) continue;
      const explanation = explainPlacement(snapshot, requirement, placement.rejections);
      return { rejections: placement.rejections, explanation };
    }
    const instance = live.instances.get(chosen.id);
    if (instance === undefined) continue;
    const task = newTask(context, request, requirement, instance, id);
    if (await createTask(context, task, instance.version)) {
      start(task);
      return task;
    }
    rejections = [{ instanceId: instance.id, instanceArn: instance.arn, findings: [{ reason: 'AGENT' }] }];
  }
  return { rejections };
}

/** The cluster as the records have it now. */
async function readSnapshot(context: Context, cluster: string): Promise<Snapshot> {
  const [instances, tasks] = [await context.state.instances.all(cluster), await context.state.tasks.all(cluster)];
  const byInstance = new Map<string, TaskState[]>();
  for (const task of tasks) byInstance.set(task.instanceId, [...(byInstance.get(task.instanceId) ?? []), task]);
  const live = instances.filter((instance) => instance.status !== 'INACTIVE');
  return {
    instances: live.map((instance) => instanceSnapshot(instance, byInstance.get(instance.id) ?? [])),
    hostPorts: new Set(await takenHostPorts(context)),
  };
}

/** Those that are taken on the machine all instances share, where the task asks for any. */
async function hostPortsFor(context: Context, { needs }: Requirement): Promise<ReadonlySet<string>> {
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
  return tasks.flat().flatMap((task) => portKeys(task.reserved));
}

function newTask(
  context: Context,
  request: LaunchRequest,
  requirement: Requirement,
  instance: InstanceState,
  id: string,
): TaskState {
  const { arns, deps } = context;
  const { cluster, definition, service } = request;
  const zone = instance.attributes.find((attribute) => attribute.name === 'ecs.availability-zone')?.value;
  return {
    id,
    arn: arns.task(cluster.name, id),
    clusterName: cluster.name,
    clusterArn: cluster.arn,
    instanceId: instance.id,
    instanceArn: instance.arn,
    ...(zone === undefined ? {} : { availabilityZone: zone }),
    taskDefinitionArn: definition.arn,
    family: definition.family,
    revision: definition.revision,
    group: request.group,
    ...(request.startedBy === undefined ? {} : { startedBy: request.startedBy }),
    ...(service === undefined ? {} : { serviceName: service.name, deploymentId: service.deploymentId }),
    version: 1,
    desiredStatus: 'RUNNING',
    lastStatus: 'PENDING',
    containers: definition.definition.containerDefinitions.map((container): ContainerState => ({
      arn: arns.container(cluster.name, id, deps.ids.hex(16)),
      name: container.name ?? '',
      image: container.image ?? '',
      essential: container.essential,
      hasHealthCheck: container.healthCheck !== undefined && container.healthCheck.command[0] !== 'NONE',
      ...containerSize(container, overrideOf(request.overrides, container.name ?? '')),
      lastStatus: 'PENDING',
      healthStatus: 'UNKNOWN',
      networkBindings: [],
    })),
    overrides: request.overrides,
    cpu: requirement.needs.cpu,
    memoryMiB: requirement.needs.memoryMiB,
    reserved: requirement.needs,
    loadBalancers: service?.loadBalancers ?? [],
    targets: [],
    enableExecuteCommand: request.enableExecuteCommand,
    ...(request.networkConfiguration === undefined ? {} : { networkConfiguration: request.networkConfiguration }),
    tags: request.tags,
    createdAtMs: deps.clock.nowMs(),
  };
}
