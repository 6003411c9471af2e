/**
 * Capacity on one machine: each container instance is a registration with the local engine, which runs all of them
 * itself. An instance is known by an attribute with its number, so a restart finds the ones it made.
 */
import { createHash } from 'node:crypto';
import { AppError } from '../errors/index.js';
import type { Ecs, EcsInstance } from './ecs/index.js';
import { Turns } from './turns.js';
import type { Capacity } from './ports.js';
import type { ClusterSpec } from './types.js';

const NUMBER_ATTRIBUTE = 'wharf.instance-number';
/** Ports of the host that no task may ask for, as the ECS agent reserves them. */
const RESERVED_PORTS = ['22', '2375', '2376', '51678', '51679', '51680'];

/** The capacity provider of a cluster that grows by itself. */
const providerOf = (cluster: string): string => `wharf-${cluster}`;

export interface LocalCapacityOptions {
  /** What one instance offers. CPU units (1,024 are one core), MiB. */
  readonly cpu: number;
  readonly memory: number;
  /** GOARCH of the machine, e.g. amd64. */
  readonly architecture: string;
  /** Instances per cluster at most; 32 when absent. */
  readonly maximum?: number;
}

export class LocalCapacity implements Capacity {
  private readonly turns = new Turns();

  constructor(
    private readonly ecs: Ecs,
    private readonly options: LocalCapacityOptions,
  ) {}

  async ensure(cluster: string, wanted: ClusterSpec): Promise<string> {
    this.check(wanted);
    const { clusterArn = cluster } = await this.ecs.clusters.create(cluster);
    await this.turns.take(cluster, async () => {
      const numbered = await this.numbered(cluster);
      if (wanted.maximum !== undefined) {
        await this.grow(cluster, wanted.instances, wanted.maximum);
        for (const instance of numbered.values()) await this.deregister(cluster, instance);
        return;
      }
      await this.growNoMore(cluster);
      for (let number = 0; number < wanted.instances; number += 1) {
        if (!numbered.has(number)) await this.register(cluster, number);
      }
      for (const [number, instance] of numbered) {
        if (number >= wanted.instances) await this.deregister(cluster, instance);
      }
    });
    return clusterArn;
  }

  private check(wanted: ClusterSpec): void {
    const maximum = this.options.maximum ?? 32;
    const most = Math.max(wanted.instances, wanted.maximum ?? 0);
    if (wanted.maximum !== undefined && wanted.maximum < wanted.instances) {
      throw new AppError('CAPACITY_INVALID', `a maximum of ${wanted.maximum} is below ${wanted.instances} instances`, {
        kind: 'invalid',
        hint: 'leave the maximum out for a fixed number of instances',
      });
    }
    if (most > maximum) {
      throw new AppError('CAPACITY_UNSUPPORTED', `${most} instances on one machine`, {
        kind: 'unsupported',
        hint: `at most ${maximum}; more machines need the AWS host`,
      });
    }
  }

  async describe(
    cluster: string,
  ): Promise<{ readonly kind: string; readonly instances: number; readonly maximum: number }> {
    const numbered = await this.numbered(cluster);
    return { kind: 'local', instances: numbered.size, maximum: this.options.maximum ?? 32 };
  }

  async remove(cluster: string): Promise<void> {
    await this.turns.take(cluster, async () => {
      await this.growNoMore(cluster);
      for (const instance of await this.ecs.instances.of(cluster)) await this.deregister(cluster, instance);
      await this.ecs.clusters.delete(cluster);
    });
  }

  private async grow(cluster: string, minimum: number, maximum: number): Promise<void> {
    const providers = this.ecs.capacityProviders;
    await providers.put(providerOf(cluster), {
      'wharf:minimum': String(minimum),
      'wharf:maximum': String(maximum),
      'wharf:cpu': String(this.options.cpu),
      'wharf:memory': String(this.options.memory),
    });
    await providers.associate(cluster, providerOf(cluster));
  }

  /** @throws AppError kind conflict while services or tasks are on the provider's instances */
  private async growNoMore(cluster: string): Promise<void> {
    const [found] = await this.ecs.clusters.describe([cluster]);
    if (found?.capacityProviders?.includes(providerOf(cluster)) !== true) return;
    await this.ecs.capacityProviders.associate(cluster, undefined);
    await this.ecs.capacityProviders.delete(providerOf(cluster));
  }

  private async numbered(cluster: string): Promise<ReadonlyMap<number, EcsInstance>> {
    const instances = await this.ecs.instances.of(cluster);
    return new Map(
      instances.flatMap((instance) => {
        const attribute = instance.attributes?.find(({ name }) => name === NUMBER_ATTRIBUTE);
        return attribute?.value === undefined ? [] : [[Number(attribute.value), instance]];
      }),
    );
  }

  private async register(cluster: string, number: number): Promise<void> {
    const instanceId = `i-${createHash('sha256').update(`${cluster}/${number}`).digest('hex').slice(0, 17)}`;
    await this.ecs.instances.register({
      cluster,
      instanceIdentityDocument: JSON.stringify({ instanceId, instanceType: 'local', region: 'local' }),
      totalResources: [
        { name: 'CPU', type: 'INTEGER', integerValue: this.options.cpu },
        { name: 'MEMORY', type: 'INTEGER', integerValue: this.options.memory },
        { name: 'PORTS', type: 'STRINGSET', stringSetValue: RESERVED_PORTS },
        { name: 'PORTS_UDP', type: 'STRINGSET', stringSetValue: [] },
      ],
      attributes: [
        { name: NUMBER_ATTRIBUTE, value: String(number) },
        { name: 'ecs.os-type', value: 'linux' },
        {
          name: 'ecs.cpu-architecture',
          value: this.options.architecture === 'amd64' ? 'x86_64' : this.options.architecture,
        },
        { name: 'ecs.instance-type', value: 'local' },
      ],
    });
  }

  private async deregister(cluster: string, instance: EcsInstance): Promise<void> {
    const arn = instance.containerInstanceArn;
    if (arn === undefined) return;
    try {
      await this.ecs.instances.deregister(cluster, arn);
    } catch (error) {
      // The group may have taken it away since it was listed.
      const left = await this.ecs.instances.of(cluster);
      if (left.some(({ containerInstanceArn }) => containerInstanceArn === arn)) throw error;
    }
  }
}
