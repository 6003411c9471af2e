/**
 * One Lambda function of Wharf: bundled by esbuild from `lambdas/<name>.ts` as an ES module for arm64, with a role of
 * its own that can write its own log group and nothing else. What more it may do is granted by the construct that owns it.
 */
import { Duration, RemovalPolicy, Size, Stack } from 'aws-cdk-lib';
import type { Metric, MetricOptions } from 'aws-cdk-lib/aws-cloudwatch';
import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Architecture, Function, Runtime } from 'aws-cdk-lib/aws-lambda';
import { type ILogGroup, LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { acknowledgeWildcards, STORED_OBJECTS, type WildcardReason } from './acknowledge-wildcards.js';
import { functionCode } from './function-bundle.js';
import { FUNCTION_MEMORY_MIB, type FunctionName } from './function-memory.js';

export interface WharfFunctionProps {
  /** File of `lambdas/`, without its ending. */
  readonly entry: FunctionName;
  /** @default - by what was measured: docs/aws/functions.md */
  readonly memoryMiB?: number;
  /** @default Duration.seconds(30) */
  readonly timeout?: Duration;
  /** Size of /tmp. @default 512 MiB, Lambda's own */
  readonly scratchMiB?: number;
  /** @default - none */
  readonly environment?: Readonly<Record<string, string>>;
  /** Upper bound of simultaneous executions, where a runaway would hurt. @default - the account's */
  readonly reservedConcurrency?: number;
  /** Of the log group that is made. @default RetentionDays.ONE_MONTH */
  readonly logRetention?: RetentionDays;
  /** What it writes. @default - a new log group, gone with the stack */
  readonly logGroup?: ILogGroup;
}

const FUNCTION_WILDCARDS: readonly WildcardReason[] = [
  STORED_OBJECTS,
  { finding: /^Resource::.*\/\*\.tar$/, reason: 'Build contexts among the assets of CDK: named by their content.' },
  { finding: /^Resource::.*Logs.*:\*$/, reason: 'The log streams of its own log group.' },
  {
    finding: /^Resource::arn:.*:ecs:.*:(task|service|container-instance)\/.*\/\*$/,
    reason: 'Tasks, services and instances of the one cluster: their ids are made at run time.',
  },
  {
    finding: /^Resource::arn:.*:ecs:.*:task-definition\/[^/]+--(\*|build-worker):\*$/,
    reason: 'Revisions of task definitions that Wharf made.',
  },
  {
    finding: /^Resource::arn:.*:ecr:.*:repository\/.*\/\*$/,
    reason: 'The ECR repositories that images are copied to: made at run time, under one prefix.',
  },
  {
    finding: /^Resource::\*$/,
    reason: 'ECS and ECR have no resource-level rights for these actions; test/synth lists every one of them.',
  },
];

export class WharfFunction extends Construct {
  readonly function: Function;
  readonly logGroup: ILogGroup;
  readonly role: Role;

  constructor(scope: Construct, id: string, props: WharfFunctionProps) {
    super(scope, id);
    this.logGroup =
      props.logGroup ??
      new LogGroup(this, 'Logs', {
        retention: props.logRetention ?? RetentionDays.ONE_MONTH,
        removalPolicy: RemovalPolicy.DESTROY,
      });
    this.role = new Role(this, 'Role', {
      assumedBy: new ServicePrincipal('lambda.amazonaws.com'),
      description: `Wharf ${props.entry} function in ${Stack.of(this).stackName}`,
    });
    this.logGroup.grantWrite(this.role);
    acknowledgeWildcards(this.role, FUNCTION_WILDCARDS);
    this.function = new Function(this, 'Function', {
      code: functionCode(props.entry),
      handler: 'index.handler',
      runtime: Runtime.NODEJS_24_X,
      architecture: Architecture.ARM_64,
      memorySize: props.memoryMiB ?? FUNCTION_MEMORY_MIB[props.entry],
      timeout: props.timeout ?? Duration.seconds(30),
      role: this.role,
      logGroup: this.logGroup,
      ...(props.environment === undefined ? {} : { environment: { ...props.environment } }),
      ...(props.scratchMiB === undefined ? {} : { ephemeralStorageSize: Size.mebibytes(props.scratchMiB) }),
      ...(props.reservedConcurrency === undefined ? {} : { reservedConcurrentExecutions: props.reservedConcurrency }),
    });
  }

  /** Invocations that failed or timed out. */
  metricErrors(options?: MetricOptions): Metric {
    return this.function.metricErrors(options);
  }

  /** Adds a statement to the function's own role. */
  allow(actions: readonly string[], resources: readonly string[], conditions?: Record<string, unknown>): void {
    this.role.addToPolicy(
      new PolicyStatement({
        actions: [...actions],
        resources: [...resources],
        ...(conditions === undefined ? {} : { conditions }),
      }),
    );
  }
}
