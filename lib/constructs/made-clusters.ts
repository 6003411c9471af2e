/**
 * Clusters that are made and removed over the API, beside the one that is deployed: the rights for it, given to the two
 * functions that do it and to nobody else. Everything made is named after the deployed cluster, and no right goes further.
 */
import { Stack } from 'aws-cdk-lib';
import { LaunchTemplate, SubnetType } from 'aws-cdk-lib/aws-ec2';
import { Match, Rule } from 'aws-cdk-lib/aws-events';
import { SqsQueue } from 'aws-cdk-lib/aws-events-targets';
import { Construct } from 'constructs';
import { acknowledgeWildcards } from './acknowledge-wildcards.js';
import type { ContainerCluster } from './container-cluster.js';
import type { ControlPlane } from './control-plane.js';
import { allowServices, allowTasks, type Clusters } from './ecs-rights.js';
import type { WharfFunction } from './wharf-function.js';

export interface MadeClustersProps {
  readonly controlPlane: ControlPlane;
  /** Whose launch template, subnets, instance role and bounds made clusters share. Not with imported capacity. */
  readonly capacity: ContainerCluster;
}

/** @example new MadeClusters(stack, 'MadeClusters', { controlPlane: wharf.controlPlane, capacity }) */
export class MadeClusters extends Construct {
  private readonly pattern: Clusters;

  constructor(scope: Construct, id: string, props: MadeClustersProps) {
    super(scope, id);
    const { controlPlane, capacity } = props;
    const template = capacity.node.tryFindChild('LaunchTemplate');
    if (!(template instanceof LaunchTemplate)) {
      throw new Error('MadeClusters wants capacity with a launch template: on demand, Spot or mixed, not imported');
    }
    const launchTemplate = template.launchTemplateId ?? '';
    const { subnetIds } = capacity.vpc.selectSubnets({ subnetType: SubnetType.PUBLIC });
    const clusterName = `${capacity.clusterName}-*`;
    this.pattern = { clusterName, clusterArn: this.arn('ecs', 'cluster', clusterName) };
    for (const fn of [controlPlane.api, controlPlane.reconciler]) {
      fn.function.addEnvironment('WHARF_LAUNCH_TEMPLATE', launchTemplate);
      fn.function.addEnvironment('WHARF_SUBNETS', subnetIds.join(','));
      allowServices(fn, this.pattern, controlPlane.executionRole);
      this.allowClusters(fn);
      this.allowGroups(fn);
      this.allowLaunches(fn, capacity, launchTemplate);
      this.acknowledge(fn);
    }
    allowTasks(controlPlane.api, this.pattern);
    this.listen(controlPlane);
  }

  private arn(service: string, resource: string, resourceName: string): string {
    return Stack.of(this).formatArn({ service, resource, resourceName });
  }

  private allowClusters(fn: WharfFunction): void {
    const { clusterArn, clusterName } = this.pattern;
    fn.allow(
      [
        'ecs:CreateCluster',
        'ecs:DeleteCluster',
        'ecs:PutClusterCapacityProviders',
        'ecs:DeregisterContainerInstance',
        'ecs:TagResource',
      ],
      [clusterArn],
    );
    fn.allow(
      ['ecs:CreateCapacityProvider', 'ecs:DeleteCapacityProvider', 'ecs:DescribeCapacityProviders', 'ecs:TagResource'],
      [this.arn('ecs', 'capacity-provider', clusterName)],
    );
  }

  private allowGroups(fn: WharfFunction): void {
    const group = `arn:${Stack.of(this).partition}:autoscaling:${Stack.of(this).region}:${Stack.of(this).account}`;
    fn.allow(
      [
        'autoscaling:CreateAutoScalingGroup',
        'autoscaling:UpdateAutoScalingGroup',
        'autoscaling:DeleteAutoScalingGroup',
        'autoscaling:SetInstanceProtection',
        'autoscaling:CreateOrUpdateTags',
      ],
      [`${group}:autoScalingGroup:*:autoScalingGroupName/${this.pattern.clusterName}`],
    );
    fn.allow(['autoscaling:DescribeAutoScalingGroups', 'ec2:DescribeLaunchTemplateVersions'], ['*']);
  }

  /** What Auto Scaling asks of whoever gives it a launch template: that they might launch from it themselves. */
  private allowLaunches(fn: WharfFunction, capacity: ContainerCluster, launchTemplate: string): void {
    const template = this.arn('ec2', 'launch-template', launchTemplate);
    fn.allow(['ec2:CreateLaunchTemplateVersion', 'ec2:DeleteLaunchTemplateVersions'], [template]);
    fn.allow(['ec2:RunInstances'], ['*'], {
      ArnEquals: { 'ec2:LaunchTemplate': template },
      Bool: { 'ec2:IsLaunchTemplateResource': 'true' },
    });
    fn.allow(['ec2:CreateTags'], ['*'], { StringEquals: { 'ec2:CreateAction': 'RunInstances' } });
    fn.allow(['iam:PassRole'], [capacity.instanceRole.roleArn], {
      StringEquals: { 'iam:PassedToService': 'ec2.amazonaws.com' },
    });
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
