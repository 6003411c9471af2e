/**
 * The instances of a cluster in the order of their ids, each with a slot: what placement compares stands in arrays by
 * slot and in orders that follow every change. Slots and attributes never change; for those a new layout is made.
 */
import { AttributeValues } from './attribute-values.js';
import { GroupCounts } from './group-counts.js';
import { KnownExpressions } from './known-expressions.js';
import { SlotOrder } from './slot-order.js';
import { portKeys, type InstanceSnapshot } from './snapshot.js';

export type OrderedBy = 'cpu' | 'memory' | 'tasks';

const isOpen = (instance: InstanceSnapshot): boolean => instance.status === 'ACTIVE' && instance.agentConnected;

export class InstanceLayout {
  readonly instances: InstanceSnapshot[];
  readonly slots: ReadonlyMap<string, number>;
  /** The CPU units that a task may take: none, not even 0, where nothing may go. */
  readonly free: Int32Array;
  readonly memory: Int32Array;
  readonly cpu: Int32Array;
  readonly tasks: Int32Array;
  readonly ports: ReadonlySet<string>[];
  readonly values: AttributeValues;
  readonly expressions: KnownExpressions;
  readonly #groups = new Map<string, GroupCounts>();
  readonly #orders: SlotOrder[] = [];

  constructor(instances: Iterable<InstanceSnapshot>) {
    this.instances = [...instances].sort((a, b) => (a.id < b.id ? -1 : 1));
    this.slots = new Map(this.instances.map((instance, slot) => [instance.id, slot]));
    this.free = Int32Array.from(this.instances, (instance) => (isOpen(instance) ? instance.remaining.cpu : -1));
    this.ports = this.instances.map(({ remaining }) => new Set(portKeys(remaining)));
    this.memory = Int32Array.from(this.instances, ({ remaining }) => remaining.memoryMiB);
    this.cpu = Int32Array.from(this.instances, ({ remaining }) => remaining.cpu);
    this.tasks = Int32Array.from(this.instances, ({ taskCount }) => taskCount);
    this.values = new AttributeValues(this.instances);
    this.expressions = new KnownExpressions(this.instances);
    for (const [slot, { groups }] of this.instances.entries()) {
      for (const [group, count] of groups) this.#count(group, slot, count);
    }
  }

  group(name: string): GroupCounts | undefined {
    return this.#groups.get(name);
  }

  /** Made when a strategy first goes by it: whoever packs by memory keeps no order by CPU. */
  order(by: OrderedBy): SlotOrder {
    const known = this.#orders.find(({ values }) => values === this[by]);
    if (known !== undefined) return known;
    // What is looked at beside the order's own number: the other one that a task needs of an instance.
    const made = new SlotOrder(this[by], this.tasks, by === 'memory' ? this.free : this.memory);
    this.#orders.push(made);
    return made;
  }

  /** Takes the newer view of the slot's instance, whose attributes are the same. */
  set(slot: number, before: InstanceSnapshot, instance: InstanceSnapshot): void {
    const { remaining } = instance;
    this.instances[slot] = instance;
    for (const order of this.#orders) order.takeOut(slot);
    this.free[slot] = isOpen(instance) ? remaining.cpu : -1;
    this.memory[slot] = remaining.memoryMiB;
    this.cpu[slot] = remaining.cpu;
    this.tasks[slot] = instance.taskCount;
    for (const order of this.#orders) order.putBack(slot);
    if (before.remaining.tcpPorts !== remaining.tcpPorts || before.remaining.udpPorts !== remaining.udpPorts) {
      this.ports[slot] = new Set(portKeys(remaining));
    }
    if (before.groups === instance.groups) return;
    let stayed = 0;
    for (const [group, count] of instance.groups) {
      const had = before.groups.get(group);
      if (had !== undefined) stayed += 1;
      this.#count(group, slot, count - (had ?? 0));
    }
    if (stayed === before.groups.size) return;
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
