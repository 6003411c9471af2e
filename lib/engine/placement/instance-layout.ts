/**
 * The instances of a cluster in the order of their ids, each with a slot: what placement compares stands in arrays by
 * slot and in orders that follow every change. Slots and attributes never change; for those a new layout is made.
 */
import { AttributeValues } from './attribute-values.js';
import { BucketOrder } from './bucket-order.js';
import { GroupCounts } from './group-counts.js';
import { KnownExpressions } from './known-expressions.js';
import { portKeys, type InstanceSnapshot } from './snapshot.js';

const isOpen = (instance: InstanceSnapshot): boolean => instance.status === 'ACTIVE' && instance.agentConnected;

export class InstanceLayout {
  readonly instances: InstanceSnapshot[];
  readonly slots: ReadonlyMap<string, number>;
  /** The CPU units that a task may take: none, not even 0, where nothing may go. */
  readonly free: Int32Array;
  readonly memory: Int32Array;
  readonly ports: ReadonlySet<string>[];
  readonly byCpu: BucketOrder;
  readonly byMemory: BucketOrder;
  readonly byTasks: BucketOrder;
  readonly values: AttributeValues;
  readonly expressions: KnownExpressions;
  readonly #groups = new Map<string, GroupCounts>();

  constructor(instances: Iterable<InstanceSnapshot>) {
    this.instances = [...instances].sort((a, b) => (a.id < b.id ? -1 : 1));
    this.slots = new Map(this.instances.map((instance, slot) => [instance.id, slot]));
    this.free = Int32Array.from(this.instances, (instance) => (isOpen(instance) ? instance.remaining.cpu : -1));
    this.ports = this.instances.map(({ remaining }) => new Set(portKeys(remaining)));
    this.memory = Int32Array.from(this.instances, ({ remaining }) => remaining.memoryMiB);
    const cpu = Int32Array.from(this.instances, ({ remaining }) => remaining.cpu);
    const tasks = Int32Array.from(this.instances, ({ taskCount }) => taskCount);
    this.byMemory = new BucketOrder(this.memory, this.free);
    this.byCpu = new BucketOrder(cpu, this.memory);
    this.byTasks = new BucketOrder(tasks, this.memory);
    this.values = new AttributeValues(this.instances);
    this.expressions = new KnownExpressions(this.instances);
    for (const [slot, { groups }] of this.instances.entries()) {
      for (const [group, count] of groups) this.#count(group, slot, count);
    }
  }

  group(name: string): GroupCounts | undefined {
    return this.#groups.get(name);
  }

  /** Takes the newer view of the slot's instance, whose attributes are the same. */
  set(slot: number, before: InstanceSnapshot, instance: InstanceSnapshot): void {
    const { remaining } = instance;
    this.instances[slot] = instance;
    this.free[slot] = isOpen(instance) ? remaining.cpu : -1;
    this.byMemory.set(slot, remaining.memoryMiB);
    this.byCpu.set(slot, remaining.cpu);
    this.byTasks.set(slot, instance.taskCount);
    if (before.remaining.tcpPorts !== remaining.tcpPorts || before.remaining.udpPorts !== remaining.udpPorts) {
      this.ports[slot] = new Set(portKeys(remaining));
    }
    if (before.groups === instance.groups) return;
    for (const [group, count] of instance.groups) this.#count(group, slot, count - (before.groups.get(group) ?? 0));
    for (const [group, count] of before.groups) if (!instance.groups.has(group)) this.#count(group, slot, -count);
  }

  #count(name: string, slot: number, change: number): void {
    if (change === 0) return;
    const group = this.#groups.get(name) ?? new GroupCounts(this.instances.length);
    this.#groups.set(name, group);
    group.change(slot, change, this.values);
    if (group.isEmpty) this.#groups.delete(name);
  }
}
