/** Metrics that CDK has no method for. */
import { Duration } from 'aws-cdk-lib';
import { Metric, type MetricOptions, Stats } from 'aws-cdk-lib/aws-cloudwatch';
import type { IBucket } from 'aws-cdk-lib/aws-s3';
import type { WharfFunction } from './wharf-function.js';

/** Bytes in a bucket, as S3 counts them once a day. */
export function storedBytes(bucket: IBucket, options?: MetricOptions): Metric {
  return new Metric({
    namespace: 'AWS/S3',
    metricName: 'BucketSizeBytes',
    dimensionsMap: { BucketName: bucket.bucketName, StorageType: 'StandardStorage' },
    statistic: Stats.AVERAGE,
    period: Duration.days(1),
    ...options,
  });
}

/** What a function counts of its own work: lib/host/aws/metrics.ts writes it into the log. */
export function ownMetric({ function: fn }: WharfFunction, metricName: string, options: MetricOptions): Metric {
  return new Metric({ namespace: 'Wharf', metricName, dimensionsMap: { FunctionName: fn.functionName }, ...options });
}
