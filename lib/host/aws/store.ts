/** The store on AWS: blobs in S3, records in DynamoDB, secrets as records sealed by a key from Secrets Manager. */
import { hkdfSync } from 'node:crypto';
import { S3BlobStore } from '../../store/blob-store-s3.js';
import { s3Client } from '../../store/bucket-s3.js';
import { systemClock } from '../../store/clock-system.js';
import { systemIds } from '../../store/ids-system.js';
import {
  ContentStore,
  type Clock,
  type Ids,
  type Logger,
  openSchema,
  type RecordStore,
  type SecretStore,
} from '../../store/index.js';
import { jsonLogger } from '../../store/logger-json-system.js';
import { dynamoDbClient, DynamoDbRecordStore } from '../../store/record-store-dynamodb.js';
import { RecordsSecretStore } from '../../store/secret-store-records.js';
import type { AwsConfig, STORE_SETTINGS } from './config.js';
import { readSecret } from './secret.js';
import { contextLogger } from './log-context.js';

export interface AwsStore {
  readonly clock: Clock;
  readonly ids: Ids;
  readonly records: RecordStore;
  readonly content: ContentStore;
  readonly secrets: SecretStore;
  readonly logger: Logger;
}

/** @throws AppError STORE_REFUSED, STORE_UNAVAILABLE when the sealing key cannot be read; SCHEMA_NEWER */
export async function openAwsStore(config: AwsConfig<(typeof STORE_SETTINGS)[number]>): Promise<AwsStore> {
  const clock = systemClock;
  const ids = systemIds;
  const { region, table, bucket, sealingKeyArn } = config;
  const records = new DynamoDbRecordStore({ client: dynamoDbClient({ region }), clock, ids }, { table });
  const blobs = new S3BlobStore({ client: s3Client({ region }), records, clock, ids }, { bucket });
  const [secret] = await Promise.all([readSecret(sealingKeyArn, region), openSchema(records)]);
  const key = sealingKey(secret);
  return {
    clock,
    ids,
    records,
    content: new ContentStore(blobs, records, clock),
    secrets: new RecordsSecretStore(records, { key }),
    logger: contextLogger(jsonLogger({ stream: process.stdout, clock })),
  };
}

/** Secrets Manager makes text; 43 letters and digits carry the 256 bits that AES wants. */
function sealingKey(text: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', text, '', 'wharf sealing key', 32));
}
