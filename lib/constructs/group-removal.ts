/**
 * Takes an Auto Scaling group away with its instances when its stack is deleted. CloudFormation alone waits for ever for
 * instances that ECS protects from scale-in, and cannot take a capacity provider off a cluster while they are registered;
 * so this goes first, before provider, group and cluster.
 */
import { RemovalPolicy, Stack, Validations } from 'aws-cdk-lib';
import type { AutoScalingGroup } from 'aws-cdk-lib/aws-autoscaling';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { AwsCustomResource, AwsCustomResourcePolicy, PhysicalResourceId } from 'aws-cdk-lib/custom-resources';
import { Construct, type IDependable } from 'constructs';
import { acknowledgeWildcards } from './acknowledge-wildcards.js';

export interface GroupRemovalProps {
  readonly autoScalingGroup: AutoScalingGroup;
  /** What must still be there when the instances are stopped. */
  readonly after: readonly IDependable[];
}

const LOGS_ID = 'WharfRemovalLogs';

export class GroupRemoval extends Construct {
  constructor(scope: Construct, id: string, props: GroupRemovalProps) {
    super(scope, id);
    const { autoScalingGroup: group } = props;
    const name = group.autoScalingGroupName;
    const resource = new AwsCustomResource(this, 'Resource', {
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
      installLatestAwsSdk: false,
      logGroup: logsOf(this),
    });
    resource.node.addDependency(group, ...props.after);
    acknowledgeWildcards(resource, [
      { finding: /^Resource::\*$/, reason: 'autoscaling:DescribeAutoScalingGroups has no resource-level rights.' },
      {
        finding: /^Resource::.*autoScalingGroup:\*:/,
        reason: 'The id in the ARN of the one group, which only AWS knows.',
      },
    ]);
    this.acknowledgeFunction();
  }

  private acknowledgeFunction(): void {
    const ofCdk = 'The function of CDK behind AwsCustomResource, one for the stack, which CDK sets.';
    for (const node of Stack.of(this).node.children.filter((child) => child.node.id.startsWith('AWS679f53fac'))) {
      Validations.of(node).acknowledge({ id: 'AwsSolutions-L1', reason: ofCdk });
      Validations.of(node).acknowledge({
        id: 'AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole]',
        reason: ofCdk,
      });
    }
  }
}

/** The function is one for the stack, and so is its log group. */
function logsOf(scope: Construct): LogGroup {
  const stack = Stack.of(scope);
  const found = stack.node.tryFindChild(LOGS_ID);
  if (found instanceof LogGroup) return found;
  return new LogGroup(stack, LOGS_ID, { retention: RetentionDays.ONE_MONTH, removalPolicy: RemovalPolicy.DESTROY });
}
