/** The two pairs of stores the registry runs on, each opened fresh: folder + lmdb, and S3 + DynamoDB (fakes, or real). */
import { S3BlobStore } from '../../../lib/store/aws/blob-store-s3.js';
import { systemClock } from '../../../lib/store/system/clock-system.js';
import { systemIds } from '../../../lib/store/system/ids-system.js';
import { type Clock, ContentStore } from '../../../lib/store/index.js';
import { DynamoDbRecordStore } from '../../../lib/store/aws/record-store-dynamodb.js';
import { createTestStore } from '../../fakes/embedded-store.js';
import { openTestBucket, openTestTable } from '../../store/aws-subjects.js';
import type { RegistryParts } from './registry-server.js';

export interface OpenStore extends RegistryParts {
  close(): Promise<void>;
}

export type StoreFactory = (options?: { readonly clock?: Clock }) => Promise<OpenStore>;

export const openEmbeddedStore: StoreFactory = (options) => createTestStore(options);

export const openCloudStore: StoreFactory = async (options = {}) => {
  const clock = options.clock ?? systemClock;
  const ids = systemIds;
  const [bucket, table] = await Promise.all([openTestBucket(), openTestTable()]);
  const records = new DynamoDbRecordStore({ client: table.client, clock, ids }, { table: table.table });
  const blobs = new S3BlobStore({ client: bucket.client, records, clock, ids }, { bucket: bucket.bucket });
  return {
    records,
    content: new ContentStore(blobs, records, clock),
    clock,
    ids,
    async close() {
      await Promise.all([bucket.close(), table.close()]);
    },
  };
};
