/**
 * Tasks: one-off runs, and the projections of all tasks. A projection follows ECS's events and sweeps; it is written
 * only over an older version, so events may come twice, late, or out of order.
 */
import { AppError } from '../errors/index.js';
import type { ExecSession } from '../runtime/index.js';
import type { Clock, Ids, RecordStore } from '../store/index.js';
import type { Ecs, NewTask } from './ecs/index.js';
import type { Events, NewEvent } from './events.js';
import { checkImage, exposedPorts, type ImageCheckDeps, type ImageCheckOptions } from './image-check.js';
import { clusterNotFound, keys, TASK_SHARDS, taskPartition } from './keys.js';
import type { TaskDefinitions } from './task-definition.js';
import type { TaskPlacement } from './task-placement.js';
import { describeStop, projectTask, type TaskProjection } from './task-view.js';
import type { ExecRequest, TaskExec, TaskLogLine, TaskLogs } from './ports.js';
import type { Page, PageOptions, Task, TaskRun, TaskSpec } from './types.js';
import { defined } from './values/index.js';

export interface TasksDeps extends ImageCheckDeps {
  readonly ecs: Ecs;
  readonly records: RecordStore;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly events: Events;
  readonly taskDefinitions: TaskDefinitions;
  readonly logs: TaskLogs;
  readonly exec?: TaskExec;
}

export interface TasksOptions extends ImageCheckOptions {
  readonly placement: (cluster: string) => TaskPlacement;
  /** How long the projection of a stopped task is kept; 30 days when absent. */
  readonly keepStoppedMs?: number;
}

export interface TaskFilter extends PageOptions {
  readonly service?: string;
  readonly status?: 'running' | 'stopped' | 'all';
}

const KEEP_STOPPED_MS = 30 * 24 * 3600 * 1000;
const RACES = 10;

export class Tasks {
  constructor(
    private readonly deps: TasksDeps,
    private readonly options: TasksOptions,
  ) {}

  /**
   * Runs a task outside any service.
   * @param intent the same at every repetition: then a task that an earlier try started is the one. At most 64 characters
   * @throws AppError CLUSTER_NOT_FOUND, TASK_PLACEMENT_FAILED, and what the image check throws
   */
  async run(cluster: string, spec: TaskSpec, intent?: string): Promise<Task> {
    const task = await this.deps.ecs.tasks.run(await this.newTask(cluster, spec, intent));
    return this.apply(projectTask(task, cluster));
  }

  /**
   * Runs so many equal tasks; some may find a place and others none.
   * @throws AppError as `run` does; TASK_PLACEMENT_FAILED only when none found a place
   */
  async runMany(cluster: string, spec: TaskSpec, count: number, intent?: string): Promise<TaskRun> {
    const started = await this.deps.ecs.tasks.runMany(await this.newTask(cluster, spec, intent), count);
    const tasks: Task[] = [];
    for (const task of started.tasks) tasks.push(await this.apply(projectTask(task, cluster)));
    return {
      tasks,
      notStarted: count - tasks.length,
      failures: started.failures.map(({ reason = 'no reason given', detail, arn }) => defined({ reason, detail, arn })),
    };
  }

  async get(cluster: string, id: string): Promise<Task | undefined> {
    return (await this.deps.records.get<TaskProjection>(keys.task(cluster, id)))?.value;
  }

  /** In no order of time: shard by shard, so that a cursor stays true while tasks come and go. */
  async list(cluster: string, filter: TaskFilter = {}): Promise<Page<Task>> {
    if ((await this.deps.records.get(keys.cluster(cluster))) === undefined) throw clusterNotFound(cluster);
    const limit = filter.limit ?? 100;
    const items: Task[] = [];
    let place: { shard: number; after?: string } = parseCursor(filter.cursor);
    while (place.shard < TASK_SHARDS) {
      const page = await this.deps.records.query<TaskProjection>(taskPartition(cluster, place.shard), {
        prefix: 'TASK#',
        limit: 100,
        ...(place.after === undefined ? {} : { after: place.after }),
      });
      for (const record of page.records) {
        place = { shard: place.shard, after: record.sort };
        if (!wanted(record.value, filter)) continue;
        items.push(record.value);
        if (items.length === limit) return { items, cursor: formatCursor(place) };
      }
      if (page.cursor === undefined) place = { shard: place.shard + 1 };
    }
    return { items };
  }

  /** @throws AppError TASK_NOT_FOUND */
  async stop(cluster: string, id: string, reason = 'stopped by request'): Promise<Task> {
    const known = await this.require(cluster, id);
    if (known.status === 'STOPPED') return known;
    const stopped = await this.deps.ecs.tasks.stop(cluster, known.arn, reason);
    return stopped === undefined ? known : this.apply(projectTask(stopped, cluster));
  }

  /** @throws AppError TASK_NOT_FOUND, or CONTAINER_NOT_FOUND */
  async logs(
    cluster: string,
    id: string,
    options: {
      readonly container?: string;
      readonly follow?: boolean;
      readonly sinceMs?: number;
      readonly signal?: AbortSignal;
    } = {},
  ): Promise<AsyncIterable<TaskLogLine>> {
    const task = await this.require(cluster, id);
    const { container, ...rest } = options;
    requireContainer(task, container);
    const lines = this.deps.logs.open(task.arn, container, rest);
    if (lines !== undefined) return lines;
    throw new AppError('TASK_LOGS_ABSENT', `there are no logs of task ${id}`, {
      kind: 'not-found',
      hint: 'logs are there once a container was started, and go when the engine forgets the task',
    });
  }

  /** @throws AppError TASK_NOT_FOUND, CONTAINER_NOT_FOUND, TASK_NOT_RUNNING, EXEC_UNSUPPORTED */
  async exec(cluster: string, id: string, request: ExecRequest): Promise<ExecSession> {
    const task = await this.require(cluster, id);
    requireContainer(task, request.container);
    if (task.status === 'STOPPED') {
      throw new AppError('TASK_NOT_RUNNING', `task ${id} has stopped`, { kind: 'conflict' });
    }
    if (this.deps.exec !== undefined) return this.deps.exec.open(task.arn, request);
    throw new AppError('EXEC_UNSUPPORTED', 'commands in running containers go by Amazon ECS itself here', {
      kind: 'unsupported',
      hint: 'aws ecs execute-command --interactive --command <command> --cluster <cluster> --task <task>',
    });
  }

  /** Takes a newer view of a task; an older or equal one changes nothing. Returns what holds now. */
  async apply(task: TaskProjection): Promise<TaskProjection> {
    return (await this.take(task)).task;
  }

  /** The same, and whether it told something new. */
  async take(task: TaskProjection): Promise<{ readonly task: TaskProjection; readonly isNew: boolean }> {
    const key = keys.task(task.cluster, task.id);
    for (let race = 0; race < RACES; race += 1) {
      const existing = await this.deps.records.get<TaskProjection>(key);
      if (existing !== undefined && existing.value.ecsVersion >= task.ecsVersion) {
        return { task: existing.value, isNew: false };
      }
      const release = existing?.value.release ?? (await this.releaseOf(task));
      const value: TaskProjection = release === undefined ? task : { ...task, release };
      const expiresAtMs = value.status === 'STOPPED' ? this.expiry(value) : undefined;
      const told = transition(existing?.value, value);
      const result = await this.deps.records.transact([
        {
          op: 'put',
          key,
          value,
          expect: existing === undefined ? 'absent' : { version: existing.version },
          ...(expiresAtMs === undefined ? {} : { expiresAtMs }),
        },
        ...(told === undefined ? [] : this.deps.events.writes(told)),
      ]);
      if (result.outcome === 'written') return { task: value, isNew: true };
    }
    // Whoever won wrote a newer version, or the next sweep will.
    return { task: (await this.deps.records.get<TaskProjection>(key))?.value ?? task, isNew: false };
  }

  /** What a task is that ECS has forgotten: it has stopped. */
  forgotten(task: TaskProjection): TaskProjection {
    return {
      ...task,
      status: 'STOPPED',
      desiredStatus: 'STOPPED',
      stoppedMs: this.deps.clock.nowMs(),
      stoppedReason: 'ECS no longer knows the task',
      ecsVersion: task.ecsVersion + 1,
    };
  }

  private async newTask(cluster: string, spec: TaskSpec, intent: string | undefined): Promise<NewTask> {
    if ((await this.deps.records.get(keys.cluster(cluster))) === undefined) throw clusterNotFound(cluster);
    const image = await checkImage(this.deps, this.options, spec.image);
    const taskDefinition = await this.deps.taskDefinitions.ensure({
      family: `${cluster}--run`,
      name: 'main',
      image,
      spec,
      ports: spec.ports ?? exposedPorts(image.config),
    });
    const clientToken = intent ?? this.deps.ids.ulid();
    return { cluster, taskDefinition, ...this.options.placement(cluster), clientToken };
  }

  private async require(cluster: string, id: string): Promise<Task> {
    const task = await this.get(cluster, id);
    if (task !== undefined) return task;
    throw new AppError('TASK_NOT_FOUND', `there is no task ${id} in cluster ${cluster}`, { kind: 'not-found' });
  }

  private expiry(task: Task): number {
    return (task.stoppedMs ?? this.deps.clock.nowMs()) + (this.options.keepStoppedMs ?? KEEP_STOPPED_MS);
  }

  /** The newest release of the task's service that was deployed with its task definition. */
  private async releaseOf(task: TaskProjection): Promise<number | undefined> {
    if (task.service === undefined) return undefined;
    const { partition } = keys.service(task.cluster, task.service);
    const page = await this.deps.records.query<{
      readonly release: number;
      readonly taskDefinitionArn?: string;
      readonly ecsDeploymentId?: string;
    }>(partition, { prefix: 'D#', reverse: true, limit: 50 });
    const deployments = page.records.map((record) => record.value);
    const same = deployments.filter((deployment) => deployment.taskDefinitionArn === task.taskDefinitionArn);
    // ECS names a deployment only when it answers, and the first task may be heard of before.
    const started = deployments.find(
      (deployment) =>
        deployment.ecsDeploymentId === task.startedBy ||
        (deployment.ecsDeploymentId === undefined && same.includes(deployment)),
    );
    return (task.startedBy === undefined ? same[0] : (started ?? same[0]))?.release;
  }
}

/** @throws AppError CONTAINER_NOT_FOUND */
function requireContainer(task: Task, container: string | undefined): void {
  if (container === undefined || task.containers.some(({ name }) => name === container)) return;
  throw new AppError('CONTAINER_NOT_FOUND', `task ${task.id} has no container ${container}`, {
    kind: 'not-found',
    hint: `its containers: ${task.containers.map(({ name }) => name).join(', ')}`,
  });
}

function wanted(task: Task, filter: TaskFilter): boolean {
  if (filter.service !== undefined && task.service !== filter.service) return false;
  const status = filter.status ?? 'running';
  return status === 'all' || (status === 'stopped') === (task.status === 'STOPPED');
}

function transition(before: TaskProjection | undefined, after: TaskProjection): NewEvent | undefined {
  if (before?.status === after.status) return undefined;
  const subject = {
    cluster: after.cluster,
    task: after.id,
    ...(after.service === undefined ? {} : { service: after.service }),
    ...(after.instance === undefined ? {} : { instance: after.instance }),
  };
  if (after.status === 'RUNNING') {
    return { ...subject, type: 'task-running', message: `task ${after.id.slice(0, 12)} runs` };
  }
  if (after.status === 'STOPPED') {
    return {
      ...subject,
      type: 'task-stopped',
      message: `task ${after.id.slice(0, 12)} stopped: ${describeStop(after)}`,
    };
  }
  return undefined;
}

function parseCursor(cursor: string | undefined): { shard: number; after?: string } {
  if (cursor === undefined) return { shard: 0 };
  const [shard, after] = Buffer.from(cursor, 'base64url').toString().split('|');
  const number = Number(shard);
  if (!Number.isInteger(number) || number < 0 || number >= TASK_SHARDS || after === undefined) {
    throw new AppError('CURSOR_INVALID', `cursor ${JSON.stringify(cursor.slice(0, 80))} is not one of ours`, {
      hint: 'the cursor of an earlier page, unchanged',
    });
  }
  return { shard: number, after };
}

function formatCursor(place: { readonly shard: number; readonly after?: string }): string {
  return Buffer.from(`${place.shard}|${place.after ?? ''}`).toString('base64url');
}
