/**
 * A task's way through its states: what the agent reports and what clients and the service scheduler ask for become
 * changes of the record. The record is written before anything is done about it, and everything done is done again
 * after a restart, so a kill at any moment only delays.
 */
import type { AgentEvent } from '../agent/types.js';
import type { Context } from '../context.js';
import type { StopCode, TaskDefinitionState, TaskState } from '../state/model.js';
import { activate, drain } from './activation.js';
import { deregisterTargets, registerTargets } from './targets.js';
import { applyContainerEvent, applyHealth, finished, onTheWayDown } from './agent-events.js';
import { seenPlace } from './find-place.js';
import { launchTasks, type LaunchRequest, type LaunchResult } from './launch.js';
import { placedOn, requirementOf } from './new-task.js';
import { taskPayload } from './payload.js';
import { withPulls } from './pulls.js';
import { changeTask, claimPlace, finishTask, hasPlace, type Accompany } from './task-changes.js';

export interface StopRequest {
  readonly stopCode: Extract<StopCode, 'UserInitiated' | 'ServiceSchedulerInitiated' | 'TerminationNotice'>;
  readonly reason: string;
}

export type TaskListener = (task: TaskState) => void;

export class TaskLifecycle {
  /** Cluster of every unfinished task of this process; a cache, filled again by `resume`. */
  readonly #clusterOf = new Map<string, string>();
  readonly #listeners = new Set<TaskListener>();
  readonly #background = new Set<Promise<void>>();
  #stopListening: (() => void) | undefined;

  constructor(
    private readonly context: Context,
    /** What the end of a task means for its service, written with it. */
    private readonly accompanyEnd: Accompany,
  ) {}

  /** Called after every change of a task, in the order of the changes of one task. */
  onChange(listener: TaskListener): void {
    this.#listeners.add(listener);
  }

  /** Hands every unfinished task to the agent again, and takes up what was cut off. */
  async resume(): Promise<void> {
    const { state, deps } = this.context;
    this.#stopListening = deps.agent.onEvent((event) => {
      this.#inBackground(this.#handle(event));
    });
    const clusters = await state.clusters.all('');
    const tasks = (await Promise.all(clusters.map((cluster) => state.tasks.all(cluster.name)))).flat();
    for (const task of tasks) this.#clusterOf.set(task.id, task.clusterName);
    for (const task of tasks) await this.#resumeTask(task);
    await deps.agent.sweep(new Set(tasks.map((task) => task.id)));
  }

  async close(): Promise<void> {
    this.#stopListening?.();
    await this.settled();
  }

  /** Resolves when everything that was reported so far is in the records. */
  async settled(): Promise<void> {
    while (this.#background.size > 0) await Promise.all(this.#background);
  }

  /** Places and starts tasks, see `launchTasks`. */
  launch(request: LaunchRequest): Promise<LaunchResult> {
    return launchTasks(this.context, request, (task) => this.#start(task, request.definition));
  }

  /**
   * Gives a task that waits for capacity its place, if there is one now.
   * @returns false when it waits on
   */
  async place(waiting: TaskState): Promise<boolean> {
    const { state } = this.context;
    const definition = await state.taskDefinition(waiting.family, waiting.revision);
    if (definition === undefined) return false;
    const requirement = await withPulls(this.context, waiting.clusterName, requirementOf(waiting), definition);
    const instance = await seenPlace(this.context, waiting.clusterName, requirement);
    if (instance === undefined) return false;
    // With the mutex of its changes: a stop that comes now finds it started.
    return this.context.mutex.run(`task:${waiting.id}`, async () => {
      const stored = await state.tasks.stored(waiting.clusterName, waiting.id);
      if (stored?.value.lastStatus !== 'PROVISIONING' || stored.value.desiredStatus !== 'RUNNING') return false;
      const now = stored.value;
      const connectedAtMs = this.context.deps.clock.nowMs();
      const placed = { ...placedOn(now, instance), version: now.version + 1, connectedAtMs };
      if (!(await claimPlace(this.context, placed, instance.version, stored.version))) return false;
      this.#start(placed, definition);
      return true;
    });
  }

  #start(task: TaskState, definition: TaskDefinitionState): void {
    // Known before the agent is told, so that no event of it is lost.
    this.#clusterOf.set(task.id, task.clusterName);
    if (hasPlace(task)) this.context.deps.agent.run(taskPayload(task, definition.definition));
    this.#tell(task);
  }

  /** Asks a task to end: targets are drained before the first signal. Idempotent. */
  async stop(cluster: string, id: string, request: StopRequest): Promise<TaskState | undefined> {
    const { clock } = this.context.deps;
    const change = await changeTask(this.context, cluster, id, (task) => {
      if (task.desiredStatus === 'STOPPED') return undefined;
      return {
        ...task,
        desiredStatus: 'STOPPED',
        lastStatus: onTheWayDown(task),
        stoppingAtMs: clock.nowMs(),
        stopCode: request.stopCode,
        stoppedReason: request.reason,
      };
    });
    if (change === undefined) return undefined;
    if (hasPlace(change.after)) this.#stopOnAgent(change.after);
    this.#tell(change.after);
    if (!hasPlace(change.after)) await this.#endUnplaced(change.after);
    return change.after;
  }

  /** The end of a task that no agent knows. */
  async #endUnplaced(task: TaskState): Promise<void> {
    const timeMs = this.context.deps.clock.nowMs();
    const { stopCode } = task;
    const event = {
      type: 'task-stopped',
      taskId: task.id,
      timeMs,
      stopCode: stopCode === 'ServiceSchedulerInitiated' ? stopCode : 'UserInitiated',
      reason: task.stoppedReason ?? '',
    } as const;
    await this.#apply(task.clusterName, event);
  }

  /** Ends every task without touching what services want, and waits until they have ended. */
  async stopAll(reason: string): Promise<void> {
    const ended = new Promise<void>((resolve) => {
      const check = (): void => {
        if (this.#clusterOf.size === 0) resolve();
      };
      this.onChange(check);
      check();
    });
    for (const [id, cluster] of this.#clusterOf) {
      await this.stop(cluster, id, { stopCode: 'UserInitiated', reason });
    }
    await ended;
  }

  async #resumeTask(task: TaskState): Promise<void> {
    const { state, deps } = this.context;
    const definition = await state.taskDefinition(task.family, task.revision);
    if (definition === undefined) {
      deps.logger.error('a task has lost its definition', { taskId: task.id, family: task.family });
      return;
    }
    if (!hasPlace(task)) {
      if (task.desiredStatus === 'STOPPED') await this.#endUnplaced(task);
      return;
    }
    deps.agent.run(taskPayload(task, definition.definition));
    if (task.desiredStatus === 'STOPPED') this.#stopOnAgent(task);
    else if (task.lastStatus === 'ACTIVATING') void this.#onTheSide(this.#activate(task));
    // The load balancer may have started afresh as well.
    else if (task.targets.length > 0) void this.#onTheSide(registerTargets(this.context, task));
  }

  async #handle(event: AgentEvent): Promise<void> {
    const cluster = this.#clusterOf.get(event.taskId);
    if (cluster === undefined) {
      this.context.deps.logger.warn('the agent reports on a task that is not known', { taskId: event.taskId });
      return;
    }
    await this.context.mutex.run(`agent-events:${event.taskId}`, () => this.#apply(cluster, event));
  }

  async #apply(cluster: string, event: AgentEvent): Promise<void> {
    switch (event.type) {
      case 'pull-started':
        return this.#change(cluster, event, (task) => ({ ...task, pullStartedAtMs: event.timeMs }), true);
      case 'pull-stopped':
        return this.#change(cluster, event, (task) => ({ ...task, pullStoppedAtMs: event.timeMs }), true);
      case 'health':
        return this.#change(cluster, event, (task) => applyHealth(task, event), true);
      case 'container':
        return this.#change(cluster, event, (task) => applyContainerEvent(task, event), false);
      case 'task-stopped': {
        const change = (before: TaskState): TaskState => finished(before, event);
        const task = await finishTask(this.context, cluster, event.taskId, change, this.accompanyEnd);
        this.#clusterOf.delete(event.taskId);
        if (task === undefined) return;
        // Its containers are gone: nothing to wait for.
        void this.#onTheSide(deregisterTargets(this.context, task.targets));
        this.#tell(task);
      }
    }
  }

  async #change(
    cluster: string,
    event: AgentEvent,
    change: (task: TaskState) => TaskState | undefined,
    quiet: boolean,
  ): Promise<void> {
    const result = await changeTask(this.context, cluster, event.taskId, change, quiet);
    if (result === undefined) return;
    const { before, after } = result;
    if (after.lastStatus === 'ACTIVATING' && before.lastStatus !== 'ACTIVATING')
      void this.#onTheSide(this.#activate(after));
    if (after.lastStatus === 'DEACTIVATING' && before.lastStatus !== 'DEACTIVATING') {
      void this.#onTheSide(this.#drain(after));
    }
    this.#tell(after);
  }

  /** ACTIVATING: into the target groups, then RUNNING. */
  async #activate(task: TaskState): Promise<void> {
    const outcome = await activate(this.context, task);
    if ('problem' in outcome) {
      const reason = `Task failed to register its targets: ${outcome.problem}`;
      await this.stop(task.clusterName, task.id, { stopCode: 'ServiceSchedulerInitiated', reason });
    } else if (outcome.task !== undefined) this.#tell(outcome.task);
  }

  #stopOnAgent(task: TaskState): void {
    const stopCode = task.stopCode === 'ServiceSchedulerInitiated' ? 'ServiceSchedulerInitiated' : 'UserInitiated';
    this.context.deps.agent.stop(
      task.id,
      { stopCode, reason: task.stoppedReason ?? '' },
      task.targets.length > 0 ? () => this.#drain(task) : undefined,
    );
  }

  /** DEACTIVATING: out of the target groups, requests under way ended, then STOPPING. */
  async #drain(task: TaskState): Promise<void> {
    const drained = await drain(this.context, task);
    if (drained !== undefined) this.#tell(drained);
  }

  #tell(task: TaskState): void {
    for (const listener of this.#listeners) listener(task);
  }

  /** Work that a stop of the engine waits for. */
  #inBackground(work: Promise<void>): void {
    const guarded = this.#onTheSide(work);
    this.#background.add(guarded);
    void guarded.finally(() => this.#background.delete(guarded));
  }

  /** Work that waits for others, such as requests under way at a load balancer; a stop of the engine cuts it off. */
  #onTheSide(work: Promise<void>): Promise<void> {
    return work.catch((error: unknown) => {
      this.context.deps.logger.error('a task could not be brought forward', { error: String(error) });
    });
  }
}
