/** Standalone tasks: run, start on a given instance, stop. What is asked about tasks is in `task-queries.ts`. */
import * as z from 'zod';
import { createHash } from 'node:crypto';
import { EcsError, clientError, invalidParameter } from '../ecs-error.js';
import { explain, type Rejection } from '../placement/place.js';
import type { TaskState } from '../state/model.js';
import { MOST_WAITING } from '../tasks/launch.js';
import { taskTags } from '../tasks/task-tags.js';
import {
  cluster,
  networkConfiguration,
  placementConstraints,
  placementStrategy,
  capacityProviderStrategy,
  strings,
  tags,
  text,
} from './input.js';
import {
  checkConstraintCount,
  checkNetworkConfiguration,
  checkOverrides,
  checkPlacement,
  refuseLaunch,
  strategyFor,
} from './launch-input.js';
import { operation, requireCluster, type Api, type Failure, type Operation } from './operation.js';
import { taskOverride } from './task-definition-input.js';
import { requireActiveTaskDefinition } from './task-definitions.js';
import { taskView } from './task-view.js';

const TOO_MANY_WAITING = `You have reached the limit of tasks in the PROVISIONING state: ${String(MOST_WAITING)} in a cluster.`;
const TOKEN_KEPT_MS = 24 * 3_600_000;

const common = {
  cluster,
  taskDefinition: text.min(1),
  enableECSManagedTags: z.boolean().optional(),
  enableExecuteCommand: z.boolean().optional(),
  group: z
    .string()
    .max(255)
    .regex(/^[a-zA-Z0-9_./:-]*$/, 'letters, numbers, hyphens, underscores, dots, slashes and colons')
    .refine((group) => !group.startsWith('service:'), 'the prefix service: is reserved')
    .optional(),
  networkConfiguration: networkConfiguration.optional(),
  overrides: taskOverride.optional(),
  propagateTags: z
    .enum(['TASK_DEFINITION', 'NONE'], 'TASK_DEFINITION or NONE, a task of its own has no service')
    .optional(),
  referenceId: z.string().max(1024).optional(),
  tags: tags.optional(),
  volumeConfigurations: z.array(z.looseObject({})).optional(),
};

const startedBy = (most: number) =>
  z
    .string()
    .max(most)
    .regex(/^[a-zA-Z0-9_/=.:-]*$/, 'letters, numbers, hyphens, slashes and underscores')
    .optional();

const runTask = operation(
  z.object({
    ...common,
    startedBy: startedBy(128),
    count: z.int().min(1).max(10).default(1),
    launchType: text.optional(),
    capacityProviderStrategy: capacityProviderStrategy.optional(),
    placementConstraints: placementConstraints.default([]),
    placementStrategy: placementStrategy.default([]),
    platformVersion: text.optional(),
    clientToken: z
      .string()
      .max(64)
      .regex(/^[\x21-\x7e]*$/, 'characters 33 to 126')
      .optional(),
  }),
  async (api, input) => {
    const owner = await requireCluster(api, input.cluster);
    refuseLaunch(input);
    checkPlacement(input.placementConstraints, input.placementStrategy);
    const definition = await requireActiveTaskDefinition(api, input.taskDefinition);
    checkConstraintCount(definition, input.placementConstraints);
    const overrides = input.overrides ?? {};
    checkOverrides(definition, overrides, api.context.deps.agent.abilities);
    const network = checkNetworkConfiguration(definition, input.networkConfiguration);
    const strategy = strategyFor(input, owner);
    const taskIds = await idempotentIds(api, owner.name, input.clientToken, input.count, input);
    if (strategy.length === 0 && (await liveInstances(api, owner.name)) === 0) {
      throw invalidParameter('No Container Instances were found in your cluster.');
    }
    const result = await api.lifecycle.launch({
      cluster: owner,
      definition,
      overrides,
      group: input.group ?? `family:${definition.family}`,
      startedBy: input.startedBy,
      constraints: input.placementConstraints,
      strategies: input.placementStrategy,
      ...(strategy.length === 0 ? {} : { capacity: { strategy, counts: new Map() } }),
      tags: taskTags({ ...input, clusterName: owner.name }, definition),
      enableExecuteCommand: input.enableExecuteCommand ?? false,
      networkConfiguration: network,
      taskIds,
    });
    if (result.tasks.length === 0 && result.tooManyWaiting > 0) throw clientError(TOO_MANY_WAITING);
    if (result.tasks.length > 0 && result.tasks.length < taskIds.length) {
      await rememberAnswer(api, owner.name, input.clientToken, result.tasks);
    }
    return {
      tasks: result.tasks.map((task) => taskView(task, true)),
      failures: [
        ...(strategy.length > 0 && result.unplaced[0]?.length === 0
          ? emptyProviders(api, strategy)
          : placementFailures(result.unplaced)),
        ...(result.tooManyWaiting > 0 ? [{ arn: owner.arn, reason: 'LIMIT', detail: TOO_MANY_WAITING }] : []),
      ],
    };
  },
);

/** Providers without managed scaling, and without an instance. */
function emptyProviders(api: Api, strategy: readonly { readonly capacityProvider: string }[]): Failure[] {
  return strategy.map(({ capacityProvider }) => ({
    arn: api.context.arns.capacityProvider(capacityProvider),
    reason: 'EMPTY CAPACITY PROVIDER',
  }));
}

const startTaskInput = z.object({ ...common, startedBy: startedBy(36), containerInstances: strings.min(1).max(10) });

const startTask = operation(startTaskInput, async (api, input) => {
  const owner = await requireCluster(api, input.cluster);
  refuseLaunch(input);
  const definition = await requireActiveTaskDefinition(api, input.taskDefinition);
  const overrides = input.overrides ?? {};
  checkOverrides(definition, overrides, api.context.deps.agent.abilities);
  const network = checkNetworkConfiguration(definition, input.networkConfiguration);
  const tasks: object[] = [];
  const failures: Failure[] = [];
  for (const asked of input.containerInstances) {
    const id = api.context.arns.shortName('container-instance', asked, owner.name);
    const instance = await api.context.state.instances.get(owner.name, id);
    if (instance === undefined || instance.status === 'INACTIVE') {
      failures.push({
        arn: api.context.arns.instance(owner.name, id),
        reason: instance === undefined ? 'MISSING' : 'INACTIVE',
      });
      continue;
    }
    const result = await api.lifecycle.launch({
      cluster: owner,
      definition,
      overrides,
      group: input.group ?? `family:${definition.family}`,
      startedBy: input.startedBy,
      constraints: [],
      strategies: [],
      only: new Set([id]),
      tags: taskTags({ ...input, clusterName: owner.name }, definition),
      enableExecuteCommand: input.enableExecuteCommand ?? false,
      networkConfiguration: network,
      taskIds: [api.context.deps.ids.hex(16)],
    });
    tasks.push(...result.tasks.map((task) => taskView(task, true)));
    failures.push(...placementFailures(result.unplaced));
  }
  return { tasks, failures };
});

const stopTask = operation(
  z.object({ cluster, task: text.min(1), reason: z.string().max(1024).optional() }),
  async (api, input) => {
    const { name } = await requireCluster(api, input.cluster);
    const id = api.context.arns.shortName('task', input.task, name);
    const stopped = await api.lifecycle.stop(name, id, {
      stopCode: 'UserInitiated',
      reason: input.reason ?? 'Task stopped by user',
    });
    const task = stopped ?? (await api.context.state.stoppedTasks.get(name, id));
    if (task === undefined) throw invalidParameter('The referenced task was not found.');
    return { task: taskView(task, true) };
  },
);

/**
 * The ids of the tasks that a RunTask makes. With a client token they are decided once and kept, so that a retry finds
 * the tasks of the first try, and makes those that are missing if nobody was answered: once some of them have been the
 * answer, `rememberAnswer` leaves only these.
 */
async function idempotentIds(
  api: Api,
  clusterName: string,
  token: string | undefined,
  count: number,
  request: object,
): Promise<readonly string[]> {
  const { state, deps, arns } = api.context;
  const ids = Array.from({ length: count }, () => deps.ids.hex(16));
  if (token === undefined || token === '') return ids;
  const requestHash = hashOf({ ...request, clientToken: undefined });
  const sort = `${clusterName}#${token}`;
  if (await state.idempotency.create('RunTask', sort, { requestHash, ids }, deps.clock.nowMs() + TOKEN_KEPT_MS)) {
    return ids;
  }
  const known = await state.idempotency.get('RunTask', sort);
  if (known === undefined) return ids;
  if (known.requestHash !== requestHash) {
    throw new EcsError(
      'ConflictException',
      'The provided clientToken is already in use with a different RunTask request.',
      {
        resourceIds: known.ids.map((id) => arns.task(clusterName, id)),
      },
    );
  }
  return known.ids;
}

/** What a token has started is its answer from then on ("the result of the original request is returned"). */
async function rememberAnswer(
  api: Api,
  clusterName: string,
  token: string | undefined,
  tasks: readonly TaskState[],
): Promise<void> {
  if (token === undefined || token === '') return;
  const started = new Set(tasks.map(({ id }) => id));
  await api.context.state.idempotency.update('RunTask', `${clusterName}#${token}`, (known) => ({
    ...known,
    ids: known.ids.filter((id) => started.has(id)),
  }));
}

/** A hash of the value that does not depend on the order of members. */
export function hashOf(value: unknown): string {
  return createHash('sha256')
    .update(JSON.stringify(sorted(value)))
    .digest('hex');
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, member]) => [name, sorted(member)]),
  );
}

async function liveInstances(api: Api, clusterName: string): Promise<number> {
  return (await api.context.state.live.of(clusterName)).index.instances.length;
}

/** One failure per rejected instance, as in ECS; `detail` is the explanation. */
export function placementFailures(unplaced: readonly (readonly Rejection[])[]): Failure[] {
  const table = unplaced[0];
  if (table === undefined) return [];
  if (table.length === 0) throw clientError('No Container Instances were found in your cluster.');
  return table.map((rejection) => ({
    arn: rejection.instanceArn,
    reason: rejection.findings[0]?.reason ?? 'AGENT',
    detail: explain(rejection),
  }));
}

export const taskOperations: Readonly<Record<string, Operation>> = {
  RunTask: runTask,
  StartTask: startTask,
  StopTask: stopTask,
};
