/**
 * EC2 capacity for containers: an ECS cluster, a launch template on the newest ECS-optimised Amazon Linux 2023 (by SSM
 * parameter, so synthesis looks nothing up), an Auto Scaling group and a managed capacity provider. No NAT gateway:
 * instances stand in public subnets behind a closed security group, S3 and DynamoDB are reached by gateway endpoints.
 */
import { Duration, Names, RemovalPolicy, Validations } from 'aws-cdk-lib';
import { AutoScalingGroup, type CfnAutoScalingGroup } from 'aws-cdk-lib/aws-autoscaling';
import {
  FlowLogDestination,
  GatewayVpcEndpointAwsService,
  InstanceArchitecture,
  InstanceType,
  type IVpc,
  LaunchTemplate,
  LaunchTemplateHttpTokens,
  SecurityGroup,
  SubnetType,
  UserData,
  Vpc,
  BlockDeviceVolume,
  EbsDeviceVolumeType,
} from 'aws-cdk-lib/aws-ec2';
import {
  AmiHardwareType,
  AsgCapacityProvider,
  Cluster,
  ContainerInsights,
  EcsOptimizedImage,
} from 'aws-cdk-lib/aws-ecs';
import { ManagedPolicy, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { acknowledgeWildcards } from './acknowledge-wildcards.js';

export interface ContainerClusterProps {
  /** Also its name in the API: a DNS label of at most 32 characters. @default wharf */
  readonly clusterName?: string;
  /** @default - a new VPC with two public subnets, no NAT gateway, flow logs */
  readonly vpc?: IVpc;
  /** @default t4g.small */
  readonly instanceType?: InstanceType;
  /** @default 0 */
  readonly minInstances?: number;
  /** @default 4 */
  readonly maxInstances?: number;
  /** Root volume, GiB. @default 40 */
  readonly volumeGiB?: number;
}

/** As the control plane checks it (NAME_PATTERN of lib/platform). */
const CLUSTER_NAME = /^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/;

export class ContainerCluster extends Construct {
  readonly clusterName: string;
  readonly maxInstances: number;
  /** What images must be built for, as `linux/arm64`. */
  readonly platform: string;
  readonly vpc: IVpc;
  readonly cluster: Cluster;
  readonly securityGroup: SecurityGroup;
  readonly instanceRole: Role;
  readonly launchTemplate: LaunchTemplate;
  readonly autoScalingGroup: AutoScalingGroup;
  readonly capacityProvider: AsgCapacityProvider;

  constructor(scope: Construct, id: string, props: ContainerClusterProps = {}) {
    super(scope, id);
    this.clusterName = props.clusterName ?? 'wharf';
    if (!CLUSTER_NAME.test(this.clusterName)) {
      throw new Error(`clusterName ${this.clusterName}: a DNS label of 1 to 32 characters is wanted`);
    }
    this.maxInstances = props.maxInstances ?? 4;
    const instanceType = props.instanceType ?? new InstanceType('t4g.small');
    this.platform = instanceType.architecture === InstanceArchitecture.ARM_64 ? 'linux/arm64' : 'linux/amd64';
    this.vpc = props.vpc ?? (this.createVpc() as IVpc);
    this.cluster = new Cluster(this, 'Cluster', {
      clusterName: this.clusterName,
      vpc: this.vpc,
      containerInsightsV2: ContainerInsights.ENABLED,
    });
    this.securityGroup = new SecurityGroup(this, 'Instances', {
      vpc: this.vpc,
      description: 'Container instances: nothing comes in unless a rule is added',
    });
    this.instanceRole = new Role(this, 'InstanceRole', {
      assumedBy: new ServicePrincipal('ec2.amazonaws.com'),
      managedPolicies: [
        ManagedPolicy.fromAwsManagedPolicyName('service-role/AmazonEC2ContainerServiceforEC2Role'),
        ManagedPolicy.fromAwsManagedPolicyName('AmazonSSMManagedInstanceCore'),
      ],
    });
    for (const policy of ['service-role/AmazonEC2ContainerServiceforEC2Role', 'AmazonSSMManagedInstanceCore']) {
      Validations.of(this.instanceRole).acknowledge({
        id: `AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/${policy}]`,
        reason: 'The policy AWS keeps for the ECS agent and for Session Manager; both change with the agents.',
      });
    }
    acknowledgeWildcards(this.instanceRole, [
      {
        finding: /^(Action::ecs:Submit\*|Resource::\*)$/,
        reason: 'What the ECS agent needs to register and report, as CDK grants it.',
      },
    ]);
    this.launchTemplate = this.createLaunchTemplate(instanceType, props.volumeGiB ?? 40);
    this.autoScalingGroup = this.createAutoScalingGroup(props);
    this.capacityProvider = new AsgCapacityProvider(this, 'Capacity', {
      autoScalingGroup: this.autoScalingGroup,
      enableManagedScaling: true,
      enableManagedTerminationProtection: true,
      enableManagedDraining: true,
      instanceWarmupPeriod: 90,
    });
    this.cluster.addAsgCapacityProvider(this.capacityProvider);
    this.cluster.addDefaultCapacityProviderStrategy([
      { capacityProvider: this.capacityProvider.capacityProviderName, weight: 1 },
    ]);
  }

  private createVpc(): Vpc {
    const vpc = new Vpc(this, 'Vpc', {
      maxAzs: 2,
      natGateways: 0,
      restrictDefaultSecurityGroup: false,
      subnetConfiguration: [{ name: 'public', subnetType: SubnetType.PUBLIC, mapPublicIpOnLaunch: false }],
      gatewayEndpoints: {
        S3: { service: GatewayVpcEndpointAwsService.S3 },
        DynamoDb: { service: GatewayVpcEndpointAwsService.DYNAMODB },
      },
    });
    const logs = new LogGroup(this, 'FlowLogs', {
      retention: RetentionDays.ONE_MONTH,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    vpc.addFlowLog('FlowLog', { destination: FlowLogDestination.toCloudWatchLogs(logs) });
    return vpc;
  }

  private createLaunchTemplate(instanceType: InstanceType, volumeGiB: number): LaunchTemplate {
    const hardware =
      instanceType.architecture === InstanceArchitecture.ARM_64 ? AmiHardwareType.ARM : AmiHardwareType.STANDARD;
    const userData = UserData.forLinux();
    userData.addCommands(
      `echo "ECS_CLUSTER=${this.cluster.clusterName}" >> /etc/ecs/ecs.config`,
      // Images are named by digest, so what is on the disk is what is meant.
      'echo "ECS_IMAGE_PULL_BEHAVIOR=prefer-cached" >> /etc/ecs/ecs.config',
      'echo "ECS_ENABLE_SPOT_INSTANCE_DRAINING=true" >> /etc/ecs/ecs.config',
      'echo "ECS_AWSVPC_BLOCK_IMDS=true" >> /etc/ecs/ecs.config',
      // Log lines are written by the execution role of the task, so that the instance needs no right to write them.
      'echo "ECS_ENABLE_AWSLOGS_EXECUTIONROLE_OVERRIDE=true" >> /etc/ecs/ecs.config',
    );
    return new LaunchTemplate(this, 'LaunchTemplate', {
      machineImage: EcsOptimizedImage.amazonLinux2023(hardware),
      instanceType,
      role: this.instanceRole,
      securityGroup: this.securityGroup,
      associatePublicIpAddress: true,
      userData,
      httpTokens: LaunchTemplateHttpTokens.REQUIRED,
      httpPutResponseHopLimit: 1,
      detailedMonitoring: true,
      blockDevices: [
        {
          deviceName: '/dev/xvda',
          volume: BlockDeviceVolume.ebs(volumeGiB, {
            encrypted: true,
            volumeType: EbsDeviceVolumeType.GP3,
          }),
        },
      ],
    });
  }

  private createAutoScalingGroup(props: ContainerClusterProps): AutoScalingGroup {
    const group = new AutoScalingGroup(this, 'AutoScalingGroup', {
      vpc: this.vpc,
      vpcSubnets: { subnetType: SubnetType.PUBLIC },
      launchTemplate: this.launchTemplate,
      minCapacity: props.minInstances ?? 0,
      maxCapacity: this.maxInstances,
      newInstancesProtectedFromScaleIn: true,
      maxInstanceLifetime: Duration.days(30),
    });
    // ECS finds the group's instances by this tag, and refuses a provider without it.
    (group.node.defaultChild as CfnAutoScalingGroup).addPropertyOverride('Tags', [
      { Key: 'AmazonECSManaged', Value: '', PropagateAtLaunch: true },
      { Key: 'Name', Value: Names.uniqueResourceName(this, { maxLength: 60 }), PropagateAtLaunch: true },
    ]);
    Validations.of(group).acknowledge({
      id: 'AwsSolutions-AS3',
      reason: 'Who wants notifications of scaling adds a topic; ECS tells capacity changes as events already.',
    });
    return group;
  }
}
