/**
 * Keeps the records true to what ECS does. Events are applied when they come; a sweep heals what events lost; a loop
 * goes on with unfinished business (open deployments, deletions) from wherever it stands, also after a crash.
 */
import type { Clock, Logger, Metrics, RecordStore, StoredRecord } from '../store/index.js';
import type { ClusterRecord } from './cluster-record.js';
import type { Clusters } from './clusters.js';
import type { Deployments } from './deployments.js';
import type { Ecs } from './ecs/index.js';
import type { Events } from './events.js';
import { CLUSTERS, keys, TASK_SHARDS, taskPartition, WORK } from './keys.js';
import type { Services } from './services.js';
import type { Tasks } from './tasks.js';
import { clusterOfArn, lastPart, projectTask, type TaskProjection } from './task-view.js';
import type { EcsEvent } from './types.js';

export interface ReconcilerDeps {
  readonly ecs: Ecs;
  readonly records: RecordStore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly events: Events;
  readonly tasks: Tasks;
  readonly services: Services;
  readonly deployments: Deployments;
  readonly clusters: Clusters;
}

interface WorkItem {
  readonly cluster: string;
  readonly service?: string;
}

/** An event seen twice within this time is told once. */
const REMEMBERED_MS = 24 * 3600 * 1000;

export class Reconciler {
  constructor(private readonly deps: ReconcilerDeps) {}

  /** Takes one ECS event. At-least-once and any order are fine. */
  async apply(event: EcsEvent): Promise<void> {
    const cluster = clusterOfEvent(event);
    if (cluster === undefined || !(await this.isOurs(cluster))) return;
    switch (event['detail-type']) {
      case 'ECS Task State Change': {
        const task = await this.deps.tasks.apply(projectTask(event.detail, cluster));
        this.tellLag(event);
        if (task.service !== undefined) await this.deps.deployments.settle(cluster, task.service);
        return;
      }
      case 'ECS Deployment State Change':
      case 'ECS Service Action': {
        const service = lastPart(event.resources[0] ?? '');
        await this.tellAction(event, cluster, service);
        await this.deps.deployments.settle(cluster, service);
        return;
      }
      case 'ECS Container Instance State Change':
        await this.tellInstance(event, cluster);
        return;
      default:
        this.deps.logger.debug('an ECS event of an unknown kind was ignored', { kind: event['detail-type'] });
    }
  }

  /** Reads every task of every cluster from ECS, running and stopped, and corrects what differs. */
  async sweep(): Promise<void> {
    for await (const cluster of this.pages<object>(CLUSTERS)) {
      await this.guarded('sweep', { cluster: cluster.sort }, () => this.sweepCluster(cluster.sort));
    }
  }

  /** One round over unfinished business. */
  async tick(): Promise<void> {
    let unfinished = 0;
    for await (const { sort, value } of this.pages<WorkItem>(WORK)) {
      unfinished += 1;
      await this.guarded('work', { ...value }, () => this.work(sort, value));
    }
    this.deps.metrics.count('UnfinishedWork', unfinished);
  }

  /** Tells the front what it routes: called once after a start. */
  async restoreRoutes(): Promise<void> {
    for await (const cluster of this.pages<object>(CLUSTERS)) {
      for await (const { value } of this.pages<{ readonly name: string }>(`CLUSTER#${cluster.sort}`, 'SERVICE#')) {
        await this.deps.services.restoreRoute(cluster.sort, value.name);
      }
    }
  }

  private async work(sort: string, item: WorkItem): Promise<void> {
    const { cluster, service = '' } = item;
    if (sort.startsWith('cluster#')) await this.deps.clusters.advanceRemoval(cluster);
    else if (sort.startsWith('service#')) await this.deps.services.advanceRemoval(cluster, service);
    else {
      const meta = await this.deps.services.get(cluster, service);
      const open = meta?.deployment;
      if (open?.status === 'pending') await this.deps.deployments.advance(cluster, service, open.id);
      else if (open?.status === 'in-progress') await this.deps.deployments.settle(cluster, service);
      else await this.deps.records.delete({ partition: WORK, sort });
    }
  }

  private async sweepCluster(cluster: string): Promise<void> {
    const { ecs, tasks, metrics } = this.deps;
    const arns = [...(await ecs.tasks.list(cluster, 'RUNNING')), ...(await ecs.tasks.list(cluster, 'STOPPED'))];
    const found = await ecs.tasks.describe(cluster, arns);
    let drift = 0;
    const heal = async (task: TaskProjection): Promise<void> => {
      if ((await tasks.take(task)).isNew) drift += 1;
    };
    for (const task of found) await heal(projectTask(task, cluster));
    const known = new Set(found.map(({ taskArn }) => taskArn));
    for (let shard = 0; shard < TASK_SHARDS; shard += 1) {
      for await (const { value } of this.pages<TaskProjection>(taskPartition(cluster, shard), 'TASK#')) {
        if (value.status === 'STOPPED' || known.has(value.arn)) continue;
        // A task that was started after the list was read is not in it, but ECS can describe it.
        const [there] = await ecs.tasks.describe(cluster, [value.arn]);
        await heal(there === undefined ? tasks.forgotten(value) : projectTask(there, cluster));
      }
    }
    metrics.count('Drift', drift, { cluster });
  }

  private tellLag({ time }: EcsEvent): void {
    const happenedMs = Date.parse(time);
    const lag = this.deps.clock.nowMs() - happenedMs;
    if (Number.isFinite(lag)) this.deps.metrics.timing('ReconcileLag', Math.max(0, lag));
  }

  private async tellAction(event: EcsEvent, cluster: string, service: string): Promise<void> {
    const name = text(event.detail['eventName']) ?? '';
    const kind = event.detail['eventType'];
    if (kind !== 'ERROR' && kind !== 'WARN') return;
    const reason = event.detail['reason'];
    const message = `${name.toLowerCase().replaceAll('_', ' ')}${typeof reason === 'string' ? `: ${reason}` : ''}`;
    await this.once(event, { cluster, service, type: name.toLowerCase().replaceAll('_', '-'), message });
  }

  private async tellInstance(event: EcsEvent, cluster: string): Promise<void> {
    const { status, agentConnected } = event.detail;
    if (status === 'ACTIVE' && agentConnected === true) return;
    const instance = lastPart(text(event.detail['containerInstanceArn']) ?? event.resources[0] ?? '');
    const connection = agentConnected === true ? '' : ', its agent is not connected';
    const message = `instance ${instance.slice(0, 12)} is ${String(status)}${connection}`;
    await this.once(event, { cluster, instance, type: 'instance-state', message });
  }

  private async once(event: EcsEvent, told: Parameters<Events['writes']>[0]): Promise<void> {
    await this.deps.records.transact([
      {
        op: 'put',
        key: keys.ecsEvent(event.id),
        value: {},
        expect: 'absent',
        expiresAtMs: this.deps.clock.nowMs() + REMEMBERED_MS,
      },
      ...this.deps.events.writes(told),
    ]);
  }

  private async isOurs(cluster: string): Promise<boolean> {
    return (await this.deps.records.get<ClusterRecord>(keys.cluster(cluster))) !== undefined;
  }

  private async *pages<T extends object>(partition: string, prefix = ''): AsyncIterable<StoredRecord<T>> {
    let after: string | undefined;
    for (;;) {
      const page = await this.deps.records.query<T>(partition, { prefix, ...(after === undefined ? {} : { after }) });
      yield* page.records;
      after = page.records.at(-1)?.sort;
      if (page.cursor === undefined || after === undefined) return;
    }
  }

  /** One thing that fails must not keep the others from their turn. */
  private async guarded(what: string, fields: Record<string, unknown>, run: () => Promise<unknown>): Promise<void> {
    try {
      await run();
    } catch (error) {
      this.deps.logger.warn(`reconciler: ${what} failed, it is tried again`, { ...fields, error });
    }
  }
}

function clusterOfEvent(event: EcsEvent): string | undefined {
  return clusterOfArn(text(event.detail['clusterArn']) ?? event.resources[0] ?? '');
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
