/**
 * Instances and unfinished tasks of each cluster in memory, beside the records and never instead of them: they spare
 * placement and the scheduler reading a whole cluster each time. Every claim is still a conditional write against the
 * instance as it was seen, and what finds no place is looked at again in the records.
 */
import { instanceSnapshot, portKeys } from '../placement/snapshot.js';
import { PlacementIndex } from '../placement/placement-index.js';
import type { Clock, RecordKey, RecordStore } from '../../store/index.js';
import { HeldImages } from './held-images.js';
import type { InstanceState, TaskState } from './model.js';
import { Table } from './table.js';

const PARTITION = /^ECS#C#([^#]+)#(INSTANCES|TASKS)$/;
const NONE: ReadonlyMap<string, TaskState> = new Map();

type Change =
  | { readonly kind: 'instance'; readonly id: string; readonly value: InstanceState | undefined }
  | { readonly kind: 'task'; readonly id: string; readonly value: TaskState | undefined };

/** How long after its last task an instance counts as holding an image. */
export interface Holding {
  readonly clock: Clock;
  readonly keptMs: number;
}

export class LiveCluster {
  /** For `wharf:locality`. */
  readonly held = new HeldImages();
  readonly instances = new Map<string, InstanceState>();
  readonly index: PlacementIndex;
  readonly #tasks = new Map<string, TaskState>();
  readonly #byService = new Map<string, Map<string, TaskState>>();
  readonly #byInstance = new Map<string, Map<string, TaskState>>();
  readonly #waiting = new Map<string, TaskState>();
  /** Tasks that hold a host port, by port; on one machine they are all different. */
  readonly hostPorts = new Map<string, string>();

  constructor(
    instances: readonly InstanceState[],
    tasks: readonly TaskState[],
    private readonly holding: Holding,
  ) {
    for (const instance of instances) this.instances.set(instance.id, instance);
    for (const task of tasks) {
      this.#file(task);
      this.held.follow(undefined, task, 0);
    }
    const live = instances.filter(({ status }) => status !== 'INACTIVE');
    this.index = new PlacementIndex(live.map((instance) => this.#snapshot(instance)));
  }

  /** Unfinished ones, in the order of their ids. */
  tasksOfService(service: string): readonly TaskState[] {
    return byId(this.#byService.get(service));
  }

  tasksOfInstance(instance: string): readonly TaskState[] {
    return byId(this.#byInstance.get(instance));
  }

  /** Those that wait for an instance, the oldest first. */
  waitingTasks(): readonly TaskState[] {
    return [...this.#waiting.values()].sort((a, b) => a.createdAtMs - b.createdAtMs || (a.id < b.id ? -1 : 1));
  }

  get waitingCount(): number {
    return this.#waiting.size;
  }

  apply(change: Change): void {
    if (change.kind === 'instance') {
      const before = this.instances.get(change.id);
      // Writes of one instance may be told of out of order; its version only grows.
      if (before !== undefined && change.value !== undefined && change.value.version < before.version) return;
      if (change.value === undefined) this.instances.delete(change.id);
      else this.instances.set(change.id, change.value);
      this.#index(change.id);
      return;
    }
    const before = this.#tasks.get(change.id);
    if (before !== undefined) this.#forget(before);
    if (change.value !== undefined) this.#file(change.value);
    this.held.follow(before, change.value, this.holding.clock.nowMs() + this.holding.keptMs);
    const counts = (task: TaskState | undefined): string => `${String(task?.desiredStatus)}${String(task?.lastStatus)}`;
    const instanceId = change.value?.instanceId ?? before?.instanceId;
    if (instanceId !== undefined && counts(before) !== counts(change.value)) this.#index(instanceId);
  }

  #index(id: string): void {
    const instance = this.instances.get(id);
    if (instance === undefined || instance.status === 'INACTIVE') this.index.delete(id);
    else this.index.set(this.#snapshot(instance));
  }

  #snapshot(instance: InstanceState): ReturnType<typeof instanceSnapshot> {
    return instanceSnapshot(instance, [...(this.#byInstance.get(instance.id) ?? NONE).values()]);
  }

  #file(task: TaskState): void {
    this.#tasks.set(task.id, task);
    if (task.serviceName !== undefined) put(this.#byService, task.serviceName, task);
    if (task.instanceId === undefined) {
      this.#waiting.set(task.id, task);
      return;
    }
    put(this.#byInstance, task.instanceId, task);
    for (const port of portKeys(task.reserved)) this.hostPorts.set(port, task.id);
  }

  #forget(task: TaskState): void {
    this.#tasks.delete(task.id);
    if (task.serviceName !== undefined) drop(this.#byService, task.serviceName, task);
    this.#waiting.delete(task.id);
    if (task.instanceId === undefined) return;
    drop(this.#byInstance, task.instanceId, task);
    for (const port of portKeys(task.reserved)) if (this.hostPorts.get(port) === task.id) this.hostPorts.delete(port);
  }
}

export class LiveClusters {
  readonly #clusters = new Map<string, LiveCluster>();
  readonly #loading = new Map<string, { readonly made: Promise<LiveCluster>; readonly missed: Change[] }>();
  readonly #instances: Table<InstanceState>;
  readonly #tasks: Table<TaskState>;

  /** @param records not the watched ones; they are only read */
  constructor(
    records: RecordStore,
    private readonly holding: Holding,
  ) {
    this.#instances = new Table(records, (cluster) => `ECS#C#${cluster}#INSTANCES`);
    this.#tasks = new Table(records, (cluster) => `ECS#C#${cluster}#TASKS`);
  }

  /** Read from the records the first time. */
  async of(cluster: string): Promise<LiveCluster> {
    const known = this.#clusters.get(cluster);
    if (known !== undefined) return known;
    const loading = this.#loading.get(cluster);
    if (loading !== undefined) return loading.made;
    const missed: Change[] = [];
    const made = this.#load(cluster, missed);
    this.#loading.set(cluster, { made, missed });
    return made;
  }

  /** What is in memory does not fit the records: read them again. */
  forget(cluster: string): void {
    this.#clusters.delete(cluster);
  }

  /** Told of every write of the engine. */
  readonly written = ({ partition, sort }: RecordKey, value: object | undefined): void => {
    const [, cluster = '', kind] = PARTITION.exec(partition) ?? [];
    if (kind === undefined) return;
    const change =
      kind === 'TASKS'
        ? ({ kind: 'task', id: sort, value: value as TaskState | undefined } as const)
        : ({ kind: 'instance', id: sort, value: value as InstanceState | undefined } as const);
    this.#loading.get(cluster)?.missed.push(change);
    this.#clusters.get(cluster)?.apply(change);
  };

  async #load(cluster: string, missed: readonly Change[]): Promise<LiveCluster> {
    try {
      const [instances, tasks] = await Promise.all([this.#instances.all(cluster), this.#tasks.all(cluster)]);
      const made = new LiveCluster(instances, tasks, this.holding);
      for (const change of missed) made.apply(change);
      this.#clusters.set(cluster, made);
      return made;
    } finally {
      this.#loading.delete(cluster);
    }
  }
}

function put(map: Map<string, Map<string, TaskState>>, key: string, task: TaskState): void {
  const tasks = map.get(key) ?? new Map<string, TaskState>();
  tasks.set(task.id, task);
  map.set(key, tasks);
}

function drop(map: Map<string, Map<string, TaskState>>, key: string, task: TaskState): void {
  const tasks = map.get(key);
  tasks?.delete(task.id);
  if (tasks?.size === 0) map.delete(key);
}

function byId(tasks: ReadonlyMap<string, TaskState> = NONE): readonly TaskState[] {
  return [...tasks.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}
