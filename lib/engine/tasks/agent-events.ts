/** What one event of the agent makes of a task: pure functions from record to record. */
import type { AgentEvent } from '../agent/types.js';
import type { ContainerState, TaskState, TaskStatus } from '../state/model.js';
import { dropUndefined } from './payload.js';

type Event<K extends AgentEvent['type']> = Extract<AgentEvent, { type: K }>;

/** Undefined when the event tells nothing new, as after a restart. */
export function applyContainerEvent(task: TaskState, event: Event<'container'>): TaskState | undefined {
  const containers = task.containers.map((container) =>
    container.name === event.container ? changedContainer(container, event) : container,
  );
  const next = advanced({ ...task, containers }, event.timeMs);
  return sameValue(next, task) ? undefined : next;
}

function changedContainer(container: ContainerState, event: Event<'container'>): ContainerState {
  return {
    ...container,
    ...dropUndefined({
      lastStatus: event.status,
      runtimeId: event.runtimeId,
      imageDigest: event.imageDigest,
      exitCode: event.exitCode,
      reason: event.reason,
      networkBindings: event.networkBindings,
      address: event.address,
      ownInterface: event.ownInterface,
    }),
  };
}

/** The task's own status follows from its containers'. */
function advanced(task: TaskState, timeMs: number): TaskState {
  if (task.desiredStatus === 'STOPPED') return task;
  const ended = task.containers.some((container) => container.essential && container.lastStatus === 'STOPPED');
  if (ended) {
    return { ...task, desiredStatus: 'STOPPED', lastStatus: onTheWayDown(task), stoppingAtMs: timeMs };
  }
  const up = task.containers.every((container) => container.lastStatus !== 'PENDING');
  if (task.lastStatus !== 'PENDING' || !up) return task;
  if (task.loadBalancers.length > 0) return { ...task, lastStatus: 'ACTIVATING' };
  return { ...task, lastStatus: 'RUNNING', startedAtMs: timeMs };
}

/** The status in which a task's end begins: its targets are drained first, and what never ran just ends. */
export function onTheWayDown(task: TaskState): TaskStatus {
  if (task.targets.length > 0) return 'DEACTIVATING';
  if (task.lastStatus === 'PROVISIONING') return 'DEPROVISIONING';
  return task.lastStatus === 'PENDING' ? 'PENDING' : 'STOPPING';
}

export function applyHealth(task: TaskState, event: Event<'health'>): TaskState | undefined {
  const next = {
    ...task,
    containers: task.containers.map((container) =>
      container.name === event.container ? { ...container, healthStatus: event.health } : container,
    ),
  };
  return sameValue(next, task) ? undefined : next;
}

/** STOPPED. Who asked for the stop first gives code and reason. */
export function finished(task: TaskState, event: Event<'task-stopped'>): TaskState {
  return {
    ...task,
    containers: task.containers.map((container) => ({ ...container, lastStatus: 'STOPPED' })),
    desiredStatus: 'STOPPED',
    lastStatus: 'STOPPED',
    stopCode: task.stopCode ?? event.stopCode,
    stoppedReason: task.stopCode === undefined ? event.reason : (task.stoppedReason ?? event.reason),
    stoppingAtMs: task.stoppingAtMs ?? event.timeMs,
    executionStoppedAtMs: event.timeMs,
    stoppedAtMs: event.timeMs,
  };
}

function sameValue(a: TaskState, b: TaskState): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
