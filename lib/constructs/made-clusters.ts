/**
 * Clusters that are made and removed over the API, beside the one that is deployed: the rights for it, given to the two
 * functions that do it and to nobody else. Everything made is named after the deployed cluster, and no right goes further.
 */
import { Stack } from 'aws-cdk-lib';
import { SubnetType } from 'aws-cdk-lib/aws-ec2';
import { Match, Rule } from 'aws-cdk-lib/aws-events';
import { SqsQueue } from 'aws-cdk-lib/aws-events-targets';
import { type CfnRole, type IManagedPolicy, ManagedPolicy, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { Construct } from 'constructs';
import { acknowledgeWildcards } from './acknowledge-wildcards.js';
import type { ContainerCluster } from './container-cluster.js';
import type { ControlPlane } from './control-plane.js';
import { allowServices, allowTasks, type Clusters } from './ecs-rights.js';
import type { WharfFunction } from './wharf-function.js';
import { refusedProp } from './refused-prop.js';

export interface MadeClustersProps {
  readonly controlPlane: ControlPlane;
  /** Whose launch template, subnets, instance role and bounds made clusters share. Not with imported capacity. */
  readonly capacity: ContainerCluster;
  /**
   * The most that the functions which make clusters may do, whatever else they are granted. One of your own has to let
   * pass what this construct grants, as one that `PermissionsBoundary.of(app)` gives to all roles, which goes before it. @default - a new one: of EC2, Auto Scaling and IAM what made clusters need, and no more
   */
  readonly permissionsBoundary?: IManagedPolicy;
}

/** @example new MadeClusters(stack, 'MadeClusters', { controlPlane: wharf.controlPlane, capacity }) */
export class MadeClusters extends Construct {
  /** Of the roles of `api` and `reconciler`. */
  readonly permissionsBoundary: IManagedPolicy;
  private readonly pattern: Clusters;

  constructor(scope: Construct, id: string, props: MadeClustersProps) {
    super(scope, id);
    const { controlPlane, capacity } = props;
    const template = capacity.launchTemplate;
    if (template === undefined) {
      throw refusedProp(
        this.node.path,
        'capacity has no launch template to make clusters from: it has to be on demand, Spot or mixed, not imported',
      );
    }
    const launchTemplate = template.launchTemplateId ?? '';
    const { subnetIds } = capacity.vpc.selectSubnets({ subnetType: SubnetType.PUBLIC });
    const clusterName = `${capacity.clusterName}-*`;
    this.pattern = { clusterName, clusterArn: this.arn('ecs', 'cluster', clusterName) };
    const functions = [controlPlane.api, controlPlane.reconciler];
    for (const fn of functions) {
      fn.function.addEnvironment('WHARF_LAUNCH_TEMPLATE', launchTemplate);
      fn.function.addEnvironment('WHARF_SUBNETS', subnetIds.join(','));
      allowServices(fn, this.pattern, controlPlane.executionRole);
      const rights = [...this.clusterRights(), ...this.machineRights(capacity, launchTemplate)];
      for (const statement of rights) fn.role.addToPolicy(statement);
      this.acknowledge(fn);
    }
    this.permissionsBoundary =
      props.permissionsBoundary ?? this.createBoundary(controlPlane, this.machineRights(capacity, launchTemplate));
    for (const { role } of functions) {
      // As a property, not as an aspect: one that bounds all roles of an app goes before it.
      (role.node.defaultChild as CfnRole).permissionsBoundary = this.permissionsBoundary.managedPolicyArn;
    }
    allowTasks(controlPlane.api, this.pattern);
    this.listen(controlPlane);
  }

  private arn(service: string, resource: string, resourceName: string): string {
    return Stack.of(this).formatArn({ service, resource, resourceName });
  }

  private clusterRights(): readonly PolicyStatement[] {
    const { clusterArn, clusterName } = this.pattern;
    const clusters = ['CreateCluster', 'DeleteCluster', 'PutClusterCapacityProviders', 'DeregisterContainerInstance'];
    const providers = ['CreateCapacityProvider', 'DeleteCapacityProvider', 'DescribeCapacityProviders'];
    return [
      allow('ecs', [...clusters, 'TagResource'], [clusterArn]),
      allow('ecs', [...providers, 'TagResource'], [this.arn('ecs', 'capacity-provider', clusterName)]),
    ];
  }

  /** What of other services a cluster is made of: groups under its name, launched from the one template. */
  private machineRights(capacity: ContainerCluster, launchTemplate: string): readonly PolicyStatement[] {
    const { partition, region, account } = Stack.of(this);
    const groups = `arn:${partition}:autoscaling:${region}:${account}:autoScalingGroup:*:autoScalingGroupName/`;
    const group = ['CreateAutoScalingGroup', 'UpdateAutoScalingGroup', 'DeleteAutoScalingGroup'];
    const template = this.arn('ec2', 'launch-template', launchTemplate);
    return [
      allow(
        'autoscaling',
        [...group, 'SetInstanceProtection', 'CreateOrUpdateTags'],
        [`${groups}${this.pattern.clusterName}`],
      ),
      allow('autoscaling', ['DescribeAutoScalingGroups'], ['*']),
      allow('ec2', ['DescribeLaunchTemplateVersions'], ['*']),
      allow('ec2', ['CreateLaunchTemplateVersion', 'DeleteLaunchTemplateVersions'], [template]),
      // What Auto Scaling asks of whoever gives it a launch template: that they might launch from it themselves.
      allow('ec2', ['RunInstances'], ['*'], {
        ArnEquals: { 'ec2:LaunchTemplate': template },
        Bool: { 'ec2:IsLaunchTemplateResource': 'true' },
      }),
      allow('ec2', ['CreateTags'], ['*'], { StringEquals: { 'ec2:CreateAction': 'RunInstances' } }),
      allow('iam', ['PassRole'], [capacity.instanceRole.roleArn], {
        StringEquals: { 'iam:PassedToService': 'ec2.amazonaws.com' },
      }),
    ];
  }

  /**
   * Beside the functions, whose roles it bounds: in another stack the two would need one another. Of the services that
   * keep the platform's data it bounds nothing, which the roles themselves do.
   */
  private createBoundary(controlPlane: ControlPlane, machines: readonly PolicyStatement[]): ManagedPolicy {
    const boundary = new ManagedPolicy(controlPlane, 'MadeClustersBoundary', {
      description: 'The most that the functions may do which make clusters, whatever else they are granted',
      statements: [
        ...['dynamodb', 'ecr', 'ecs', 'kms', 'logs', 's3', 'secretsmanager', 'sqs'].map((each) =>
          allow(each, ['*'], ['*']),
        ),
        ...machines,
        allow('iam', ['PassRole'], [controlPlane.executionRole.roleArn], {
          StringEquals: { 'iam:PassedToService': 'ecs-tasks.amazonaws.com' },
        }),
      ],
    });
    acknowledgeWildcards(boundary, [
      {
        finding: /^(Action|Resource)::/,
        reason: 'A permissions boundary: it grants nothing, and bounds what is granted.',
      },
    ]);
    return boundary;
  }

  private listen({ events, eventDeadLetters }: ControlPlane): void {
    const target = new SqsQueue(events, { deadLetterQueue: eventDeadLetters });
    const clusters = this.pattern.clusterArn.replace(/\*$/, '');
    new Rule(this, 'EcsEvents', {
      description: 'State changes of clusters made over the API, to the reconciler',
      eventPattern: { source: ['aws.ecs'], detail: { clusterArn: Match.prefix(clusters) } },
      targets: [target],
    });
    new Rule(this, 'EcsDeployments', {
      description: 'Deployments in clusters made over the API, to the reconciler',
      eventPattern: {
        source: ['aws.ecs'],
        detailType: ['ECS Deployment State Change'],
        resources: Match.prefix(this.arn('ecs', 'service', this.pattern.clusterName.replace(/\*$/, ''))),
      },
      targets: [target],
    });
  }

  private acknowledge(fn: WharfFunction): void {
    acknowledgeWildcards(fn.role, [
      {
        finding: /^Resource::arn:.*:(ecs|autoscaling):.*-\*(\/\*|--\*:\*)?$/,
        reason: 'Clusters, providers and groups that are made at run time, under one prefix.',
      },
      {
        finding: /^Resource::\*$/,
        reason: 'Describe calls have no resource; launches are bound to the one launch template by a condition.',
      },
    ]);
  }
}

function allow(
  service: string,
  actions: readonly string[],
  resources: readonly string[],
  conditions?: Record<string, unknown>,
): PolicyStatement {
  return new PolicyStatement({
    actions: actions.map((action) => `${service}:${action}`),
    resources: [...resources],
    ...(conditions === undefined ? {} : { conditions }),
  });
}
