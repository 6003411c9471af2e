/** The store on AWS: blobs in S3, records in DynamoDB, secrets as records sealed by a key from Secrets Manager. */
import { hkdfSync } from 'node:crypto';
import { systemClock } from '../../store/system/clock-system.js';
import { systemIds } from '../../store/system/ids-system.js';
import {
  ContentStore,
  type Clock,
  type Ids,
  LateBlobStore,
  LateRecordStore,
  LateSecretStore,
  type Logger,
  openSchema,
  type RecordStore,
  type SecretStore,
} from '../../store/index.js';
import { RecordsSecretStore } from '../../store/records/secret-store-records.js';
import type { AwsConfig, STORE_SETTINGS } from './config.js';
import { readSecret } from './secret-late.js';
import { openAwsLogger } from './logger.js';

export interface AwsStore {
  readonly clock: Clock;
  readonly ids: Ids;
  readonly records: RecordStore;
  readonly content: ContentStore;
  readonly secrets: SecretStore;
  readonly logger: Logger;
}

/**
 * Nothing of AWS is loaded or asked before it is used, by calls that then throw STORE_REFUSED, STORE_UNAVAILABLE, and
 * SCHEMA_NEWER when a newer Wharf wrote the records.
 */
export function openAwsStore({ region, table, bucket, sealingKeyArn }: StoreConfig): AwsStore {
  const clock = systemClock;
  const ids = systemIds;
  const records = new LateRecordStore(async () => {
    const { dynamoDbClient, DynamoDbRecordStore } = await import('../../store/aws/record-store-dynamodb.js');
    const opened = new DynamoDbRecordStore({ client: dynamoDbClient({ region }), clock, ids }, { table });
    await openSchema(opened);
    return opened;
  });
  const blobs = new LateBlobStore(async () => {
    const { S3BlobStore } = await import('../../store/aws/blob-store-s3.js');
    const { s3Client } = await import('../../store/aws/bucket-s3.js');
    return new S3BlobStore({ client: s3Client({ region }), records, clock, ids }, { bucket });
  });
  return {
    clock,
    ids,
    records,
    content: new ContentStore(blobs, records, clock),
    secrets: new LateSecretStore(async () => {
      const key = sealingKey(await readSecret(sealingKeyArn, region));
      return new RecordsSecretStore(records, { key });
    }),
    logger: openAwsLogger(clock),
  };
}

type StoreConfig = AwsConfig<(typeof STORE_SETTINGS)[number]>;

/** Secrets Manager makes text; 43 letters and digits carry the 256 bits that AES wants. */
export function sealingKey(text: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', text, '', 'wharf sealing key', 32));
}
