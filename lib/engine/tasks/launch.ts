/**
 * From "run this definition" to task records with a claimed place, handed to the agent. One launch at a time looks at
 * the cluster and claims; the claim itself is a conditional transaction, so a second engine would only make it retry.
 * A task of a capacity provider that scales waits as PROVISIONING when there is no room.
 */
import type { Context } from '../context.js';
import { settingsOf } from '../capacity/provider.js';
import { nextProvider } from '../capacity/strategy.js';
import type { Explanation } from '../placement/explanation.js';
import type { Rejection, Requirement } from '../placement/place.js';
import { noteAttempt } from '../placement/unplaced.js';
import type {
  CapacityProviderStrategyItem,
  ClusterState,
  LoadBalancer,
  NetworkConfiguration,
  PlacementConstraintState,
  PlacementStrategyState,
  Tag,
  TaskDefinitionState,
  TaskState,
} from '../state/model.js';
import type { TaskOverrideInput } from '../api/task-definition-input.js';
import { findPlace, seenPlace, type PlaceOutcome } from './find-place.js';
import { newTask, placedOn } from './new-task.js';
import { withPulls } from './pulls.js';
import { taskNeeds } from './sizes.js';
import { claimPlace, createWaitingTask } from './task-changes.js';

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
  /** Which capacity providers share the tasks, and how many of the same kind each has already. */
  readonly capacity?: {
    readonly strategy: readonly CapacityProviderStrategyItem[];
    readonly counts: ReadonlyMap<string, number>;
  };
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
  /** Tasks that were not even made, since so many of the cluster wait for capacity already. */
  readonly tooManyWaiting: number;
}

/** Tasks of a cluster that may be PROVISIONING at once. */
export const MOST_WAITING = 300;

/** @param start told of every new task once its record stands */
export function launchTasks(
  context: Context,
  request: LaunchRequest,
  start: (task: TaskState) => void,
): Promise<LaunchResult> {
  return context.mutex.run('placement', async () => {
    const tasks: TaskState[] = [];
    const unplaced: (readonly Rejection[])[] = [];
    const counts = new Map(request.capacity?.counts);
    let tooManyWaiting = 0;
    let explanation: Explanation | undefined;
    for (const id of request.taskIds) {
      const provider = request.capacity && nextProvider(request.capacity.strategy, counts);
      const existing = await context.state.task(request.cluster.name, id);
      const outcome = existing ? { placed: existing } : await launchOne(context, request, id, provider, start);
      if ('placed' in outcome) {
        tasks.push(outcome.placed);
        if (provider !== undefined) counts.set(provider, (counts.get(provider) ?? 0) + 1);
      } else if ('tooManyWaiting' in outcome) tooManyWaiting += 1;
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
    return { tasks, unplaced, tooManyWaiting, ...(explanation === undefined ? {} : { explanation }) };
  });
}

async function launchOne(
  context: Context,
  request: LaunchRequest,
  id: string,
  provider: string | undefined,
  start: (task: TaskState) => void,
): Promise<PlaceOutcome<TaskState> | { readonly tooManyWaiting: true }> {
  const asked: Requirement = {
    needs: taskNeeds(request.definition.definition, request.overrides),
    constraints: [...request.definition.definition.placementConstraints, ...request.constraints],
    strategies: request.strategies,
    group: request.group,
    ...(request.only === undefined ? {} : { only: request.only }),
    ...(provider === undefined ? {} : { provider }),
  };
  const cluster = request.cluster.name;
  const task = newTask(context, request, asked, id, provider);
  const requirement = await withPulls(context, cluster, asked, request.definition);
  const scaling = provider !== undefined && (await scales(context, provider));
  // Who waits for capacity anyway is looked at again by its loop: the records need not be read for it.
  if (scaling && (await seenPlace(context, cluster, requirement)) === undefined) {
    return wait(context, cluster, task, start);
  }
  const outcome = await findPlace(context, cluster, requirement, async (instance) => {
    const placed = placedOn(task, instance);
    return (await claimPlace(context, placed, instance.version)) ? placed : undefined;
  });
  if ('placed' in outcome) {
    start(outcome.placed);
    return outcome;
  }
  return scaling ? wait(context, cluster, task, start) : outcome;
}

async function wait(
  context: Context,
  cluster: string,
  task: TaskState,
  start: (task: TaskState) => void,
): Promise<PlaceOutcome<TaskState> | { readonly tooManyWaiting: true }> {
  if ((await context.state.live.of(cluster)).waitingCount >= MOST_WAITING) return { tooManyWaiting: true };
  // Of its id there may be one by now: that is the task then.
  if (await createWaitingTask(context, task)) start(task);
  return { placed: (await context.state.task(cluster, task.id)) ?? task };
}

async function scales(context: Context, provider: string): Promise<boolean> {
  const known = await context.state.providers.get('', provider);
  return known !== undefined && settingsOf(known).managedScaling.status === 'ENABLED';
}
