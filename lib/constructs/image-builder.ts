/**
 * The builder on Lambda: takes builds from a queue, one per invocation. It runs COPY, ADD and metadata steps in
 * process; a RUN step that is not in the step cache fails with a clear error, because a function cannot make containers.
 */
import { Duration, RemovalPolicy, Stack, Validations } from 'aws-cdk-lib';
import { type Metric, type MetricOptions, Stats } from 'aws-cdk-lib/aws-cloudwatch';
import { Rule, Schedule } from 'aws-cdk-lib/aws-events';
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets';
import type { IGrantable } from 'aws-cdk-lib/aws-iam';
import { SqsEventSource } from 'aws-cdk-lib/aws-lambda-event-sources';
import type { ILogGroup } from 'aws-cdk-lib/aws-logs';
import { type IQueue, Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs';
import { Construct, type IConstruct } from 'constructs';
import { type BuilderSourcePolicy, packedPolicy } from './builder-source-policy.js';
import { type CfnOverrides, overrideCfn } from './cfn-overrides.js';
import { type IImageStore, ImageStore } from './image-store.js';
import { ownMetric } from './metrics.js';
import { SandboxProbe } from './sandbox-probe.js';
import { sdkCallLogs } from './sdk-call.js';
import { WharfFunction } from './wharf-function.js';
import { checkPlatform, checkWhole } from './refused-prop.js';

export interface ImageBuilderProps {
  readonly store: IImageStore;
  /** 128 to 10,240. @default 1769, one whole processor */
  readonly memoryMiB?: number;
  /** Size of /tmp, MiB; 512 to 10,240. @default 4096 */
  readonly scratchMiB?: number;
  /** How many builds run at once, 2 to 1,000. @default 10 */
  readonly maxConcurrency?: number;
  /** What images are built for unless a build asks otherwise. @default linux/arm64 */
  readonly platform?: string;
  /** Whether `FROM node:22`, when Wharf's own registry does not have it, means Docker Hub. @default false */
  readonly dockerHub?: boolean;
  /**
   * Rules for the sources of all builds, beside those that requests have: BuildKit's JSON, as an object. A few kilobytes fit.
   * @default - none
   */
  readonly sourcePolicy?: BuilderSourcePolicy;
  /** What the function writes. @default - a new log group, kept for a month, gone with the stack */
  readonly logGroup?: ILogGroup;
  /**
   * What the function of CDK writes that calls the builder after a deployment; a stack has one such function, and what
   * its first construct says counts. @default - one of the stack, kept for a month, gone with it
   */
  readonly customResourceLogs?: ILogGroup;
  /** For `queue`, `deadLetters` and `function`. @default - none */
  readonly cfnOverrides?: CfnOverrides;
}

/** A builder that is there already, with its store. */
export interface ImageBuilderAttributes {
  readonly store: IImageStore;
  readonly queueArn: string;
  /** @default linux/arm64 */
  readonly platform?: string;
}

/** What the other constructs need of a builder, made here or imported. */
export interface IImageBuilder extends IConstruct {
  readonly store: IImageStore;
  readonly queue: IQueue;
  /** What images are built for unless a build asks otherwise, as `linux/arm64`. */
  readonly platform: string;
  /** Lets the grantee submit builds by itself, without the HTTP API: images, records and the queue. */
  grantBuild(grantee: IGrantable): void;
  /** Builds that wait for a function. */
  metricWaitingBuilds(options?: MetricOptions): Metric;
  /** How long the oldest of them has waited. */
  metricOldestBuildAge(options?: MetricOptions): Metric;
}

const DEFAULT_ID = 'WharfImageBuilder';
const DEFAULT_PLATFORM = 'linux/arm64';

abstract class ImageBuilderBase extends Construct implements IImageBuilder {
  abstract readonly store: IImageStore;
  abstract readonly queue: IQueue;
  abstract readonly platform: string;

  grantBuild(grantee: IGrantable): void {
    this.store.grantReadWrite(grantee);
    this.queue.grantSendMessages(grantee);
  }

  metricWaitingBuilds(options?: MetricOptions): Metric {
    return this.queue.metricApproximateNumberOfMessagesVisible(options);
  }

  metricOldestBuildAge(options?: MetricOptions): Metric {
    return this.queue.metricApproximateAgeOfOldestMessage(options);
  }
}

/** @example const builder = new ImageBuilder(stack, 'Builder', { store, maxConcurrency: 4 }); */
export class ImageBuilder extends ImageBuilderBase {
  /** A builder that another stack, or another app, made. */
  static fromImageBuilderAttributes(scope: Construct, id: string, attributes: ImageBuilderAttributes): IImageBuilder {
    checkPlatform(`${scope.node.path}/${id}`, attributes.platform);
    return new (class extends ImageBuilderBase {
      readonly store = attributes.store;
      readonly queue = Queue.fromQueueArn(this, 'Queue', attributes.queueArn);
      readonly platform = attributes.platform ?? DEFAULT_PLATFORM;
    })(scope, id);
  }

  /**
   * The one builder of the stack for images that name none, made when it is first asked for. Its store is a cache, which
   * goes with the stack: the images themselves lie in ECR.
   */
  static ofStack(scope: Construct): IImageBuilder {
    const stack = Stack.of(scope);
    const found = stack.node.tryFindChild(DEFAULT_ID);
    if (found instanceof ImageBuilder) return found;
    const store = new ImageStore(stack, `${DEFAULT_ID}Store`, { removalPolicy: RemovalPolicy.DESTROY });
    return new ImageBuilder(stack, DEFAULT_ID, { store, dockerHub: true });
  }

  readonly store: IImageStore;
  readonly queue: IQueue;
  readonly deadLetters: Queue;
  readonly function: WharfFunction;
  /** Asks the function what its machine allows. */
  readonly probe: SandboxProbe;
  readonly platform: string;

  /** @throws AppError PROP_REFUSED for numbers beyond Lambda's, and a source policy that is none, or does not fit */
  constructor(scope: Construct, id: string, props: ImageBuilderProps) {
    super(scope, id);
    const { memoryMiB, scratchMiB, maxConcurrency, platform } = props;
    checkWhole(this.node.path, { memoryMiB }, 128, 10_240);
    checkWhole(this.node.path, { scratchMiB }, 512, 10_240);
    checkWhole(this.node.path, { maxConcurrency }, 2, 1000);
    checkPlatform(this.node.path, platform);
    this.store = props.store;
    this.platform = props.platform ?? DEFAULT_PLATFORM;
    const timeout = Duration.minutes(15);
    this.deadLetters = new Queue(this, 'DeadLetters', {
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      retentionPeriod: Duration.days(14),
    });
    // A build that killed three functions is failed by the fourth; the dead letters are for what not even that settles.
    this.queue = new Queue(this, 'Queue', {
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      // The worker renews it while it builds; this is what a function that dies at once costs.
      visibilityTimeout: timeout,
      deadLetterQueue: { queue: this.deadLetters, maxReceiveCount: 6 },
    }) as IQueue;
    this.function = new WharfFunction(this, 'Builder', {
      entry: 'builder',
      ...(props.memoryMiB === undefined ? {} : { memoryMiB: props.memoryMiB }),
      scratchMiB: props.scratchMiB ?? 4096,
      timeout,
      ...(props.logGroup === undefined ? {} : { logGroup: props.logGroup }),
      environment: {
        WHARF_TABLE: props.store.table.tableName,
        WHARF_BUCKET: props.store.bucket.bucketName,
        WHARF_BUILD_QUEUE_URL: this.queue.queueUrl,
        WHARF_SEALING_KEY_ARN: props.store.sealingKey.secretArn,
        WHARF_PLATFORM: this.platform,
        WHARF_DOCKER_HUB: props.dockerHub === true ? 'yes' : 'no',
        ...(props.sourcePolicy === undefined
          ? {}
          : { WHARF_SOURCE_POLICY: packedPolicy(this.node.path, props.sourcePolicy) }),
      },
    });
    props.store.grantReadWrite(this.function.role);
    this.function.function.addEventSource(
      new SqsEventSource(this.queue, {
        batchSize: 1,
        reportBatchItemFailures: true,
        maxConcurrency: props.maxConcurrency ?? 10,
      }),
    );
    // What failed is done at the next call.
    this.function.function.configureAsyncInvoke({ retryAttempts: 0 });
    new Rule(this, 'Sweep', {
      description: 'Sends for builds again whose message was lost',
      schedule: Schedule.rate(Duration.minutes(5)),
      targets: [new LambdaFunction(this.function.function)],
    });
    const logGroup = props.customResourceLogs ?? sdkCallLogs(this);
    this.probe = new SandboxProbe(this, 'Probe', { function: this.function, logGroup });
    Validations.of(this.deadLetters).acknowledge({ id: 'AwsSolutions-SQS3', reason: 'It is the dead-letter queue.' });
    overrideCfn(
      this,
      { queue: this.queue, deadLetters: this.deadLetters, function: this.function.function },
      props.cfnOverrides,
    );
  }

  /** Builds that nothing settled, which somebody should look at. */
  metricDeadLetters(options?: MetricOptions): Metric {
    return this.deadLetters.metricApproximateNumberOfMessagesVisible(options);
  }

  /** How long builds took that ended in the function, in milliseconds from request to end. */
  metricBuildMilliseconds(options?: MetricOptions): Metric {
    return ownMetric(this.function, 'BuildDuration', { statistic: Stats.AVERAGE, ...options });
  }

  /** Builds that became images in the function; what a worker ends is not among them. */
  metricBuildsSucceeded(options?: MetricOptions): Metric {
    return ownMetric(this.function, 'BuildsSucceeded', { statistic: Stats.SUM, ...options });
  }

  /** Builds that failed, by their Dockerfile or by us. */
  metricBuildsFailed(options?: MetricOptions): Metric {
    return ownMetric(this.function, 'BuildsFailed', { statistic: Stats.SUM, ...options });
  }

  /** Builds that went on in a worker. */
  metricBuildsHandedOver(options?: MetricOptions): Metric {
    return ownMetric(this.function, 'BuildsHandedOver', { statistic: Stats.SUM, ...options });
  }

  /** Runs of the function that died or timed out; the build itself goes on in the next one. */
  metricErrors(options?: MetricOptions): Metric {
    return this.function.metricErrors(options);
  }
}
