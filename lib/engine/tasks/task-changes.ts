/**
 * The only ways in which a task's record changes: born with a claim on its instance, changed with `version` + 1 and an
 * event, and moved to the stopped tasks while its claim is given back. Each is one transaction.
 */
import type { RecordWrite } from '../../store/index.js';
import { taskView } from '../api/task-view.js';
import type { Context } from '../context.js';
import { withIsoTimes } from '../events.js';
import { emitInstanceEvent } from '../instance-events.js';
import { adjusted, portKeys } from '../placement/snapshot.js';
import type { InstanceState, TaskState } from '../state/model.js';
import { transactUntilWon } from '../state/table.js';

/** A task that has its place. */
export type PlacedTask = TaskState & { readonly instanceId: string };

export function hasPlace(task: TaskState): task is PlacedTask {
  return task.instanceId !== undefined;
}

/**
 * @param seen the version of the instance that placement saw
 * @param waiting the version of the record of a task that has waited for this place; a new task when absent
 * @returns false when the instance changed since, a port was taken, or the task is not as expected: look again and retry
 */
export async function claimPlace(context: Context, task: PlacedTask, seen: number, waiting?: number): Promise<boolean> {
  const { state } = context;
  const stored = await state.instances.stored(task.clusterName, task.instanceId);
  if (stored?.value.status !== 'ACTIVE' || stored.value.version !== seen || !fits(stored.value, task)) return false;
  const instance = claimed(stored.value, task, -1);
  const outcome = await state.records.transact([
    {
      op: 'put',
      key: state.instances.key(task.clusterName, task.instanceId),
      value: instance,
      expect: { version: stored.version },
    },
    {
      op: 'put',
      key: state.tasks.key(task.clusterName, task.id),
      value: task,
      expect: waiting === undefined ? 'absent' : { version: waiting },
    },
    { op: 'check', key: state.stoppedTasks.key(task.clusterName, task.id), expect: 'absent' },
    ...hostPortKeys(context, task).map((key): RecordWrite => ({
      op: 'put',
      key,
      value: { taskId: task.id },
      expect: 'absent',
    })),
  ]);
  if (outcome.outcome === 'lost') return false;
  emitTaskEvent(context, task);
  emitInstanceEvent(context, instance);
  return true;
}

/** A task that waits for capacity. @returns false when there is one of its id already */
export async function createWaitingTask(context: Context, task: TaskState): Promise<boolean> {
  const { state } = context;
  const outcome = await state.records.transact([
    { op: 'put', key: state.tasks.key(task.clusterName, task.id), value: task, expect: 'absent' },
    { op: 'check', key: state.stoppedTasks.key(task.clusterName, task.id), expect: 'absent' },
  ]);
  if (outcome.outcome === 'written') emitTaskEvent(context, task);
  return outcome.outcome === 'written';
}

/**
 * Changes an unfinished task; one change of a task at a time, events in that order. A change that returns undefined
 * writes nothing.
 * @param quiet for members that clients do not follow: the version stays and no event is sent
 * @returns the task before and after; undefined when there is no such unfinished task
 */
export function changeTask(
  context: Context,
  cluster: string,
  id: string,
  change: (task: TaskState) => TaskState | undefined,
  quiet = false,
): Promise<{ readonly before: TaskState; readonly after: TaskState } | undefined> {
  return context.mutex.run(`task:${id}`, async () => {
    let before: TaskState | undefined;
    let changed = false;
    const after = await context.state.tasks.update(cluster, id, (task) => {
      before = task;
      const next = change(task);
      changed = next !== undefined;
      return next && (quiet ? next : { ...next, version: task.version + 1 });
    });
    if (after === undefined || before === undefined) return undefined;
    if (changed && !quiet) emitTaskEvent(context, after);
    return { before, after };
  });
}

/** What else has to be written when a task ends, and what to do once it is. */
export type Accompany = (
  task: TaskState,
) => Promise<{ readonly writes: readonly RecordWrite[]; readonly written: () => void }>;

/** The end of a task: to the stopped ones, its claim given back. Undefined when it is there already. */
export function finishTask(
  context: Context,
  cluster: string,
  id: string,
  change: (task: TaskState) => TaskState,
  accompany: Accompany,
): Promise<TaskState | undefined> {
  const { state, options, deps } = context;
  return context.mutex.run(`task:${id}`, async () => {
    const result = await transactUntilWon(state.records, async () => {
      const stored = await state.tasks.stored(cluster, id);
      if (stored === undefined) return undefined;
      const task: TaskState = { ...change(stored.value), version: stored.value.version + 1 };
      const { instanceId } = task;
      const instance = instanceId === undefined ? undefined : await state.instances.stored(cluster, instanceId);
      const after = instance && claimed(instance.value, task, 1);
      const writes: RecordWrite[] = [
        { op: 'delete', key: state.tasks.key(cluster, id), expect: { version: stored.version } },
        {
          op: 'put',
          key: state.stoppedTasks.key(cluster, id),
          value: task,
          expiresAtMs: deps.clock.nowMs() + options.stoppedTaskTtlMs,
        },
        ...hostPortKeys(context, task).map((key): RecordWrite => ({ op: 'delete', key })),
      ];
      if (instance !== undefined && after !== undefined) {
        writes.push({
          op: 'put',
          key: state.instances.key(cluster, instance.value.id),
          value: after,
          expect: { version: instance.version },
          ...(instance.expiresAtMs === undefined ? {} : { expiresAtMs: instance.expiresAtMs }),
        });
      }
      const more = await accompany(task);
      return { writes: [...writes, ...more.writes], result: { task, instance: after, written: more.written } };
    });
    if (result === undefined) return undefined;
    emitTaskEvent(context, result.task);
    if (result.instance !== undefined) emitInstanceEvent(context, result.instance);
    result.written();
    return result.task;
  });
}

function fits(instance: InstanceState, task: TaskState): boolean {
  const taken = new Set(portKeys(instance.remaining));
  const { gpus = 0, gpuIds = [] } = task.reserved;
  return (
    instance.remaining.cpu >= task.reserved.cpu &&
    instance.remaining.memoryMiB >= task.reserved.memoryMiB &&
    gpuIds.length === gpus &&
    gpuIds.every((id) => instance.remaining.gpuIds?.includes(id) === true) &&
    !portKeys(task.reserved).some((key) => taken.has(key))
  );
}

function claimed(instance: InstanceState, task: TaskState, sign: 1 | -1): InstanceState {
  return {
    ...instance,
    version: instance.version + 1,
    remaining: adjusted(instance.remaining, task.reserved, sign),
  };
}

function hostPortKeys(context: Context, task: TaskState): { partition: string; sort: string }[] {
  // A task without a place holds none.
  if (context.options.hostPortScope === 'instance' || task.instanceId === undefined) return [];
  return portKeys(task.reserved).map((key) => context.state.hostPorts.key('', key));
}

/** ECS names no health in its events. */
/** What events of ECS do not tell: health, and tags, of which an empty list would say that there are none. */
const UNTOLD = new Set(['healthStatus', 'tags']);

function told(value: object): object {
  return Object.fromEntries(Object.entries(value).filter(([name]) => !UNTOLD.has(name)));
}

export function emitTaskEvent(context: Context, task: TaskState): void {
  const detail = withIsoTimes(told(taskView(task)));
  context.events.emit('ECS Task State Change', [task.arn], {
    ...detail,
    attachments: (detail['attachments'] as readonly object[]).map((each) => ({ ...each, type: 'eni' })),
    containers: (detail['containers'] as readonly object[]).map(told),
    updatedAt: new Date(context.deps.clock.nowMs()).toISOString(),
  });
}
