/**
 * One call of AWS's API in a template (AwsCustomResource): the function behind it is CDK's, one for the stack, and so is
 * its log group.
 */
import { RemovalPolicy, Stack, Validations } from 'aws-cdk-lib';
import { type ILogGroup, LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { AwsCustomResource, type AwsCustomResourceProps } from 'aws-cdk-lib/custom-resources';
import type { Construct } from 'constructs';

/** After who had it first: an id of a stack that is deployed does not change. */
const LOGS_ID = 'WharfRemovalLogs';

/** @param props.logGroup what that function writes: in a stack, that of its first call counts */
export function sdkCall(
  scope: Construct,
  id: string,
  props: Omit<AwsCustomResourceProps, 'logGroup' | 'installLatestAwsSdk'> & { readonly logGroup: ILogGroup },
): AwsCustomResource {
  const call = new AwsCustomResource(scope, id, { ...props, installLatestAwsSdk: false });
  acknowledgeFunction(scope);
  return call;
}

export function sdkCallLogs(scope: Construct): ILogGroup {
  const stack = Stack.of(scope);
  const found = stack.node.tryFindChild(LOGS_ID);
  if (found instanceof LogGroup) return found;
  return new LogGroup(stack, LOGS_ID, { retention: RetentionDays.ONE_MONTH, removalPolicy: RemovalPolicy.DESTROY });
}

function acknowledgeFunction(scope: Construct): void {
  const ofCdk = 'The function of CDK behind AwsCustomResource, one for the stack, which CDK sets.';
  for (const node of Stack.of(scope).node.children.filter((child) => child.node.id.startsWith('AWS679f53fac'))) {
    Validations.of(node).acknowledge({ id: 'AwsSolutions-L1', reason: ofCdk });
    Validations.of(node).acknowledge({
      id: 'AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole]',
      reason: ofCdk,
    });
  }
}
