/**
 * The builder on Lambda: takes builds from a queue, one per invocation. It runs COPY, ADD and metadata steps in
 * process; a RUN step that is not in the step cache fails with a clear error, because a function cannot make containers.
 */
import { Duration, Validations } from 'aws-cdk-lib';
import type { Metric, MetricOptions } from 'aws-cdk-lib/aws-cloudwatch';
import type { IGrantable } from 'aws-cdk-lib/aws-iam';
import { SqsEventSource } from 'aws-cdk-lib/aws-lambda-event-sources';
import { Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import type { ImageStore } from './image-store.js';
import { WharfFunction } from './wharf-function.js';

export interface ImageBuilderProps {
  readonly store: ImageStore;
  /** @default 1769, one whole processor */
  readonly memoryMiB?: number;
  /** Size of /tmp, MiB. @default 4096 */
  readonly scratchMiB?: number;
  /** How many builds run at once, 2 to 1,000. @default 10 */
  readonly maxConcurrency?: number;
  /** What images are built for unless a build asks otherwise. @default linux/arm64 */
  readonly platform?: string;
  /** Whether `FROM node:22`, when Wharf's own registry does not have it, means Docker Hub. @default false */
  readonly dockerHub?: boolean;
}

export class ImageBuilder extends Construct {
  readonly queue: Queue;
  readonly deadLetters: Queue;
  readonly function: WharfFunction;
  private readonly store: ImageStore;

  constructor(scope: Construct, id: string, props: ImageBuilderProps) {
    super(scope, id);
    this.store = props.store;
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
    });
    this.function = new WharfFunction(this, 'Builder', {
      entry: 'builder',
      memoryMiB: props.memoryMiB ?? 1769,
      scratchMiB: props.scratchMiB ?? 4096,
      timeout,
      environment: {
        WHARF_TABLE: props.store.table.tableName,
        WHARF_BUCKET: props.store.bucket.bucketName,
        WHARF_BUILD_QUEUE_URL: this.queue.queueUrl,
        WHARF_SEALING_KEY_ARN: props.store.sealingKey.secretArn,
        WHARF_PLATFORM: props.platform ?? 'linux/arm64',
        WHARF_DOCKER_HUB: props.dockerHub === true ? 'yes' : 'no',
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
    Validations.of(this.deadLetters).acknowledge({ id: 'AwsSolutions-SQS3', reason: 'It is the dead-letter queue.' });
  }

  /** Lets the grantee submit builds by itself, without the HTTP API: images, records and the queue. */
  grantBuild(grantee: IGrantable): void {
    this.store.grantReadWrite(grantee);
    this.queue.grantSendMessages(grantee);
  }

  /** Builds that wait for a function. */
  metricWaitingBuilds(options?: MetricOptions): Metric {
    return this.queue.metricApproximateNumberOfMessagesVisible(options);
  }

  /** Builds that nothing settled, which somebody should look at. */
  metricDeadLetters(options?: MetricOptions): Metric {
    return this.deadLetters.metricApproximateNumberOfMessagesVisible(options);
  }
}
