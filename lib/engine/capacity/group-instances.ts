/**
 * The Auto Scaling stand-in: makes the logical instances of a capacity provider's group, and gives them up. One that is
 * given up takes no more tasks and goes once its last one has ended (managed draining), or dies at once without it.
 */
import type { Context } from '../context.js';
import { addInstance, RESERVED_TCP } from '../instances/add-instance.js';
import { changeInstance } from '../instances/change-instance.js';
import type { ClusterState, InstanceState, TaskState } from '../state/model.js';
import { loseInstance } from '../tasks/instance-loss.js';
import type { TaskLifecycle } from '../tasks/lifecycle.js';
import { registrationAttributes } from '../instances/attributes.js';
import type { AutoScalingGroup } from './group.js';
import { type GroupInstance, leavers } from './scaling.js';

export class GroupInstances {
  constructor(
    private readonly context: Context,
    private readonly lifecycle: TaskLifecycle,
    /** Told when instances have come or gone. */
    private readonly changed: (cluster: string) => Promise<void>,
  ) {}

  /** Those of a provider that take tasks, and how many it has with those that are drained by clients. */
  async of(
    cluster: string,
    provider: string,
  ): Promise<{ readonly active: readonly GroupInstance[]; readonly all: number }> {
    const own = (await this.#own(cluster, provider)).filter(({ isLeaving }) => isLeaving !== true);
    const daemons = await this.#daemons(cluster);
    const live = await this.context.state.live.of(cluster);
    const active = own.filter(({ status }) => status === 'ACTIVE');
    return {
      all: own.length,
      active: active.map((instance) => ({
        id: instance.id,
        zone: zoneOf(instance),
        registeredAtMs: instance.registeredAtMs,
        tasks: live.tasksOfInstance(instance.id).filter((task) => !isDaemon(task, daemons)).length,
      })),
    };
  }

  async add(cluster: string, provider: string, group: AutoScalingGroup, count: number): Promise<void> {
    const { deps, options } = this.context;
    const zones = (await this.#own(cluster, provider)).map(zoneOf);
    const uses = (zone: string): number => zones.filter((each) => each === zone).length;
    for (let made = 0; made < count; made += 1) {
      const zone = [...group.zones].sort((a, b) => uses(a) - uses(b))[0] ?? '';
      zones.push(zone);
      const identity = { availabilityZone: zone, instanceType: group.instanceType };
      await addInstance(this.context, {
        cluster,
        id: deps.ids.hex(16),
        attributes: registrationAttributes(identity, options, []),
        registered: { cpu: group.cpu, memoryMiB: group.memoryMiB, tcpPorts: RESERVED_TCP, udpPorts: [] },
        versionInfo: {},
        capacityProviderName: provider,
        tags: [],
      });
    }
    await this.changed(cluster);
  }

  async giveUp(
    cluster: string,
    instances: readonly GroupInstance[],
    count: number,
    how: { readonly isProtected: boolean; readonly drains: boolean },
  ): Promise<void> {
    const gone = leavers(instances, count, how.isProtected);
    for (const id of gone) {
      if (how.drains) await changeInstance(this.context, cluster, id, leaving);
      else await this.#end(cluster, id);
    }
    if (gone.length > 0) await this.changed(cluster);
  }

  /** Those that were given up and have no task left but a daemon's. */
  async endLeaving(cluster: string, provider: string): Promise<void> {
    const daemons = await this.#daemons(cluster);
    const live = await this.context.state.live.of(cluster);
    const empty = (await this.#own(cluster, provider)).filter(
      ({ id, isLeaving }) => isLeaving === true && live.tasksOfInstance(id).every((task) => isDaemon(task, daemons)),
    );
    for (const { id } of empty) await this.#end(cluster, id);
    if (empty.length > 0) await this.changed(cluster);
  }

  /** Instances of providers that the cluster does not have any more. */
  async giveUpStrays({ name, capacityProviders }: ClusterState): Promise<void> {
    const live = await this.context.state.live.of(name);
    const strays = [...live.instances.values()].filter(
      ({ capacityProviderName: provider, status }) =>
        provider !== undefined && status !== 'INACTIVE' && !capacityProviders.includes(provider),
    );
    const providers = new Set<string>();
    for (const { id, isLeaving, capacityProviderName = '' } of strays) {
      if (isLeaving !== true) await changeInstance(this.context, name, id, leaving);
      providers.add(capacityProviderName);
    }
    for (const provider of providers) await this.endLeaving(name, provider);
  }

  async #end(cluster: string, id: string): Promise<void> {
    await loseInstance(this.context, this.lifecycle, cluster, id);
  }

  async #own(cluster: string, provider: string): Promise<readonly InstanceState[]> {
    const live = await this.context.state.live.of(cluster);
    return [...live.instances.values()].filter(
      ({ capacityProviderName, status }) => capacityProviderName === provider && status !== 'INACTIVE',
    );
  }

  async #daemons(cluster: string): Promise<ReadonlySet<string>> {
    const services = await this.context.state.services.all(cluster);
    return new Set(services.filter(({ schedulingStrategy: kind }) => kind === 'DAEMON').map(({ name }) => name));
  }
}

const leaving = (instance: InstanceState): InstanceState =>
  instance.status === 'INACTIVE' ? instance : { ...instance, status: 'DRAINING', isLeaving: true };

function isDaemon({ serviceName }: TaskState, daemons: ReadonlySet<string>): boolean {
  return serviceName !== undefined && daemons.has(serviceName);
}

function zoneOf({ attributes }: InstanceState): string {
  return attributes.find(({ name }) => name === 'ecs.availability-zone')?.value ?? '';
}
