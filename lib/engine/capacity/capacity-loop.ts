/**
 * Keeps the capacity of every cluster: tasks that wait get their place as soon as there is one, and the group of each
 * capacity provider grows and shrinks by managed scaling. One round for each cluster at a time; it reads, places, scales
 * and says why what still waits does. All it remembers between rounds is since when a group has been too large.
 */
import type { Context } from '../context.js';
import { hostPortsFor, whyNoPlace } from '../tasks/find-place.js';
import type { TaskLifecycle } from '../tasks/lifecycle.js';
import { requirementOf } from '../tasks/new-task.js';
import { noteProvisioning } from '../placement/unplaced.js';
import { portKeys } from '../placement/snapshot.js';
import type { ClusterState, TaskState } from '../state/model.js';
import { WakeList } from '../wake-list.js';
import { groupOf } from './group.js';
import { settingsOf } from './provider.js';
import { desiredInstances, isSurplus, reservation, type WaitingTask } from './scaling.js';
import { GroupInstances } from './group-instances.js';

export class CapacityLoop {
  readonly #wakes: WakeList;
  readonly #instances: GroupInstances;
  /** Since when a provider of a cluster, `cluster/provider`, has had too many instances. */
  readonly #surplusSince = new Map<string, number>();
  /** Providers that are on their way to the size they should have. */
  readonly #scaling = new Set<string>();

  constructor(
    private readonly context: Context,
    private readonly lifecycle: TaskLifecycle,
    /** Told when instances have come or gone. */
    changed: (cluster: string) => Promise<void>,
  ) {
    this.#wakes = new WakeList(context.deps, (cluster) => this.#round(cluster));
    this.#instances = new GroupInstances(context, lifecycle, changed);
    lifecycle.onChange((task) => {
      if (task.lastStatus === 'STOPPED' || task.lastStatus === 'PROVISIONING') this.wake(task.clusterName);
    });
  }

  async start(): Promise<void> {
    for (const { name } of await this.context.state.clusters.all('')) this.wake(name);
  }

  wake(cluster: string): void {
    this.#wakes.wake(cluster);
  }

  close(): Promise<void> {
    return this.#wakes.close();
  }

  /** @returns when to look again, if at a known time */
  async #round(name: string): Promise<number | undefined> {
    const { state } = this.context;
    const cluster = await state.clusters.get('', name);
    if (cluster === undefined) return undefined;
    const live = await state.live.of(name);
    const isGrouped = [...live.instances.values()].some(
      (instance) => instance.capacityProviderName !== undefined && instance.status !== 'INACTIVE',
    );
    if (cluster.capacityProviders.length === 0 && live.waitingCount === 0 && !isGrouped) return undefined;
    await this.#placeWaiting(name);
    const times: number[] = [];
    for (const provider of cluster.status === 'ACTIVE' ? cluster.capacityProviders : []) {
      const next = await this.#scale(cluster, provider);
      if (next !== undefined) times.push(next);
    }
    await this.#instances.giveUpStrays(cluster);
    await this.#explain(cluster);
    return times.length === 0 ? undefined : Math.min(...times);
  }

  /** The oldest first; a task that is like one that found nothing is not looked at again. */
  async #placeWaiting(cluster: string): Promise<void> {
    const live = await this.context.state.live.of(cluster);
    if (live.waitingCount === 0) return;
    await this.context.mutex.run('placement', async () => {
      const hopeless = new Set<string>();
      for (const task of live.waitingTasks()) {
        if (task.desiredStatus !== 'RUNNING') continue;
        const kind = JSON.stringify(requirementOf(task));
        if (hopeless.has(kind)) continue;
        if (!(await this.lifecycle.place(task))) hopeless.add(kind);
      }
    });
  }

  async #scale(cluster: ClusterState, name: string): Promise<number | undefined> {
    const { state, deps, options } = this.context;
    const provider = await state.providers.get('', name);
    if (provider === undefined) return undefined;
    const key = `${cluster.name}/${name}`;
    const [group, settings] = [groupOf(provider.tags, options), settingsOf(provider)];
    const { active, all } = await this.#instances.of(cluster.name, name);
    const now = reservation(group, active, await this.#waiting(cluster.name, name));
    const nowMs = deps.clock.nowMs();
    const sinceMs = isSurplus(group, settings, now) ? (this.#surplusSince.get(key) ?? nowMs) : undefined;
    if (sinceMs === undefined) this.#surplusSince.delete(key);
    else this.#surplusSince.set(key, sinceMs);
    const lasting = sinceMs !== undefined && nowMs - sinceMs >= options.scaleInAfterMs;
    // Those that clients drain are still the group's.
    const room = group.maximum - (all - active.length);
    const wanted = Math.min(desiredInstances(group, settings, now, lasting), Math.max(0, room));
    const isProtected = settings.managedTerminationProtection === 'ENABLED';
    if (wanted > active.length) await this.#instances.add(cluster.name, name, group, wanted - active.length);
    else if (wanted < active.length) {
      await this.#instances.giveUp(cluster.name, active, active.length - wanted, {
        isProtected,
        drains: settings.managedDraining === 'ENABLED',
      });
    }
    await this.#instances.endLeaving(cluster.name, name);
    this.#tellSteady(cluster, key, provider.arn, wanted === active.length);
    return sinceMs === undefined || lasting ? undefined : sinceMs + options.scaleInAfterMs;
  }

  /** What asks this provider for more instances: not what waits for a port of the machine, which none would bring. */
  async #waiting(cluster: string, provider: string): Promise<WaitingTask[]> {
    const live = await this.context.state.live.of(cluster);
    const own = live.waitingTasks().filter((task) => task.capacityProviderName === provider);
    const counted: WaitingTask[] = [];
    for (const task of own) {
      const requirement = requirementOf(task);
      const taken = await hostPortsFor(this.context, requirement);
      if (task.desiredStatus !== 'RUNNING' || portKeys(task.reserved).some((port) => taken.has(port))) continue;
      const isAlone = requirement.constraints.some(({ type }) => type === 'distinctInstance');
      counted.push({ needs: task.reserved, isAlone });
    }
    return counted;
  }

  #tellSteady(cluster: ClusterState, key: string, providerArn: string, isAsWanted: boolean): void {
    if (!isAsWanted) {
      this.#scaling.add(key);
      return;
    }
    if (!this.#scaling.delete(key)) return;
    this.context.events.emit('ECS Service Action', [cluster.arn], {
      eventType: 'INFO',
      eventName: 'CAPACITY_PROVIDER_STEADY_STATE',
      clusterArn: cluster.arn,
      capacityProviderArns: [providerArn],
      createdAt: new Date(this.context.deps.clock.nowMs()).toISOString(),
    });
  }

  /** One table for each provider and group of tasks. */
  async #explain(cluster: ClusterState): Promise<void> {
    const live = await this.context.state.live.of(cluster.name);
    const kinds = new Map<string, { readonly task: TaskState; readonly count: number }>();
    for (const task of live.waitingTasks()) {
      if (task.desiredStatus !== 'RUNNING') continue;
      const key = `${task.capacityProviderName ?? ''}#${task.group}`;
      kinds.set(key, { task: kinds.get(key)?.task ?? task, count: (kinds.get(key)?.count ?? 0) + 1 });
    }
    const waiting = [];
    for (const { task, count } of kinds.values()) {
      const reasons = await whyNoPlace(this.context, cluster.name, requirementOf(task));
      if (reasons === undefined) continue;
      const capacityProvider = task.capacityProviderName ?? '';
      waiting.push({
        ...reasons.explanation,
        smallestFix: await this.#fix(task, capacityProvider, reasons.explanation.smallestFix),
        cluster: cluster.name,
        ...(task.serviceName === undefined ? {} : { service: task.serviceName }),
        capacityProvider,
        group: task.group,
        taskDefinitionArn: task.taskDefinitionArn,
        tasks: count,
        atMs: this.context.deps.clock.nowMs(),
      });
    }
    await noteProvisioning(this.context, cluster.name, waiting);
  }

  /** What would help beside freeing room: a larger group, or larger instances in it. */
  async #fix(task: TaskState, name: string, otherwise: string): Promise<string> {
    const provider = await this.context.state.providers.get('', name);
    if (provider === undefined) return otherwise;
    const group = groupOf(provider.tags, this.context.options);
    if (task.reserved.cpu > group.cpu || task.reserved.memoryMiB > group.memoryMiB) {
      const size = `${String(group.cpu)} CPU units and ${String(group.memoryMiB)} MiB`;
      return `Ask for less, or make the instances of capacity provider ${name} larger: they have ${size} (its tags wharf:cpu and wharf:memory).`;
    }
    return `Raise the maximum of capacity provider ${name}, now ${String(group.maximum)} instances (its tag wharf:maximum); or: ${otherwise}`;
  }
}
