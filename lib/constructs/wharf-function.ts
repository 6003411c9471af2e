/**
 * One Lambda function of Wharf: bundled by esbuild from `lambdas/<name>.ts` as an ES module for arm64, with a role of
 * its own that can write its own log group and nothing else. What more it may do is granted by the construct that owns it.
 */
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Duration, RemovalPolicy, Size, Stack } from 'aws-cdk-lib';
import type { Metric, MetricOptions } from 'aws-cdk-lib/aws-cloudwatch';
import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Architecture, Runtime } from 'aws-cdk-lib/aws-lambda';
import { NodejsFunction, OutputFormat } from 'aws-cdk-lib/aws-lambda-nodejs';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { acknowledgeWildcards, STORED_OBJECTS, type WildcardReason } from './acknowledge-wildcards.js';

export interface WharfFunctionProps {
  /** File of `lambdas/`, without its ending. */
  readonly entry: string;
  /** @default 512 */
  readonly memoryMiB?: number;
  /** @default Duration.seconds(30) */
  readonly timeout?: Duration;
  /** Size of /tmp. @default 512 MiB, Lambda's own */
  readonly scratchMiB?: number;
  /** @default - none */
  readonly environment?: Readonly<Record<string, string>>;
  /** Upper bound of simultaneous executions, where a runaway would hurt. @default - the account's */
  readonly reservedConcurrency?: number;
  /** @default RetentionDays.ONE_MONTH */
  readonly logRetention?: RetentionDays;
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
    finding: /^Resource::arn:.*:ecs:.*:task-definition\/[a-z0-9-]+--(\*|build-worker):\*$/,
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

/** In a checkout the functions are TypeScript; in the package they stand beside this file as JavaScript. */
const THIS_FILE = fileURLToPath(import.meta.url);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const ENTRY_SUFFIX = extname(THIS_FILE);
/** What a bundle has in the place of a package: a function's credentials are in its environment. */
export const BUNDLE_ALIASES: Readonly<Record<string, string>> = {
  '@aws-sdk/credential-provider-node': `${ROOT}lib/host/aws/function-credentials${ENTRY_SUFFIX}`,
};

export class WharfFunction extends Construct {
  readonly function: NodejsFunction;
  readonly logGroup: LogGroup;
  readonly role: Role;

  constructor(scope: Construct, id: string, props: WharfFunctionProps) {
    super(scope, id);
    this.logGroup = new LogGroup(this, 'Logs', {
      retention: props.logRetention ?? RetentionDays.ONE_MONTH,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    this.role = new Role(this, 'Role', {
      assumedBy: new ServicePrincipal('lambda.amazonaws.com'),
      description: `Wharf ${props.entry} function in ${Stack.of(this).stackName}`,
    });
    this.logGroup.grantWrite(this.role);
    acknowledgeWildcards(this.role, FUNCTION_WILDCARDS);
    this.function = new NodejsFunction(this, 'Function', {
      entry: `${ROOT}lambdas/${props.entry}${ENTRY_SUFFIX}`,
      projectRoot: ROOT,
      // Nothing is installed for a bundle, so no lockfile is read; CDK only wants one to be named.
      depsLockFilePath: THIS_FILE,
      runtime: Runtime.NODEJS_24_X,
      architecture: Architecture.ARM_64,
      memorySize: props.memoryMiB ?? 512,
      timeout: props.timeout ?? Duration.seconds(30),
      role: this.role,
      logGroup: this.logGroup,
      environment: { NODE_OPTIONS: '--enable-source-maps', ...props.environment },
      ...(props.scratchMiB === undefined ? {} : { ephemeralStorageSize: Size.mebibytes(props.scratchMiB) }),
      ...(props.reservedConcurrency === undefined ? {} : { reservedConcurrentExecutions: props.reservedConcurrency }),
      bundling: {
        format: OutputFormat.ESM,
        target: 'node22',
        minify: true,
        sourceMap: true,
        sourcesContent: false,
        // The pinned SDK, not whichever the runtime carries.
        bundleAwsSDK: true,
        mainFields: ['module', 'main'],
        // CDK's type knows no list, which is what it takes for an option that is given several times.
        esbuildArgs: { '--alias': Object.entries(BUNDLE_ALIASES).map((alias) => alias.join('=')) } as never,
        banner: "import{createRequire as __cr}from'module';const require=__cr(import.meta.url);",
      },
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
