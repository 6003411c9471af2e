import { systemIds } from '../../lib/store/system/ids-system.js';
import { DynamoDbRecordStore } from '../../lib/store/aws/record-store-dynamodb.js';
import { recordStoreContract } from '../contract/record-store.js';
import { openTestTable } from './aws-subjects.js';

recordStoreContract('DynamoDB', async ({ clock }) => {
  const { client, table, ...subject } = await openTestTable();
  const records = new DynamoDbRecordStore({ client, clock, ids: systemIds }, { table });
  return { records, close: () => subject.close() };
});
