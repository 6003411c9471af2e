/**
 * Where everything the engine knows is kept: its partitions of the record store, all under the prefix `ECS#`. Nothing
 * else in the engine spells a key.
 *
 * | record | partition / sort |
 * | --- | --- |
 * | cluster | `ECS#CLUSTERS` / name |
 * | container instance | `ECS#C#<cluster>#INSTANCES` / id |
 * | unfinished task, stopped task (expires after an hour) | `ECS#C#<cluster>#TASKS`, `…#STOPPED` / id |
 * | service, its events, its deployments | `ECS#C#<cluster>#SERVICES` / name, `ECS#S#<cluster>/<name>#EVENTS`, `…#DEPLOYMENTS` / ULID |
 * | task definition | `ECS#FAMILIES` / family, `ECS#F#<family>` / revision, six digits |
 * | why tasks found no place | `ECS#C#<cluster>#UNPLACED` / `service#<name>`, `waiting#<provider>#<group>`, `attempt#<ULID>` (expires after an hour) |
 * | host port in use on this machine | `ECS#HOSTPORTS` / `tcp#8080` |
 * | account setting, capacity provider, idempotency key | `ECS#SETTINGS`, `ECS#PROVIDERS`, `ECS#IDEM#<operation>` |
 */
import type { RecordStore } from '../../store/index.js';
import type {
  CapacityProviderState,
  IdempotencyState,
  ServiceDeploymentState,
  SettingState,
  Unplaced,
} from './side-model.js';
import type { ClusterState, InstanceState, TaskDefinitionState, TaskState } from './model.js';
import type { ServiceEventState, ServiceState } from './service-model.js';
import { type Holding, LiveClusters } from './live-clusters.js';
import { Table } from './table.js';
import { watchedRecords } from './watched-records.js';

export class EngineState {
  readonly records: RecordStore;
  readonly live: LiveClusters;
  readonly clusters: Table<ClusterState>;
  readonly instances: Table<InstanceState>;
  readonly tasks: Table<TaskState>;
  readonly stoppedTasks: Table<TaskState>;
  readonly services: Table<ServiceState>;
  readonly unplaced: Table<Unplaced>;
  readonly serviceEvents: Table<ServiceEventState>;
  readonly serviceDeployments: Table<ServiceDeploymentState>;
  readonly families: Table<{ readonly family: string; readonly latestRevision: number }>;
  readonly taskDefinitions: Table<TaskDefinitionState>;
  readonly hostPorts: Table<{ readonly taskId: string }>;
  readonly settings: Table<SettingState>;
  readonly providers: Table<CapacityProviderState>;
  readonly idempotency: Table<IdempotencyState>;

  constructor(store: RecordStore, holding: Holding) {
    this.live = new LiveClusters(store, holding);
    const records = watchedRecords(store, this.live.written);
    this.records = records;
    this.clusters = new Table(records, () => 'ECS#CLUSTERS');
    this.instances = new Table(records, (cluster) => `ECS#C#${cluster}#INSTANCES`);
    this.tasks = new Table(records, (cluster) => `ECS#C#${cluster}#TASKS`);
    this.stoppedTasks = new Table(records, (cluster) => `ECS#C#${cluster}#STOPPED`);
    this.services = new Table(records, (cluster) => `ECS#C#${cluster}#SERVICES`);
    this.unplaced = new Table(records, (cluster) => `ECS#C#${cluster}#UNPLACED`);
    this.serviceEvents = new Table(records, (service) => `ECS#S#${service}#EVENTS`);
    this.serviceDeployments = new Table(records, (service) => `ECS#S#${service}#DEPLOYMENTS`);
    this.families = new Table(records, () => 'ECS#FAMILIES');
    this.taskDefinitions = new Table(records, (family) => `ECS#F#${family}`);
    this.hostPorts = new Table(records, () => 'ECS#HOSTPORTS');
    this.settings = new Table(records, () => 'ECS#SETTINGS');
    this.providers = new Table(records, () => 'ECS#PROVIDERS');
    this.idempotency = new Table(records, (operation) => `ECS#IDEM#${operation}`);
  }

  /** An unfinished task, or one that stopped less than an hour ago. */
  async task(cluster: string, id: string): Promise<TaskState | undefined> {
    return (await this.tasks.get(cluster, id)) ?? (await this.stoppedTasks.get(cluster, id));
  }

  /** `family` (newest active revision) or `family:revision`; undefined when there is none. */
  async taskDefinition(family: string, revision?: number): Promise<TaskDefinitionState | undefined> {
    if (revision !== undefined) return this.taskDefinitions.get(family, revisionKey(revision));
    const all = await this.taskDefinitions.all(family);
    return all.findLast((definition) => definition.status === 'ACTIVE');
  }
}

/** Sorts as the number does. */
export function revisionKey(revision: number): string {
  return String(revision).padStart(6, '0');
}

/** The scope of a service's own partitions. */
export function serviceScope(cluster: string, service: string): string {
  return `${cluster}/${service}`;
}
