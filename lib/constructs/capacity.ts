/**
 * Where containers run: what a cluster asks of its capacity, and the kinds that come with Wharf. Somebody else's kind
 * (managed instances, a group that a platform team keeps) is a class with the same one method.
 */
import { Token } from 'aws-cdk-lib';
import { InstanceArchitecture, InstanceType, type LaunchTemplate } from 'aws-cdk-lib/aws-ec2';
import type { AutoScalingGroup } from 'aws-cdk-lib/aws-autoscaling';
import { type AsgCapacityProvider, CfnClusterCapacityProviderAssociations } from 'aws-cdk-lib/aws-ecs';
import type { ContainerCluster } from './container-cluster.js';
import type { GroupRemoval } from './group-removal.js';
import { InstanceFleet, type Purchase } from './instance-fleet.js';
import { checkPlatform, checkWhole, refusedProp } from './refused-prop.js';

/** A capacity provider that is attached to a cluster. */
export interface AttachedCapacity {
  readonly capacityProviderName: string;
  /** Only of what was made here, as the next three. */
  readonly launchTemplate?: LaunchTemplate;
  readonly autoScalingGroup?: AutoScalingGroup;
  readonly capacityProvider?: AsgCapacityProvider;
  readonly groupRemoval?: GroupRemoval;
}

export interface ICapacity {
  /** What images must be built for, as `linux/arm64`. */
  readonly platform: string;
  readonly maxInstances: number;
  /** Called once by the cluster, whose default strategy then names the provider. */
  attach(cluster: ContainerCluster): AttachedCapacity;
}

export interface FleetProps {
  /** @default 0 */
  readonly minInstances?: number;
  /** @default 4 */
  readonly maxInstances?: number;
  /** Root volume, GiB; 30 or more. @default 40 */
  readonly volumeGiB?: number;
}

export interface OnDemandCapacityProps extends FleetProps {
  /** @default t4g.small */
  readonly instanceType?: InstanceType;
}

export interface SpotCapacityProps extends FleetProps {
  /** Four or more of one processor and about one size: the more, the rarer an interruption. @default t4g, m6g, m7g and c7g .large and r6g .large */
  readonly instanceTypes?: InstanceType[];
}

export interface MixedCapacityProps extends SpotCapacityProps {
  /** Instances that are never Spot. @default 1 */
  readonly onDemandInstances?: number;
  /** Share of on-demand instances among those above that. @default 0 */
  readonly onDemandPercent?: number;
}

export interface ImportedCapacityProps {
  /** Of a capacity provider that the cluster has or may be given. */
  readonly capacityProviderName: string;
  /** As `linux/arm64`. */
  readonly platform: string;
  readonly maxInstances: number;
}

const MIN_SPOT_TYPES = 4;
const DEFAULT_MAX = 4;
/** The snapshot of the ECS-optimised Amazon Linux 2023: no instance starts with less. */
const MIN_VOLUME_GIB = 30;
/** Of gp3. */
const MAX_VOLUME_GIB = 16_384;
const SPOT_TYPES = ['t4g.large', 'm6g.large', 'm7g.large', 'c7g.large', 'r6g.large'];

/** @example new ContainerCluster(stack, 'Cluster', { capacity: Capacity.spot({ maxInstances: 10 }) }) */
export abstract class Capacity implements ICapacity {
  static onDemand(props: OnDemandCapacityProps = {}): ICapacity {
    const types = [props.instanceType ?? new InstanceType('t4g.small')];
    return new FleetCapacity(types, props, undefined);
  }

  /** @throws Error with fewer than four types, or types of two processors */
  static spot(props: SpotCapacityProps = {}): ICapacity {
    return new FleetCapacity(spotTypes(props), props, { onDemandInstances: 0, onDemandPercent: 0 });
  }

  /** Some that stay, the rest Spot. @throws Error with fewer than four types, or types of two processors */
  static mixed(props: MixedCapacityProps = {}): ICapacity {
    const { onDemandInstances = 1, onDemandPercent = 0 } = props;
    checkWhole('Capacity.mixed', { onDemandInstances }, 0);
    checkWhole('Capacity.mixed', { onDemandPercent }, 0, 100);
    checkOrder({ onDemandInstances }, { maxInstances: props.maxInstances ?? DEFAULT_MAX });
    return new FleetCapacity(spotTypes(props), props, { onDemandInstances, onDemandPercent });
  }

  /** What is there already: only the cluster's default strategy is set. */
  static imported(props: ImportedCapacityProps): ICapacity {
    const { capacityProviderName, platform, maxInstances } = props;
    checkPlatform('Capacity.imported', platform);
    checkWhole('Capacity.imported', { maxInstances }, 1);
    return {
      platform,
      maxInstances,
      attach: (cluster) => {
        new CfnClusterCapacityProviderAssociations(cluster, 'Providers', {
          cluster: cluster.cluster.clusterName,
          capacityProviders: [capacityProviderName],
          defaultCapacityProviderStrategy: [{ capacityProvider: capacityProviderName, weight: 1 }],
        });
        return { capacityProviderName };
      },
    };
  }

  abstract readonly platform: string;
  abstract readonly maxInstances: number;
  abstract attach(cluster: ContainerCluster): AttachedCapacity;
}

class FleetCapacity extends Capacity {
  readonly platform: string;
  readonly maxInstances: number;

  constructor(
    private readonly instanceTypes: readonly InstanceType[],
    private readonly props: FleetProps,
    private readonly purchase: Purchase | undefined,
  ) {
    super();
    this.platform = platformOf(instanceTypes);
    const { minInstances = 0, maxInstances = DEFAULT_MAX, volumeGiB } = props;
    this.maxInstances = maxInstances;
    checkWhole('Capacity', { minInstances }, 0);
    checkWhole('Capacity', { maxInstances }, 1);
    checkWhole('Capacity', { volumeGiB }, MIN_VOLUME_GIB, MAX_VOLUME_GIB);
    checkOrder({ minInstances }, { maxInstances });
  }

  attach(cluster: ContainerCluster): AttachedCapacity {
    const { minInstances = 0, volumeGiB = 40 } = this.props;
    const fleet = new InstanceFleet(cluster, {
      cluster,
      instanceTypes: this.instanceTypes,
      minInstances,
      maxInstances: this.maxInstances,
      volumeGiB,
      ...(this.purchase === undefined ? {} : { purchase: this.purchase }),
    });
    return fleet.attached;
  }
}

/** @throws AppError PROP_REFUSED for more at least than at most */
function checkOrder(least: Readonly<Record<string, number>>, most: Readonly<Record<string, number>>): void {
  const [[less, few] = ['', 0], [more, many] = ['', 0]] = [...Object.entries(least), ...Object.entries(most)];
  if (few <= many || [few, many].some((value) => Token.isUnresolved(value))) return;
  throw refusedProp('Capacity', `${less} ${few} is more than ${more} ${many}: as many or fewer are wanted`);
}

function spotTypes({ instanceTypes }: SpotCapacityProps): readonly InstanceType[] {
  const types = instanceTypes ?? SPOT_TYPES.map((type) => new InstanceType(type));
  if (new Set(types.map(String)).size >= MIN_SPOT_TYPES) return types;
  throw refusedProp(
    'Capacity',
    `instanceTypes ${types.join(', ')}: ${MIN_SPOT_TYPES} types or more are wanted for Spot, so that one that is short is no outage`,
  );
}

function platformOf(types: readonly InstanceType[]): string {
  const found = new Set(types.map(({ architecture }) => architecture));
  if (found.size !== 1) {
    throw refusedProp(
      'Capacity',
      `instanceTypes ${types.join(', ')} are of two processors: images are for one of them`,
    );
  }
  return found.has(InstanceArchitecture.ARM_64) ? 'linux/arm64' : 'linux/amd64';
}
