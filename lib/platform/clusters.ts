/** Clusters: a name, the number of instances wanted, and what ECS says of it now. */
import { AppError } from '../errors/index.js';
import type { Clock, RecordStore } from '../store/index.js';
import type { ClusterRecord } from './cluster-record.js';
import { defined } from './values/index.js';
import type { Ecs, EcsCluster, EcsInstance } from './ecs/index.js';
import { isEcsError } from './ecs/index.js';
import type { Events } from './events.js';
import { checkName, CLUSTERS, clusterNotFound, keys, lostRace } from './keys.js';
import type { Services } from './services.js';
import type { Capacity } from './ports.js';
import type { Cluster, ClusterSpec, Instance, Page, PageOptions } from './types.js';

export interface ClustersDeps {
  readonly ecs: Ecs;
  readonly records: RecordStore;
  readonly capacity: Capacity;
  readonly clock: Clock;
  readonly events: Events;
  readonly services: Services;
}

const RACES = 5;

export class Clusters {
  constructor(private readonly deps: ClustersDeps) {}

  /**
   * Makes the cluster, or brings the one there is to this shape. It is told of only once its capacity is there: what
   * was refused or failed half way shows no new cluster, and an old one as it was. Asked again, it goes on.
   */
  async put(name: string, spec: ClusterSpec): Promise<{ readonly cluster: Cluster; readonly created: boolean }> {
    checkName('cluster', name);
    const before = await this.deps.records.get<ClusterRecord>(keys.cluster(name));
    refuseWhileDeleting(before?.value);
    const arn = await this.deps.capacity.ensure(name, spec);
    const created = await this.write(name, arn, spec);
    return { cluster: await this.require(name), created };
  }

  async get(name: string): Promise<Cluster | undefined> {
    const record = await this.deps.records.get<ClusterRecord>(keys.cluster(name));
    if (record === undefined) return undefined;
    const [found] = await this.deps.ecs.clusters.describe([name]);
    return clusterView(record.value, found);
  }

  /** Sorted by name. */
  async list(options: PageOptions = {}): Promise<Page<Cluster>> {
    const page = await this.deps.records.query(CLUSTERS, options);
    const names = page.records.map((record) => record.sort);
    const found = new Map(
      (await this.deps.ecs.clusters.describe(names)).map((cluster) => [cluster.clusterName, cluster]),
    );
    const records = await Promise.all(names.map((name) => this.deps.records.get<ClusterRecord>(keys.cluster(name))));
    const items = records.flatMap((record) =>
      record === undefined ? [] : [clusterView(record.value, found.get(record.value.name))],
    );
    return page.cursor === undefined ? { items } : { items, cursor: page.cursor };
  }

  /**
   * Takes the cluster away. With `force` its services and tasks go with it; what is not gone when this returns is
   * finished by the loop.
   * @returns whether it is gone already
   * @throws AppError CLUSTER_NOT_FOUND, CLUSTER_NOT_EMPTY
   */
  async remove(name: string, options: { readonly force?: boolean } = {}): Promise<{ readonly gone: boolean }> {
    if (options.force !== true) await this.refuseUnlessEmpty(name);
    await this.markDeleting(name);
    return { gone: await this.advanceRemoval(name) };
  }

  private async markDeleting(name: string): Promise<void> {
    const key = keys.cluster(name);
    for (let race = 0; race < RACES; race += 1) {
      const record = await this.deps.records.get<ClusterRecord>(key);
      if (record === undefined) throw clusterNotFound(name);
      const result = await this.deps.records.transact([
        { op: 'put', key, value: { ...record.value, status: 'deleting' }, expect: { version: record.version } },
        { op: 'put', key: keys.work('cluster', name), value: { cluster: name } },
      ]);
      if (result.outcome === 'written') return;
    }
    throw lostRace(`cluster ${name}`);
  }

  /** One more step of a removal; true when the cluster is gone. Safe to repeat. */
  async advanceRemoval(name: string): Promise<boolean> {
    const services = await this.deps.records.query(`CLUSTER#${name}`, { prefix: 'SERVICE#', limit: 1000 });
    for (const record of services.records) await this.deps.services.remove(name, record.sort.slice('SERVICE#'.length));
    try {
      for (const task of await this.deps.ecs.tasks.list(name, 'RUNNING')) {
        await this.deps.ecs.tasks.stop(name, task, 'the cluster is being deleted');
      }
      const left = (await this.deps.ecs.clusters.describe([name]))[0];
      const busy = (left?.runningTasksCount ?? 0) + (left?.pendingTasksCount ?? 0) + (left?.activeServicesCount ?? 0);
      if (busy > 0 || (await this.hasServices(name))) return false;
      await this.deps.capacity.remove(name);
    } catch (error) {
      if (isBusy(error)) return false;
      if (!isEcsError(error, 'ClusterNotFoundException')) throw error;
    }
    await this.deps.records.transact([
      { op: 'delete', key: keys.cluster(name) },
      { op: 'delete', key: keys.clusterIndex(name) },
      { op: 'delete', key: keys.work('cluster', name) },
    ]);
    return true;
  }

  /** @throws AppError CLUSTER_NOT_FOUND */
  async instances(name: string): Promise<readonly Instance[]> {
    await this.require(name);
    return (await this.deps.ecs.instances.of(name)).map(instanceView);
  }

  /** No new task goes to the instance; those of services are replaced elsewhere. */
  async drain(name: string, instance: string): Promise<Instance> {
    await this.require(name);
    await this.deps.ecs.instances.drain(name, instance);
    const drained = (await this.deps.ecs.instances.of(name)).map(instanceView).find(({ id }) => id === instance);
    if (drained === undefined) {
      throw new AppError('INSTANCE_NOT_FOUND', `there is no instance ${instance} in cluster ${name}`, {
        kind: 'not-found',
      });
    }
    await this.deps.events.write({
      cluster: name,
      instance,
      type: 'instance-draining',
      message: `instance ${instance} is drained`,
    });
    return drained;
  }

  /** @throws AppError CLUSTER_NOT_FOUND */
  private async require(name: string): Promise<Cluster> {
    const cluster = await this.get(name);
    if (cluster === undefined) throw clusterNotFound(name);
    return cluster;
  }

  private async write(name: string, arn: string, spec: ClusterSpec): Promise<boolean> {
    const key = keys.cluster(name);
    for (let race = 0; race < RACES; race += 1) {
      const existing = await this.deps.records.get<ClusterRecord>(key);
      refuseWhileDeleting(existing?.value);
      const createdMs = existing?.value.createdMs ?? this.deps.clock.nowMs();
      const value: ClusterRecord = {
        name,
        arn,
        instances: spec.instances,
        ...maximumOf(spec),
        status: 'active',
        createdMs,
      };
      const created = existing === undefined;
      const message = `cluster ${name} was made with ${spec.instances} instances`;
      const result = await this.deps.records.transact([
        { op: 'put', key, value, expect: created ? 'absent' : { version: existing.version } },
        { op: 'put', key: keys.clusterIndex(name), value: { name } },
        ...(created ? this.deps.events.writes({ cluster: name, type: 'cluster-created', message }) : []),
      ]);
      if (result.outcome === 'written') return created;
    }
    throw lostRace(`cluster ${name}`);
  }

  private async refuseUnlessEmpty(name: string): Promise<void> {
    const running = (await this.deps.ecs.clusters.describe([name]))[0];
    const tasks = (running?.runningTasksCount ?? 0) + (running?.pendingTasksCount ?? 0);
    const services = await this.hasServices(name);
    if (!services && tasks === 0) return;
    throw new AppError('CLUSTER_NOT_EMPTY', `cluster ${name} still has ${services ? 'services' : `${tasks} tasks`}`, {
      kind: 'conflict',
      hint: 'delete them first, or ask with force=true (wharf cluster rm --force) to delete all of it',
    });
  }

  private async hasServices(name: string): Promise<boolean> {
    return (await this.deps.records.query(`CLUSTER#${name}`, { prefix: 'SERVICE#', limit: 1 })).records.length > 0;
  }
}

function refuseWhileDeleting(record: ClusterRecord | undefined): void {
  if (record?.status !== 'deleting') return;
  throw new AppError('CLUSTER_DELETING', `cluster ${record.name} is being deleted`, {
    kind: 'conflict',
    retryable: true,
  });
}

function maximumOf({ maximum }: { readonly maximum?: number | undefined }): { readonly maximum?: number } {
  return maximum === undefined ? {} : { maximum };
}

function isBusy(error: unknown): boolean {
  if (error instanceof AppError && error.code === 'CLUSTER_BUSY') return true;
  return isEcsError(
    error,
    'ClusterContainsServicesException',
    'ClusterContainsTasksException',
    'ClusterContainsContainerInstancesException',
    'ResourceInUseException',
    'UpdateInProgressException',
  );
}

function clusterView(record: ClusterRecord, found: EcsCluster | undefined): Cluster {
  return {
    name: record.name,
    arn: record.arn,
    status: record.status,
    instances: {
      wanted: record.instances,
      registered: found?.registeredContainerInstancesCount ?? 0,
      ...maximumOf(record),
    },
    services: found?.activeServicesCount ?? 0,
    tasks: { running: found?.runningTasksCount ?? 0, pending: found?.pendingTasksCount ?? 0 },
    createdMs: record.createdMs,
  };
}

function instanceView(instance: EcsInstance): Instance {
  const amounts = (resources: EcsInstance['registeredResources']) => {
    const amount = (name: string) => resources?.find((resource) => resource.name === name)?.integerValue ?? 0;
    return { cpu: amount('CPU'), memory: amount('MEMORY') };
  };
  const arn = instance.containerInstanceArn ?? '';
  return {
    id: arn.slice(arn.lastIndexOf('/') + 1),
    arn,
    status: instance.status ?? 'UNKNOWN',
    connected: instance.agentConnected ?? false,
    tasks: { running: instance.runningTasksCount ?? 0, pending: instance.pendingTasksCount ?? 0 },
    total: amounts(instance.registeredResources),
    remaining: amounts(instance.remainingResources),
    attributes: defined(
      Object.fromEntries(
        (instance.attributes ?? []).flatMap(({ name, value }) => (name === undefined ? [] : [[name, value ?? '']])),
      ),
    ),
  };
}
