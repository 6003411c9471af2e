/**
 * EC2 capacity for containers: an ECS cluster with a VPC and one kind of capacity, which its default capacity provider
 * strategy names. No NAT gateway: instances stand in public subnets behind a closed security group, S3 and DynamoDB are
 * reached by gateway endpoints.
 */
import { RemovalPolicy, Stack, Token, Validations } from 'aws-cdk-lib';
import type { AutoScalingGroup } from 'aws-cdk-lib/aws-autoscaling';
import {
  FlowLogDestination,
  GatewayVpcEndpointAwsService,
  type InstanceType,
  type IVpc,
  type LaunchTemplate,
  SecurityGroup,
  SubnetType,
  Vpc,
} from 'aws-cdk-lib/aws-ec2';
import { type AsgCapacityProvider, Cluster, ContainerInsights, type ICluster } from 'aws-cdk-lib/aws-ecs';
import { ManagedPolicy, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { type ILogGroup, LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';
import { clusterName } from '../http/schemas/index.js';
import { acknowledgeWildcards } from './acknowledge-wildcards.js';
import { Capacity, type ICapacity } from './capacity.js';
import { type CfnOverrides, overrideCfn } from './cfn-overrides.js';
import type { GroupRemoval } from './group-removal.js';
import {
  type ContainerClusterAttributes,
  ContainerClusterBase,
  type IContainerCluster,
  ImportedContainerCluster,
} from './container-cluster-base.js';
import { checkHeeded, refusedProp } from './refused-prop.js';

export interface ContainerClusterProps {
  /** Also its name in the API: a DNS label of at most 32 characters. @default wharf */
  readonly clusterName?: string;
  /** With public subnets. @default - a new VPC with two public subnets, no NAT gateway, flow logs */
  readonly vpc?: IVpc;
  /** @default - on demand, by the four props below */
  readonly capacity?: ICapacity;
  /** Without `capacity`. @default t4g.small */
  readonly instanceType?: InstanceType;
  /** Without `capacity`. @default 0 */
  readonly minInstances?: number;
  /** Without `capacity`. @default 4 */
  readonly maxInstances?: number;
  /** Without `capacity`: root volume, GiB; 30 or more. @default 40 */
  readonly volumeGiB?: number;
  /** Without `vpc`: what its network writes. @default - a new log group, kept for a month, gone with the stack */
  readonly flowLogs?: LogGroup;
  /**
   * What the function of CDK writes that takes instances away when the stack is deleted; a stack has one such function,
   * and what its first construct says counts. @default - one of the stack, kept for a month, gone with it
   */
  readonly customResourceLogs?: ILogGroup;
  /** For `vpc`, `cluster`, `securityGroup`, `instanceRole`, `launchTemplate`, `autoScalingGroup`, `capacityProvider` and `flowLogs`. @default - none */
  readonly cfnOverrides?: CfnOverrides;
}

/** @example new ContainerCluster(stack, 'Cluster', { capacity: Capacity.mixed({ onDemandInstances: 2 }) }) */
export class ContainerCluster extends ContainerClusterBase {
  /** A cluster that another stack, or another app, made. */
  static fromContainerClusterAttributes(
    scope: Construct,
    id: string,
    attributes: ContainerClusterAttributes,
  ): IContainerCluster {
    return new ImportedContainerCluster(scope, id, attributes);
  }

  readonly clusterName: string;
  readonly clusterArn: string;
  readonly maxInstances: number;
  readonly platform: string;
  readonly vpc: IVpc;
  readonly cluster: Cluster;
  readonly securityGroup: SecurityGroup;
  readonly instanceRole: Role;
  readonly capacityProviderName: string;
  /** Undefined with imported capacity, as the next three. */
  readonly launchTemplate: LaunchTemplate | undefined;
  readonly autoScalingGroup: AutoScalingGroup | undefined;
  readonly capacityProvider: AsgCapacityProvider | undefined;
  /** Takes the instances away before the rest when the stack is deleted. */
  readonly groupRemoval: GroupRemoval | undefined;
  /** Undefined with a network of one's own. */
  readonly flowLogs: LogGroup | undefined;
  /** As it was given. */
  readonly customResourceLogs: ILogGroup | undefined;

  constructor(scope: Construct, id: string, props: ContainerClusterProps = {}) {
    super(scope, id);
    this.clusterName = props.clusterName ?? 'wharf';
    this.checkName();
    const { instanceType, minInstances, maxInstances, volumeGiB } = props;
    if (props.capacity !== undefined) {
      checkHeeded(this.node.path, 'capacity', { instanceType, minInstances, maxInstances, volumeGiB });
    }
    if (props.vpc !== undefined) checkHeeded(this.node.path, 'vpc', { flowLogs: props.flowLogs });
    const capacity = props.capacity ?? Capacity.onDemand(props);
    this.maxInstances = capacity.maxInstances;
    this.platform = capacity.platform;
    this.flowLogs = props.vpc === undefined ? (props.flowLogs ?? this.createFlowLogs()) : undefined;
    this.vpc = props.vpc ?? (this.createVpc(this.flowLogs) as IVpc);
    this.cluster = new Cluster(this, 'Cluster', {
      clusterName: this.clusterName,
      vpc: this.vpc,
      containerInsightsV2: ContainerInsights.ENABLED,
    });
    this.clusterArn = this.cluster.clusterArn;
    this.securityGroup = new SecurityGroup(this, 'Instances', {
      vpc: this.vpc,
      description: 'Container instances: nothing comes in unless a rule is added',
    });
    this.instanceRole = this.createInstanceRole();
    this.customResourceLogs = props.customResourceLogs;
    const attached = capacity.attach(this);
    this.launchTemplate = attached.launchTemplate;
    this.capacityProviderName = attached.capacityProviderName;
    this.autoScalingGroup = attached.autoScalingGroup;
    this.capacityProvider = attached.capacityProvider;
    this.groupRemoval = attached.groupRemoval;
    const vpc = props.vpc === undefined ? this.vpc : undefined;
    const { cluster, securityGroup, instanceRole, launchTemplate, autoScalingGroup, capacityProvider, flowLogs } = this;
    overrideCfn(
      this,
      { vpc, cluster, securityGroup, instanceRole, launchTemplate, autoScalingGroup, capacityProvider, flowLogs },
      props.cfnOverrides,
    );
  }

  /** One name is one cluster of ECS in an account and region. */
  private checkName(): void {
    const { clusterName: name } = this;
    if (Token.isUnresolved(name)) return;
    const { error } = clusterName.safeParse(name);
    if (error !== undefined) throw refusedProp(this.node.path, `clusterName ${name} ${error.issues[0]?.message}`);
    const twin = Stack.of(this)
      .node.findAll()
      .find((each) => each instanceof ContainerCluster && each !== this && each.clusterName === name);
    if (twin === undefined) return;
    throw refusedProp(this.node.path, `clusterName ${name} is that of ${twin.node.path}, too: another one is wanted`);
  }

  openForServices(): { readonly cluster: ICluster; readonly vpc: IVpc } {
    if (this.autoScalingGroup !== undefined) return { cluster: this.cluster as ICluster, vpc: this.vpc };
    throw refusedProp(
      this.node.path,
      `its capacity was imported, so the firewall of its instances is not known here: ` +
        'ContainerCluster.fromContainerClusterAttributes takes vpc and securityGroup',
    );
  }

  private createInstanceRole(): Role {
    const policies = ['service-role/AmazonEC2ContainerServiceforEC2Role', 'AmazonSSMManagedInstanceCore'];
    const role = new Role(this, 'InstanceRole', {
      assumedBy: new ServicePrincipal('ec2.amazonaws.com'),
      managedPolicies: policies.map((name) => ManagedPolicy.fromAwsManagedPolicyName(name)),
    });
    for (const policy of policies) {
      Validations.of(role).acknowledge({
        id: `AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/${policy}]`,
        reason: 'The policy AWS keeps for the ECS agent and for Session Manager; both change with the agents.',
      });
    }
    acknowledgeWildcards(role, [
      {
        finding: /^(Action::ecs:Submit\*|Resource::\*)$/,
        reason: 'What the ECS agent needs to register and report, as CDK grants it.',
      },
    ]);
    return role;
  }

  private createFlowLogs(): LogGroup {
    return new LogGroup(this, 'FlowLogs', { retention: RetentionDays.ONE_MONTH, removalPolicy: RemovalPolicy.DESTROY });
  }

  private createVpc(flowLogs: LogGroup | undefined): Vpc {
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
    if (flowLogs !== undefined) {
      vpc.addFlowLog('FlowLog', { destination: FlowLogDestination.toCloudWatchLogs(flowLogs) });
    }
    return vpc;
  }
}
