/**
 * Instances of one shape for a cluster: a launch template on the newest ECS-optimised Amazon Linux 2023 (by SSM
 * parameter, so synthesis looks nothing up), an Auto Scaling group and a managed capacity provider. What it makes stands
 * directly under the cluster construct, where it has always stood: ids decide what a deployment replaces.
 */
import { Duration, Names, Tags, Validations } from 'aws-cdk-lib';
import { AutoScalingGroup, SpotAllocationStrategy } from 'aws-cdk-lib/aws-autoscaling';
import {
  BlockDeviceVolume,
  EbsDeviceVolumeType,
  InstanceArchitecture,
  type InstanceType,
  LaunchTemplate,
  LaunchTemplateHttpTokens,
  SubnetType,
  UserData,
} from 'aws-cdk-lib/aws-ec2';
import { AmiHardwareType, AsgCapacityProvider, EcsOptimizedImage } from 'aws-cdk-lib/aws-ecs';
import type { AttachedCapacity } from './capacity.js';
import type { ContainerCluster } from './container-cluster.js';
import { GroupRemoval } from './group-removal.js';
import { sdkCallLogs } from './sdk-call.js';

/** How instances of several types are bought. */
export interface Purchase {
  /** That are never Spot. */
  readonly onDemandInstances: number;
  /** Share of on-demand instances among the others. */
  readonly onDemandPercent: number;
}

export interface InstanceFleetProps {
  readonly cluster: ContainerCluster;
  /** Of one processor; more than one only with `purchase`. */
  readonly instanceTypes: readonly InstanceType[];
  readonly minInstances: number;
  readonly maxInstances: number;
  readonly volumeGiB: number;
  /** @default - the first type, on demand */
  readonly purchase?: Purchase;
}

/** Seconds from start to a registered instance: ECS asks for more only after it. */
const WARM_UP_SECONDS = 90;

export class InstanceFleet {
  readonly attached: AttachedCapacity;

  constructor(
    private readonly scope: ContainerCluster,
    private readonly props: InstanceFleetProps,
  ) {
    const launchTemplate = this.createLaunchTemplate();
    const autoScalingGroup = this.createGroup(launchTemplate);
    const capacityProvider = new AsgCapacityProvider(scope, 'Capacity', {
      autoScalingGroup,
      enableManagedScaling: true,
      enableManagedTerminationProtection: true,
      enableManagedDraining: true,
      instanceWarmupPeriod: WARM_UP_SECONDS,
    });
    scope.cluster.addAsgCapacityProvider(capacityProvider);
    // CDK leaves that out for capacity providers: services of the cluster would open nothing for their load balancers.
    scope.cluster.connections.addSecurityGroup(scope.securityGroup);
    scope.cluster.addDefaultCapacityProviderStrategy([
      { capacityProvider: capacityProvider.capacityProviderName, weight: 1 },
    ]);
    // CDK gives it no default child, by which it is found.
    capacityProvider.node.defaultChild = capacityProvider.node.findChild('Capacity');
    const groupRemoval = new GroupRemoval(scope, 'GroupRemoval', {
      autoScalingGroup,
      after: [scope.cluster, capacityProvider],
      logGroup: scope.customResourceLogs ?? sdkCallLogs(scope),
    });
    this.attached = {
      capacityProviderName: capacityProvider.capacityProviderName,
      launchTemplate,
      autoScalingGroup,
      capacityProvider,
      groupRemoval,
    };
  }

  private createLaunchTemplate(): LaunchTemplate {
    const { scope, props } = this;
    const [instanceType] = props.instanceTypes;
    const isArm = instanceType?.architecture === InstanceArchitecture.ARM_64;
    const userData = UserData.forLinux();
    userData.addCommands(
      `echo "ECS_CLUSTER=${scope.cluster.clusterName}" >> /etc/ecs/ecs.config`,
      // Images are named by digest, so what is on the disk is what is meant.
      'echo "ECS_IMAGE_PULL_BEHAVIOR=prefer-cached" >> /etc/ecs/ecs.config',
      'echo "ECS_ENABLE_SPOT_INSTANCE_DRAINING=true" >> /etc/ecs/ecs.config',
      'echo "ECS_AWSVPC_BLOCK_IMDS=true" >> /etc/ecs/ecs.config',
      // Log lines are written by the execution role of the task, so that the instance needs no right to write them.
      'echo "ECS_ENABLE_AWSLOGS_EXECUTIONROLE_OVERRIDE=true" >> /etc/ecs/ecs.config',
    );
    return new LaunchTemplate(scope, 'LaunchTemplate', {
      machineImage: EcsOptimizedImage.amazonLinux2023(isArm ? AmiHardwareType.ARM : AmiHardwareType.STANDARD),
      ...(instanceType === undefined ? {} : { instanceType }),
      role: scope.instanceRole,
      securityGroup: scope.securityGroup,
      associatePublicIpAddress: true,
      userData,
      httpTokens: LaunchTemplateHttpTokens.REQUIRED,
      httpPutResponseHopLimit: 1,
      detailedMonitoring: true,
      blockDevices: [
        {
          deviceName: '/dev/xvda',
          volume: BlockDeviceVolume.ebs(props.volumeGiB, { encrypted: true, volumeType: EbsDeviceVolumeType.GP3 }),
        },
      ],
    });
  }

  private createGroup(launchTemplate: LaunchTemplate): AutoScalingGroup {
    const { scope, props } = this;
    const group = new AutoScalingGroup(scope, 'AutoScalingGroup', {
      vpc: scope.vpc,
      vpcSubnets: { subnetType: SubnetType.PUBLIC },
      ...this.launch(launchTemplate),
      minCapacity: props.minInstances,
      maxCapacity: props.maxInstances,
      newInstancesProtectedFromScaleIn: true,
      maxInstanceLifetime: Duration.days(30),
    });
    // ECS finds the group's instances by this tag, and refuses a provider without it.
    Tags.of(group).add('AmazonECSManaged', '');
    Tags.of(group).add('Name', Names.uniqueResourceName(scope, { maxLength: 60 }));
    Validations.of(group).acknowledge({
      id: 'AwsSolutions-AS3',
      reason: 'Who wants notifications of scaling adds a topic; ECS tells capacity changes as events already.',
    });
    if (props.purchase !== undefined) {
      Validations.of(group).acknowledge({
        id: 'AwsSolutions-EC26',
        reason: 'The rule cannot read a group of several types; the launch template encrypts the volume.',
      });
    }
    return group;
  }

  private launch(launchTemplate: LaunchTemplate): object {
    const { purchase, instanceTypes } = this.props;
    if (purchase === undefined) return { launchTemplate };
    return {
      mixedInstancesPolicy: {
        launchTemplate,
        launchTemplateOverrides: instanceTypes.map((instanceType) => ({ instanceType })),
        instancesDistribution: {
          onDemandBaseCapacity: purchase.onDemandInstances,
          onDemandPercentageAboveBaseCapacity: purchase.onDemandPercent,
          spotAllocationStrategy: SpotAllocationStrategy.PRICE_CAPACITY_OPTIMIZED,
        },
      },
    };
  }
}
