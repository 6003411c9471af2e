/**
 * Asks a function, each time it was deployed anew, to find out what its machine allows (lib/host/aws/probe): `wharf
 * doctor` shows what it kept. The call waits for nothing, and what goes wrong with it fails no deployment.
 */
import { Tokenization } from 'aws-cdk-lib';
import type { CfnFunction } from 'aws-cdk-lib/aws-lambda';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { ILogGroup } from 'aws-cdk-lib/aws-logs';
import { type AwsCustomResource, AwsCustomResourcePolicy, PhysicalResourceId } from 'aws-cdk-lib/custom-resources';
import { Construct } from 'constructs';
import { sdkCall } from './sdk-call.js';
import type { WharfFunction } from './wharf-function.js';

export interface SandboxProbeProps {
  readonly function: WharfFunction;
  /** What the function of CDK writes that calls it. */
  readonly logGroup: ILogGroup;
}

export class SandboxProbe extends Construct {
  readonly resource: AwsCustomResource;

  constructor(scope: Construct, id: string, props: SandboxProbeProps) {
    super(scope, id);
    const { function: fn, role } = props.function;
    const cfn = fn.node.defaultChild as CfnFunction;
    // What is tried depends on these: a change of one is another call.
    const { s3Key = '' } = cfn.code as CfnFunction.CodeProperty;
    const { size = 512 } = (cfn.ephemeralStorage ?? {}) as Partial<CfnFunction.EphemeralStorageProperty>;
    const [memory, scratch] = [cfn.memorySize ?? 128, size].map((each) => Tokenization.stringifyNumber(each));
    const probe = `${s3Key}, ${memory} MiB, ${scratch} MiB of /tmp`;
    this.resource = sdkCall(this, 'Resource', {
      logGroup: props.logGroup,
      resourceType: 'Custom::WharfSandboxProbe',
      onUpdate: {
        service: 'lambda',
        action: 'invoke',
        parameters: { FunctionName: fn.functionName, InvocationType: 'Event', Payload: JSON.stringify({ probe }) },
        physicalResourceId: PhysicalResourceId.of(this.node.addr),
        ignoreErrorCodesMatching: '.*',
      },
      policy: AwsCustomResourcePolicy.fromStatements([
        new PolicyStatement({ actions: ['lambda:InvokeFunction'], resources: [fn.functionArn] }),
      ]),
    });
    // With its rights, which come after it.
    this.resource.node.addDependency(role);
  }
}
