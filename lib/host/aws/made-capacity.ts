/**
 * Clusters that are made over the API on AWS: each has a version of the deployed launch template, an Auto Scaling group,
 * a capacity provider and a cluster of ECS, of one name. Making and removing are a row of steps that look before they do; a process
 * may die between any two of them, and whoever comes next goes on.
 */
import { AppError } from '../../errors/index.js';
import type { Capacity, ClusterSpec, Ecs } from '../../platform/index.js';
import type { LaunchTemplates } from './launch-templates.js';
import type { ScalingGroups } from './scaling-groups.js';

export interface MadeCapacityOptions {
  /** The deployed cluster. Names of others begin with it and a hyphen: that is how far the rights of the functions go. */
  readonly deployedCluster: string;
  readonly launchTemplate: string;
  /** Ids with commas between them. */
  readonly subnets: string;
  /** Instances a cluster may have at most. */
  readonly maxInstances: number;
}

export interface MadeCapacityDeps {
  readonly ecs: Ecs;
  readonly templates: LaunchTemplates;
  readonly groups: ScalingGroups;
}

export class MadeCapacity implements Capacity {
  constructor(
    private readonly deps: MadeCapacityDeps,
    private readonly options: MadeCapacityOptions,
  ) {}

  /** Instances start when tasks ask for them, so a number alone is the most there may be. */
  async ensure(cluster: string, wanted: ClusterSpec): Promise<string> {
    this.checkName(cluster);
    const { ecs, templates, groups } = this.deps;
    const { launchTemplate, subnets, deployedCluster } = this.options;
    const bounds = this.boundsOf(cluster, wanted);
    const tags = { application: 'wharf', 'wharf:installation': deployedCluster, 'wharf:cluster': cluster };
    const { clusterArn = cluster } = await ecs.clusters.create(cluster);
    const version = await templates.ensure(cluster);
    // ECS marks groups that it manages by a tag of this name, which has to go along to the instances.
    await groups.put({
      name: cluster,
      launchTemplate,
      version,
      subnets,
      ...bounds,
      tags: { ...tags, AmazonECSManaged: '' },
    });
    const group = await groups.find(cluster);
    if (group === undefined || group.isBeingDeleted)
      throw busy(cluster, 'its earlier Auto Scaling group is still there');
    if ((await ecs.capacityProviders.state(cluster)) === 'going')
      throw busy(cluster, 'its earlier provider is still there');
    await ecs.capacityProviders.make(cluster, group.arn, tags);
    const [found] = await ecs.clusters.describe([cluster]);
    if (found?.capacityProviders?.includes(cluster) !== true) await ecs.capacityProviders.associate(cluster, cluster);
    return clusterArn;
  }

  async describe(
    cluster: string,
  ): Promise<{ readonly kind: string; readonly instances: number; readonly maximum: number }> {
    const group = await this.deps.groups.find(cluster);
    const instances = (await this.deps.ecs.instances.of(cluster)).length;
    return { kind: 'ecs-capacity-provider', instances, maximum: group?.maximum ?? 0 };
  }

  /**
   * The provider goes before its group, which ECS wants to see while it lets go of it; the group before the cluster,
   * whose instances are its own; instances are drained first, so that nothing new is placed on what goes away.
   * @throws AppError CLUSTER_BUSY, of kind conflict, as long as AWS is at it: ask again
   */
  async remove(cluster: string): Promise<void> {
    const { ecs, templates, groups } = this.deps;
    const [found] = await ecs.clusters.describe([cluster]);
    if (found?.status === 'ACTIVE') await this.detach(cluster, found.capacityProviders ?? []);
    const group = await groups.find(cluster);
    if (group !== undefined && !group.isBeingDeleted) await groups.release(cluster, group);
    const provider = await ecs.capacityProviders.state(cluster);
    if (provider === 'there') await ecs.capacityProviders.delete(cluster);
    if (provider !== 'absent') throw busy(cluster, 'its capacity provider is being deleted');
    if (group !== undefined) {
      if (!group.isBeingDeleted) await groups.delete(cluster);
      throw busy(cluster, 'its Auto Scaling group is being deleted');
    }
    await templates.remove(cluster);
    if (found?.status !== 'ACTIVE') return;
    for (const { containerInstanceArn = '' } of await ecs.instances.of(cluster)) {
      // The machine is gone, and ECS has not noticed yet.
      await ecs.instances.deregister(cluster, containerInstanceArn);
    }
    await ecs.clusters.delete(cluster);
  }

  private async detach(cluster: string, providers: readonly string[]): Promise<void> {
    const { ecs } = this.deps;
    for (const { containerInstanceArn = '', status } of await ecs.instances.of(cluster)) {
      if (status === 'ACTIVE') await ecs.instances.drain(cluster, containerInstanceArn);
    }
    if (providers.includes(cluster)) await ecs.capacityProviders.associate(cluster, undefined);
  }

  private checkName(cluster: string): void {
    const { deployedCluster } = this.options;
    if (!cluster.startsWith(`${deployedCluster}-`)) {
      throw new AppError('CLUSTER_UNSUPPORTED', `cluster ${cluster} cannot be made: its name is not one of ours`, {
        kind: 'unsupported',
        hint: `a name such as ${deployedCluster}-${cluster.slice(0, 20)}, or ${deployedCluster} itself`,
      });
    }
  }

  private boundsOf(cluster: string, wanted: ClusterSpec): { readonly minimum: number; readonly maximum: number } {
    const { maxInstances } = this.options;
    const maximum = wanted.maximum ?? wanted.instances;
    if (maximum > maxInstances) {
      throw new AppError('CAPACITY_UNSUPPORTED', `${maximum} instances in cluster ${cluster}`, {
        kind: 'unsupported',
        hint: `at most ${maxInstances}; raise maxInstances of the construct and deploy`,
      });
    }
    if (maximum < wanted.instances) {
      throw new AppError('CAPACITY_INVALID', `a maximum of ${maximum} is below ${wanted.instances} instances`, {
        kind: 'invalid',
        hint: 'leave the maximum out, or make it larger',
      });
    }
    return { minimum: wanted.maximum === undefined ? 0 : wanted.instances, maximum };
  }
}

function busy(cluster: string, what: string): AppError {
  return new AppError('CLUSTER_BUSY', `cluster ${cluster}: ${what}`, {
    kind: 'conflict',
    retryable: true,
    hint: 'AWS takes some minutes for it; ask again',
  });
}
