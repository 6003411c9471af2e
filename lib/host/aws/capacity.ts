/**
 * Capacity on AWS, as far as it goes today: the one cluster that was deployed with the platform is taken as it is. Its
 * capacity provider starts and stops instances by what tasks ask for, between none and the group's maximum.
 */
import { AppError } from '../../errors/index.js';
import type { Capacity, Ecs } from '../../platform/index.js';

export interface AdoptedCapacityOptions {
  /** The only cluster there is. */
  readonly cluster: string;
  readonly maxInstances: number;
}

export class AdoptedCapacity implements Capacity {
  constructor(
    private readonly ecs: Ecs,
    private readonly options: AdoptedCapacityOptions,
  ) {}

  private async open(cluster: string): Promise<string> {
    if (cluster !== this.options.cluster) {
      throw new AppError('CLUSTER_UNSUPPORTED', `cluster ${cluster} cannot be made: clusters are deployed by CDK`, {
        kind: 'unsupported',
        hint: `the cluster of this platform is ${this.options.cluster}`,
      });
    }
    const [found] = await this.ecs.clusters.describe([cluster]);
    if (found?.clusterArn !== undefined && found.status === 'ACTIVE') return found.clusterArn;
    throw new AppError('CLUSTER_ABSENT', `ECS has no active cluster ${cluster}`, {
      kind: 'unavailable',
      retryable: false,
      hint: 'deploy the capacity stack again',
    });
  }

  /** The number is a wish within bounds: the capacity provider decides, by what tasks ask for. */
  async ensure(
    cluster: string,
    wanted: { readonly instances: number; readonly maximum?: number | undefined },
  ): Promise<string> {
    const arn = await this.open(cluster);
    const { maxInstances } = this.options;
    if (wanted.maximum !== undefined) {
      throw new AppError('CAPACITY_UNSUPPORTED', `a maximum for cluster ${cluster} is set by CDK`, {
        kind: 'unsupported',
        hint: `it is ${maxInstances} now; maxInstances of ContainerCluster changes it`,
      });
    }
    if (wanted.instances <= maxInstances) return arn;
    throw new AppError('CAPACITY_UNSUPPORTED', `${wanted.instances} instances in cluster ${cluster}`, {
      kind: 'unsupported',
      hint: `at most ${maxInstances}; raise maxInstances of ContainerCluster and deploy`,
    });
  }

  async describe(
    cluster: string,
  ): Promise<{ readonly kind: string; readonly instances: number; readonly maximum: number }> {
    const instances = (await this.ecs.instances.of(cluster)).length;
    return { kind: 'ecs-capacity-provider', instances, maximum: this.options.maxInstances };
  }

  /** The cluster and its instances are CDK's to take away. */
  async remove(): Promise<void> {}
}
