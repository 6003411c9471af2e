/**
 * Takes an Auto Scaling group away with its instances when its stack is deleted. CloudFormation alone waits for ever for
 * instances that ECS protects from scale-in, and cannot take a capacity provider off a cluster while they are registered;
 * so this goes first, before provider, group and cluster.
 */
import type { AutoScalingGroup } from 'aws-cdk-lib/aws-autoscaling';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { ILogGroup } from 'aws-cdk-lib/aws-logs';
import { type AwsCustomResource, AwsCustomResourcePolicy, PhysicalResourceId } from 'aws-cdk-lib/custom-resources';
import { Construct, type IDependable } from 'constructs';
import { acknowledgeWildcards } from './acknowledge-wildcards.js';
import { sdkCall } from './sdk-call.js';

export interface GroupRemovalProps {
  readonly autoScalingGroup: AutoScalingGroup;
  /** What must still be there when the instances are stopped. */
  readonly after: readonly IDependable[];
  /** What the function of CDK writes that does it. */
  readonly logGroup: ILogGroup;
}

export class GroupRemoval extends Construct {
  readonly resource: AwsCustomResource;

  constructor(scope: Construct, id: string, props: GroupRemovalProps) {
    super(scope, id);
    const { autoScalingGroup: group } = props;
    const name = group.autoScalingGroupName;
    this.resource = sdkCall(this, 'Resource', {
      logGroup: props.logGroup,
      resourceType: 'Custom::WharfGroupRemoval',
      onUpdate: {
        service: 'auto-scaling',
        action: 'DescribeAutoScalingGroups',
        parameters: { AutoScalingGroupNames: [name] },
        outputPaths: ['AutoScalingGroups.0.AutoScalingGroupName'],
        physicalResourceId: PhysicalResourceId.of(name),
      },
      onDelete: {
        service: 'auto-scaling',
        action: 'DeleteAutoScalingGroup',
        parameters: { AutoScalingGroupName: name, ForceDelete: true },
        // Somebody took it away by hand.
        ignoreErrorCodesMatching: 'ValidationError',
      },
      policy: AwsCustomResourcePolicy.fromStatements([
        new PolicyStatement({ actions: ['autoscaling:DescribeAutoScalingGroups'], resources: ['*'] }),
        new PolicyStatement({
          actions: ['autoscaling:DeleteAutoScalingGroup'],
          resources: [group.autoScalingGroupArn],
        }),
      ]),
    });
    this.resource.node.addDependency(group, ...props.after);
    acknowledgeWildcards(this.resource, [
      { finding: /^Resource::\*$/, reason: 'autoscaling:DescribeAutoScalingGroups has no resource-level rights.' },
      {
        finding: /^Resource::.*autoScalingGroup:\*:/,
        reason: 'The id in the ARN of the one group, which only AWS knows.',
      },
    ]);
  }
}
