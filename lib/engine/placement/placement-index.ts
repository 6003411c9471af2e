/**
 * Finds the instance that `place` would choose without looking at all of them: it walks an order that is kept for the
 * strategy, and ends where nothing better can come. `place` stays the definition: a property test holds both to the
 * same choice.
 */
import type { PlacementStrategyState } from '../state/model.js';
import { sameAttributes, spreadAttribute } from './attribute-values.js';
import { Filter } from './filter.js';
import { leastOf } from './group-counts.js';
import { InstanceLayout, type OrderedBy } from './instance-layout.js';
import { kibibytesToPull, LOCALITY, type Pulls } from './locality.js';
import type { Requirement } from './place.js';
import { Ranking } from './ranking.js';
import type { Leaf } from './slot-order.js';
import type { InstanceSnapshot } from './snapshot.js';

interface Walk {
  readonly by: OrderedBy;
  /** What is less never fits, of the order's number and of its second. */
  readonly from: number;
  readonly second: number;
  /** Measures of the ranking that come before the order's. */
  readonly before: number;
}

export class PlacementIndex {
  /** Instances that are not in the layout yet; deleted ones are undefined. */
  readonly #news = new Map<string, InstanceSnapshot | undefined>();
  #made: InstanceLayout;
  readonly #ranking = new Ranking();
  /** KiB to pull by slot, of the decision under way. */
  #pulls = new Int32Array();
  readonly #filter: Filter;

  /** @param instances in any order */
  constructor(instances: Iterable<InstanceSnapshot>) {
    this.#made = new InstanceLayout(instances);
    this.#filter = new Filter(this.#made);
  }

  get instances(): readonly InstanceSnapshot[] {
    return this.#layout().instances;
  }

  instance(id: string): InstanceSnapshot | undefined {
    const { slots, instances } = this.#layout();
    const slot = slots.get(id);
    return slot === undefined ? undefined : instances[slot];
  }

  /** Takes the newer view of an instance. One that is new, or has other attributes, costs the next look a new layout. */
  set(instance: InstanceSnapshot): void {
    const slot = this.#made.slots.get(instance.id);
    const before = slot === undefined ? undefined : this.#made.instances[slot];
    const isKnown = slot !== undefined && before !== undefined && !this.#news.has(instance.id);
    if (isKnown && sameAttributes(before, instance)) this.#made.set(slot, before, instance);
    else this.#news.set(instance.id, instance);
  }

  delete(id: string): void {
    if (this.#made.slots.has(id)) this.#news.set(id, undefined);
    else this.#news.delete(id);
  }

  /**
   * The instance that `place` would choose; undefined when none fits.
   * @param hostPorts as in a Snapshot
   */
  choose(requirement: Requirement, hostPorts: ReadonlySet<string>, random: () => number): InstanceSnapshot | undefined {
    const layout = this.#layout();
    if (!this.#filter.set(layout, requirement, hostPorts)) return undefined;
    const { strategies } = requirement;
    const dice = strategies.findIndex(({ type }) => type === 'random');
    const walk = this.#rank(layout, dice < 0 ? strategies : strategies.slice(0, dice), requirement, dice < 0);
    if (dice >= 0) return this.#drawn(layout, random);
    const candidates = this.#filter.candidates();
    if (candidates !== undefined) for (const slot of candidates) this.#offer(slot);
    else if (walk !== undefined) this.#walk(layout, walk);
    return layout.instances[this.#ranking.best];
  }

  #layout(): InstanceLayout {
    if (this.#news.size === 0) return this.#made;
    const all = new Map(this.#made.instances.map((instance) => [instance.id, instance]));
    for (const [id, instance] of this.#news) {
      if (instance === undefined) all.delete(id);
      else all.set(id, instance);
    }
    this.#news.clear();
    this.#made = new InstanceLayout(all.values());
    return this.#made;
  }

  /** Sets the ranking up. @returns the order to walk: of the first measure that has one */
  #rank(
    layout: InstanceLayout,
    strategies: readonly PlacementStrategyState[],
    { needs, group: name, pulls }: Requirement,
    withTies: boolean,
  ): Walk | undefined {
    const ranking = this.#ranking;
    const group = layout.group(name);
    let walk: Walk | undefined;
    ranking.clear();
    for (const { type, field } of strategies) {
      if (type === LOCALITY) {
        if (pulls !== undefined) this.#rankPulls(layout, pulls);
        continue;
      }
      if (type === 'binpack') {
        const isCpu = field?.toLowerCase() === 'cpu';
        const [from, second] = isCpu ? [needs.cpu, needs.memoryMiB] : [needs.memoryMiB, needs.cpu];
        walk ??= { by: isCpu ? 'cpu' : 'memory', from, second, before: ranking.size };
        ranking.add(isCpu ? layout.cpu : layout.memory, 0);
        continue;
      }
      const attribute = spreadAttribute(field);
      if (attribute === undefined) ranking.add(group?.bySlot, group?.least ?? 0);
      else {
        const counts = group?.byValue(attribute, layout.values);
        ranking.add(counts, counts === undefined ? 0 : leastOf(counts), layout.values.of(attribute).codes);
      }
    }
    if (!withTies) return undefined;
    ranking.add(group?.bySlot, group?.least ?? 0);
    walk ??= { by: 'tasks', from: 0, second: needs.memoryMiB, before: ranking.size };
    ranking.add(layout.tasks, 0);
    return walk;
  }

  /** Most instances hold nothing of a task's images: only those that do are looked at one by one. */
  #rankPulls({ instances, slots }: InstanceLayout, pulls: Pulls): void {
    if (this.#pulls.length < instances.length) this.#pulls = new Int32Array(instances.length);
    let least = kibibytesToPull(pulls, '');
    this.#pulls.fill(least);
    for (const id of pulls.heldBytes.keys()) {
      const slot = slots.get(id);
      if (slot === undefined) continue;
      const missing = kibibytesToPull(pulls, id);
      this.#pulls[slot] = missing;
      least = Math.min(least, missing);
    }
    this.#ranking.add(this.#pulls, least);
  }

  /** Ends where what follows has more, or with a slot that nothing can be better than. */
  #walk(layout: InstanceLayout, { by, from, second, before }: Walk): void {
    const order = layout.order(by);
    const { leaves, values, seconds } = order;
    let bound = Infinity;
    for (let index = order.leafFrom(from); index < leaves.length; index += 1) {
      const leaf = leaves[index] as Leaf;
      if (leaf.most < second) continue;
      let most = 0;
      for (let at = 0; at < leaf.size; at += 1) {
        const slot = leaf.slots[at] as number;
        if ((values[slot] as number) > bound) return;
        const value = seconds[slot] as number;
        if (value > most) most = value;
        // The second is worth a question of its own where most slots lose by it: in all zones but one.
        if (value < second || (before > 0 && !this.#ranking.mayWin(slot)) || !this.#offer(slot)) continue;
        if (!this.#ranking.isAtFloor(0, before)) continue;
        // Where the rest is as good as can be, too, only the tasks are left, and the order goes by them.
        if (this.#ranking.isAtFloor(before + 1, this.#ranking.size - 1)) return;
        bound = values[slot] as number;
      }
      leaf.most = most;
    }
  }

  /** @returns whether it is the best now */
  #offer(slot: number): boolean {
    return this.#filter.accepts(slot) && this.#ranking.offer(slot);
  }

  /** Chance decides among all that are equally good, in the order of their ids. */
  #drawn(layout: InstanceLayout, random: () => number): InstanceSnapshot | undefined {
    const slots = this.#filter.candidates() ?? layout.instances.keys();
    const fitting = [...slots].filter((slot) => this.#filter.accepts(slot));
    for (const slot of fitting) this.#ranking.offer(slot);
    const equal = fitting.filter((slot) => this.#ranking.ties(slot));
    return layout.instances[equal[Math.floor(random() * equal.length)] ?? -1];
  }
}
