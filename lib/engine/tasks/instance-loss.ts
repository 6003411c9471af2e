/**
 * An instance that dies without a word, as when its machine is terminated: it is INACTIVE at once, its tasks stop with
 * the code and the sentence ECS has for that, and services replace them elsewhere. The loss stands in the instance's
 * record first, so that a restart finishes what a crash cut off.
 */
import type { Context } from '../context.js';
import { emitInstanceEvent } from '../instance-events.js';
import type { InstanceState } from '../state/model.js';
import type { StopRequest, TaskLifecycle } from './lifecycle.js';

const INACTIVE_KEPT_MS = 3_600_000;

/** @returns false when there is no such instance that lives */
export async function loseInstance(
  context: Context,
  lifecycle: TaskLifecycle,
  cluster: string,
  id: string,
): Promise<boolean> {
  const { state, deps } = context;
  let lost: InstanceState | undefined;
  await state.instances.update(
    cluster,
    id,
    (now) => {
      lost = undefined;
      if (now.status === 'INACTIVE') return undefined;
      const statusReason = `Host EC2 (instance ${now.ec2InstanceId}) terminated.`;
      return (lost = { ...now, status: 'INACTIVE', statusReason, version: now.version + 1 });
    },
    deps.clock.nowMs() + INACTIVE_KEPT_MS,
  );
  if (lost === undefined) return false;
  emitInstanceEvent(context, lost);
  await stopTasksOf(context, lifecycle, lost);
  return true;
}

/** Ends what is on an instance that is gone. */
export async function stopTasksOf(context: Context, lifecycle: TaskLifecycle, gone: InstanceState): Promise<void> {
  const live = await context.state.live.of(gone.clusterName);
  for (const task of live.tasksOfInstance(gone.id)) {
    await lifecycle.stop(gone.clusterName, task.id, reasonOf(gone));
  }
}

function reasonOf(gone: InstanceState): StopRequest {
  if (gone.statusReason !== undefined) return { stopCode: 'TerminationNotice', reason: gone.statusReason };
  return { stopCode: 'UserInitiated', reason: 'Container instance deregistered forcibly by user' };
}

/** After a start: tasks that were left on instances that are gone. */
export async function finishLosses(context: Context, lifecycle: TaskLifecycle): Promise<void> {
  for (const { name } of await context.state.clusters.all('')) {
    const live = await context.state.live.of(name);
    for (const instance of live.instances.values()) {
      if (instance.status === 'INACTIVE') await stopTasksOf(context, lifecycle, instance);
    }
  }
}
