/** Metrics that CDK has no method for. */
import { Duration } from 'aws-cdk-lib';
import { Metric, type MetricOptions, Stats } from 'aws-cdk-lib/aws-cloudwatch';
import type { IBucket } from 'aws-cdk-lib/aws-s3';

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
