import { S3BlobStore } from '../../lib/store/aws/blob-store-s3.js';
import { systemClock } from '../../lib/store/system/clock-system.js';
import { systemIds } from '../../lib/store/system/ids-system.js';
import { DynamoDbRecordStore } from '../../lib/store/aws/record-store-dynamodb.js';
import { contentStoreContract } from '../contract/content-store.js';
import { createTestStore } from '../fakes/embedded-store.js';
import { openTestBucket, openTestTable } from './aws-subjects.js';

contentStoreContract('a folder and lmdb', createTestStore);

contentStoreContract('S3 and DynamoDB', async () => {
  const [s3, dynamoDb] = await Promise.all([openTestBucket(), openTestTable()]);
  const deps = { clock: systemClock, ids: systemIds };
  const records = new DynamoDbRecordStore({ ...deps, client: dynamoDb.client }, { table: dynamoDb.table });
  const blobs = new S3BlobStore({ ...deps, client: s3.client, records }, { bucket: s3.bucket });
  return {
    records,
    blobs,
    async close() {
      await s3.close();
      await dynamoDb.close();
    },
  };
});
