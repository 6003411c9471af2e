/**
 * The instances of a cluster laid out for placement: numbers in typed arrays, in the order of ids, so that one pass
 * over them finds the instance that `place` would choose. It changes with every claim and every task, one cell at a
 * time. `place` stays the definition: a property test holds both to the same choice.
 */
import type { PlacementStrategyState } from '../state/model.js';
import { evaluate } from './evaluate.js';
import type { Requirement } from './place.js';
import { parseQuery, type Query } from './query.js';
import { portKeys, type InstanceSnapshot } from './snapshot.js';

/** What is counted of one group. */
interface GroupCounts {
  total: number;
  readonly bySlot: Int32Array;
  /** Per field of a spread: tasks by the code of the instance's value. */
  readonly byField: Map<string, Int32Array>;
}

/** The values of one instance attribute as small numbers. */
interface Field {
  readonly codes: Int32Array;
  readonly size: number;
}

interface Expression {
  readonly query: Query;
  /** Which instances meet it, when that follows from what does not change with tasks. */
  readonly meets: Uint8Array | undefined;
}

const MOST_EXPRESSIONS = 200;
const isOpen = (instance: InstanceSnapshot): boolean => instance.status === 'ACTIVE' && instance.agentConnected;

export class PlacementIndex {
  #instances: InstanceSnapshot[] = [];
  #slots = new Map<string, number>();
  #cpu = new Int32Array();
  /** The CPU units that a task may take: none, not even 0, where nothing may go. */
  #free = new Int32Array();
  #memory = new Int32Array();
  #tasks = new Int32Array();
  #ports: ReadonlySet<string>[] = [];
  readonly #groups = new Map<string, GroupCounts>();
  readonly #fields = new Map<string, Field>();
  readonly #expressions = new Map<string, Expression>();
  /** Candidates of the pass under way. */
  #left = new Int32Array();

  /** @param instances in any order */
  constructor(instances: Iterable<InstanceSnapshot>) {
    this.#layOut([...instances].sort((a, b) => (a.id < b.id ? -1 : 1)));
  }

  get instances(): readonly InstanceSnapshot[] {
    return this.#instances;
  }

  instance(id: string): InstanceSnapshot | undefined {
    const slot = this.#slots.get(id);
    return slot === undefined ? undefined : this.#instances[slot];
  }

  /** Takes the newer view of an instance. One that is new, or has other attributes, costs a new layout. */
  set(instance: InstanceSnapshot): void {
    const slot = this.#slots.get(instance.id);
    const before = slot === undefined ? undefined : this.#instances[slot];
    if (slot === undefined || before === undefined || !sameAttributes(before, instance)) {
      const others = this.#instances.filter(({ id }) => id !== instance.id);
      this.#layOut([...others, instance].sort((a, b) => (a.id < b.id ? -1 : 1)));
      return;
    }
    this.#instances[slot] = instance;
    this.#cpu[slot] = instance.remaining.cpu;
    this.#memory[slot] = instance.remaining.memoryMiB;
    this.#free[slot] = isOpen(instance) ? instance.remaining.cpu : -1;
    this.#tasks[slot] = instance.taskCount;
    if (
      before.remaining.tcpPorts !== instance.remaining.tcpPorts ||
      before.remaining.udpPorts !== instance.remaining.udpPorts
    ) {
      this.#ports[slot] = new Set(portKeys(instance.remaining));
    }
    if (before.groups === instance.groups) return;
    for (const [group, count] of instance.groups) this.#count(group, slot, count - (before.groups.get(group) ?? 0));
    for (const [group, count] of before.groups) if (!instance.groups.has(group)) this.#count(group, slot, -count);
  }

  delete(id: string): void {
    if (this.#slots.has(id)) this.#layOut(this.#instances.filter((instance) => instance.id !== id));
  }

  /**
   * The instance that `place` would choose; undefined when none fits.
   * @param hostPorts as in a Snapshot
   */
  choose(requirement: Requirement, hostPorts: ReadonlySet<string>, random: () => number): InstanceSnapshot | undefined {
    const [first] = requirement.strategies;
    const group = this.#groups.get(requirement.group);
    const measure = first === undefined ? group?.bySlot : this.#measure(first, requirement.group);
    const codes = first?.type === 'spread' ? this.#field(first.field).codes : undefined;
    let count = this.#fitting(requirement, hostPorts, measure, codes);
    if (count === 0) return undefined;
    for (const [index, strategy] of requirement.strategies.entries()) {
      if (strategy.type === 'random') return this.#instances[this.#left[Math.floor(random() * count)] ?? -1];
      if (index === 0) continue;
      const spreads = strategy.type === 'spread' ? this.#field(strategy.field).codes : undefined;
      count = this.#least(count, this.#measure(strategy, requirement.group), spreads);
    }
    if (first !== undefined) count = this.#least(count, group?.bySlot);
    count = this.#least(count, this.#tasks);
    return this.#instances[this.#left[0] ?? -1];
  }

  /** Fills `#left` with the slots that fit and are best by the measure; returns how many. */
  #fitting(
    { needs, constraints, group, only, provider }: Requirement,
    hostPorts: ReadonlySet<string>,
    measure: Int32Array | undefined,
    codes: Int32Array | undefined,
  ): number {
    const ports = portKeys(needs);
    if (ports.some((port) => hostPorts.has(port))) return 0;
    const also = [
      ...(ports.length === 0 ? [] : [(slot: number) => !ports.some((port) => this.#ports[slot]?.has(port) === true)]),
      ...(only === undefined ? [] : [(slot: number) => only.has(this.#instances[slot]?.id ?? '')]),
      ...(provider === undefined ? [] : [(slot: number) => this.#instances[slot]?.capacityProviderName === provider]),
      ...constraints.map((constraint) =>
        constraint.type === 'distinctInstance' ? this.#alone(group) : this.#meets(constraint.expression ?? ''),
      ),
    ];
    const { cpu, memoryMiB } = needs;
    const holds = also.length === 0 ? undefined : (slot: number): boolean => also.every((each) => each(slot));
    if (measure === undefined) return this.#allFitting(cpu, memoryMiB, holds);
    const [free, memory, left] = [this.#free, this.#memory, this.#left];
    const size = free.length;
    let best = Infinity;
    let count = 0;
    for (let slot = 0; slot < size; slot += 1) {
      // Inside the bounds a typed array has a number everywhere.
      if ((free[slot] as number) < cpu || (memory[slot] as number) < memoryMiB) continue;
      const value = measure[codes === undefined ? slot : (codes[slot] as number)] as number;
      if (value > best || (holds !== undefined && !holds(slot))) continue;
      if (value < best) {
        best = value;
        count = 0;
      }
      left[count] = slot;
      count += 1;
    }
    return count;
  }

  #allFitting(cpu: number, memoryMiB: number, holds: ((slot: number) => boolean) | undefined): number {
    const [free, memory, left] = [this.#free, this.#memory, this.#left];
    const size = free.length;
    let count = 0;
    for (let slot = 0; slot < size; slot += 1) {
      if ((free[slot] as number) < cpu || (memory[slot] as number) < memoryMiB) continue;
      if (holds !== undefined && !holds(slot)) continue;
      left[count] = slot;
      count += 1;
    }
    return count;
  }

  #least(count: number, measure: Int32Array | undefined, codes?: Int32Array): number {
    if (measure === undefined || count < 2) return count;
    const left = this.#left;
    let best = Infinity;
    let kept = 0;
    for (let index = 0; index < count; index += 1) {
      const slot = left[index] as number;
      const value = measure[codes === undefined ? slot : (codes[slot] as number)] as number;
      if (value > best) continue;
      if (value < best) {
        best = value;
        kept = 0;
      }
      left[kept] = slot;
      kept += 1;
    }
    return kept;
  }

  /** By slot, or for a spread by the code of the slot's value; undefined where all are alike. */
  #measure({ type, field }: PlacementStrategyState, group: string): Int32Array | undefined {
    if (type === 'random') return undefined;
    if (type === 'binpack') return field?.toLowerCase() === 'cpu' ? this.#cpu : this.#memory;
    const counts = this.#groups.get(group);
    if (counts === undefined) return undefined;
    const name = fieldName(field);
    const known = counts.byField.get(name);
    if (known !== undefined) return known;
    const { codes, size } = this.#field(field);
    const made = new Int32Array(size);
    for (let slot = 0; slot < codes.length; slot += 1) {
      made[codes[slot] ?? 0] = (made[codes[slot] ?? 0] ?? 0) + (counts.bySlot[slot] ?? 0);
    }
    counts.byField.set(name, made);
    return made;
  }

  #field(field: string | undefined): Field {
    const name = fieldName(field);
    const known = this.#fields.get(name);
    if (known !== undefined) return known;
    const values = new Map<string, number>();
    const codes = Int32Array.from(this.#instances, (instance, slot) => {
      const value = name === '' ? String(slot) : (instance.attributes.get(name) ?? '');
      const code = values.get(value) ?? values.size;
      values.set(value, code);
      return code;
    });
    const made = { codes, size: values.size };
    this.#fields.set(name, made);
    return made;
  }

  #alone(group: string): (slot: number) => boolean {
    const counts = this.#groups.get(group)?.bySlot;
    return (slot) => (counts?.[slot] ?? 0) === 0;
  }

  #meets(expression: string): (slot: number) => boolean {
    const { query, meets } = this.#expression(expression);
    if (meets !== undefined) return (slot) => meets[slot] === 1;
    return (slot) => {
      const instance = this.#instances[slot];
      return instance !== undefined && evaluate(query, instance);
    };
  }

  #expression(text: string): Expression {
    const known = this.#expressions.get(text);
    if (known !== undefined) return known;
    const query = parseQuery(text);
    const meets = isLasting(query)
      ? Uint8Array.from(this.#instances, (instance) => (evaluate(query, instance) ? 1 : 0))
      : undefined;
    if (this.#expressions.size >= MOST_EXPRESSIONS) this.#expressions.clear();
    const made = { query, meets };
    this.#expressions.set(text, made);
    return made;
  }

  #count(group: string, slot: number, change: number): void {
    if (change === 0) return;
    let counts = this.#groups.get(group);
    if (counts === undefined) {
      counts = { total: 0, bySlot: new Int32Array(this.#instances.length), byField: new Map() };
      this.#groups.set(group, counts);
    }
    counts.total += change;
    counts.bySlot[slot] = (counts.bySlot[slot] ?? 0) + change;
    for (const [name, byValue] of counts.byField) {
      const code = this.#fields.get(name)?.codes[slot] ?? 0;
      byValue[code] = (byValue[code] ?? 0) + change;
    }
    if (counts.total === 0) this.#groups.delete(group);
  }

  #layOut(instances: InstanceSnapshot[]): void {
    this.#instances = instances;
    this.#slots = new Map(instances.map((instance, slot) => [instance.id, slot]));
    this.#cpu = Int32Array.from(instances, ({ remaining }) => remaining.cpu);
    this.#memory = Int32Array.from(instances, ({ remaining }) => remaining.memoryMiB);
    this.#free = Int32Array.from(instances, (instance) => (isOpen(instance) ? instance.remaining.cpu : -1));
    this.#tasks = Int32Array.from(instances, ({ taskCount }) => taskCount);
    this.#ports = instances.map(({ remaining }) => new Set(portKeys(remaining)));
    this.#left = new Int32Array(instances.length);
    this.#groups.clear();
    this.#fields.clear();
    this.#expressions.clear();
    for (const [slot, { groups }] of instances.entries()) {
      for (const [group, count] of groups) this.#count(group, slot, count);
    }
  }
}

/** The attribute of a spread; empty for the instance itself. */
function fieldName(field: string | undefined): string {
  return field === undefined || field === 'instanceId' || field === 'host' ? '' : field.replace(/^attribute:/, '');
}

function sameAttributes(a: InstanceSnapshot, b: InstanceSnapshot): boolean {
  if (a.attributes === b.attributes) return true;
  return (
    a.attributes.size === b.attributes.size &&
    [...a.attributes].every(([name, value]) => b.attributes.has(name) && b.attributes.get(name) === value)
  );
}

/** Asks for nothing that changes while tasks come and go. */
function isLasting(query: Query): boolean {
  switch (query.kind) {
    case 'or':
    case 'and':
      return query.parts.every(isLasting);
    case 'not':
      return isLasting(query.part);
    case 'exists':
    case 'in':
    case 'matches':
    case 'compare':
    default:
      return query.subject.startsWith('attribute:') || query.subject === 'ec2InstanceId';
  }
}
