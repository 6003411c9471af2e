/**
 * Takes away what nobody needs: untagged manifests, blobs without holders, uploads that were given up. One at a time,
 * called often and mostly resting: a pass that does not fit into one call goes on in the next.
 */
import { Duration } from 'aws-cdk-lib';
import { type Metric, type MetricOptions, Stats } from 'aws-cdk-lib/aws-cloudwatch';
import { Rule, Schedule } from 'aws-cdk-lib/aws-events';
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets';
import type { ILogGroup } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { type CfnOverrides, overrideCfn } from './cfn-overrides.js';
import type { IImageStore } from './image-store.js';
import { ownMetric } from './metrics.js';
import { checkWhole } from './refused-prop.js';
import { WharfFunction } from './wharf-function.js';

export interface ImageCollectorProps {
  readonly store: IImageStore;
  /** How often it is called; a whole pass is made every six hours. @default Duration.minutes(5) */
  readonly interval?: Duration;
  /**
   * Kept free for it of what the account may run at once, and the most of it; 1 is enough. A young account with a quota of
   * ten has none to keep, and a deployment that asks for some fails there.
   * @default - none: it is called by a clock, and a second call finds the first one at work
   */
  readonly reservedConcurrency?: number;
  /** What the function writes. @default - a new log group, kept for a month, gone with the stack */
  readonly logGroup?: ILogGroup;
  /** For `function`. @default - none */
  readonly cfnOverrides?: CfnOverrides;
}

export class ImageCollector extends Construct {
  readonly function: WharfFunction;

  /** @throws AppError PROP_REFUSED for a reserved concurrency that is no whole number of 1 or more */
  constructor(scope: Construct, id: string, props: ImageCollectorProps) {
    super(scope, id);
    checkWhole(this.node.path, { reservedConcurrency: props.reservedConcurrency }, 1);
    this.function = new WharfFunction(this, 'Collector', {
      entry: 'collector',
      timeout: Duration.minutes(4),
      ...(props.reservedConcurrency === undefined ? {} : { reservedConcurrency: props.reservedConcurrency }),
      ...(props.logGroup === undefined ? {} : { logGroup: props.logGroup }),
      environment: {
        WHARF_TABLE: props.store.table.tableName,
        WHARF_BUCKET: props.store.bucket.bucketName,
        WHARF_SEALING_KEY_ARN: props.store.sealingKey.secretArn,
      },
    });
    props.store.grantReadWrite(this.function.role);
    this.function.function.configureAsyncInvoke({ retryAttempts: 0 });
    new Rule(this, 'Schedule', {
      description: 'Goes on with the pass over all that is stored',
      schedule: Schedule.rate(props.interval ?? Duration.minutes(5)),
      targets: [new LambdaFunction(this.function.function)],
    });
    overrideCfn(this, { function: this.function.function }, props.cfnOverrides);
  }

  /** Bytes of blobs that were taken away, told at the end of each pass. */
  metricBytesCollected(options?: MetricOptions): Metric {
    return ownMetric(this.function, 'BytesCollected', { statistic: Stats.SUM, ...options });
  }

  /** Calls that failed: the next one begins anew. */
  metricErrors(options?: MetricOptions): Metric {
    return this.function.metricErrors(options);
  }
}
