/**
 * The two steps of a task behind a load balancer: ACTIVATING, into the target groups, before it is RUNNING; and
 * DEACTIVATING, out of them and empty of requests, before it is STOPPING.
 */
import type { Context } from '../context.js';
import { tellOfService } from '../services/news.js';
import type { TaskState } from '../state/model.js';
import { deregisterTargets, registerTargets, targetsOf } from './targets.js';
import { changeTask } from './task-changes.js';

const isComing = (task: TaskState): boolean => task.lastStatus === 'ACTIVATING' && task.desiredStatus === 'RUNNING';

/** @returns the task that is RUNNING, no task when it is to stop by now, or why it cannot be reached */
export async function activate(
  context: Context,
  task: TaskState,
): Promise<{ readonly task: TaskState | undefined } | { readonly problem: string }> {
  const { deps } = context;
  const targets = targetsOf(task);
  if (targets.length < task.loadBalancers.length) {
    return { problem: 'a container port of its load balancers is not published.' };
  }
  // Written first, so that a restart knows what may have to be taken out again.
  const written = (now: TaskState): TaskState | undefined => (isComing(now) ? { ...now, targets } : undefined);
  const stored = await changeTask(context, task.clusterName, task.id, written, true);
  if (stored === undefined || !isComing(stored.after)) return { task: undefined };
  try {
    await registerTargets(context, stored.after);
    // Before it is RUNNING: who sees that sees the sentences too. A start that was cut off may tell them again.
    await tellOfTargets(context, stored.after);
  } catch (error) {
    deps.logger.error('targets could not be registered', { taskId: task.id, error: String(error) });
    return { problem: error instanceof Error ? error.message : String(error) };
  }
  const result = await changeTask(context, task.clusterName, task.id, (now) =>
    isComing(now) ? { ...now, lastStatus: 'RUNNING', startedAtMs: deps.clock.nowMs() } : undefined,
  );
  if (result?.after.lastStatus !== 'RUNNING') await deregisterTargets(context, targets);
  return { task: result?.after };
}

async function tellOfTargets(context: Context, task: TaskState): Promise<void> {
  const { clusterName, serviceName: name, targets } = task;
  if (name === undefined) return;
  for (const { targetGroupArn } of targets) {
    await tellOfService(context, { clusterName, name }, `registered 1 targets in (target-group ${targetGroupArn})`);
  }
}

/** @returns the task that is STOPPING; undefined when it went on meanwhile */
export async function drain(context: Context, task: TaskState): Promise<TaskState | undefined> {
  await deregisterTargets(context, task.targets);
  const result = await changeTask(context, task.clusterName, task.id, (now) =>
    now.lastStatus === 'DEACTIVATING' ? { ...now, lastStatus: 'STOPPING' } : undefined,
  );
  return result?.after;
}
