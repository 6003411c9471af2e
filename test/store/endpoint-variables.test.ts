/** WHARF_TEST_*_ENDPOINT: the contract suites run on the servers that these name, and leave nothing there. */
import { DescribeTableCommand } from '@aws-sdk/client-dynamodb';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { GetQueueAttributesCommand } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { dynamoDbClient } from '../../lib/store/aws/record-store-dynamodb.js';
import { sqsClient } from '../../lib/store/aws/queue-sqs.js';
import { startDynamoDbFake } from '../fakes/dynamodb/index.js';
import { fakeCredentials, startS3Fake, type S3Fake } from '../fakes/s3/index.js';
import { startSqsFake } from '../fakes/sqs/index.js';
import { openTestBucket, openTestQueue, openTestTable } from './aws-subjects.js';

const before = { ...process.env };
const ends: (() => Promise<void>)[] = [];
let s3: S3Fake;
let dynamoDb: string;
let sqs: string;

beforeAll(async () => {
  const [table, queue] = [await startDynamoDbFake({}), await startSqsFake({})];
  s3 = await startS3Fake();
  [dynamoDb, sqs] = [table.endpoint, queue.endpoint];
  ends.push(...[s3, table, queue].map((fake) => () => fake.close()));
  Object.assign(process.env, {
    WHARF_TEST_S3_ENDPOINT: s3.endpoint,
    WHARF_TEST_DYNAMODB_ENDPOINT: dynamoDb,
    WHARF_TEST_SQS_ENDPOINT: sqs,
    AWS_ACCESS_KEY_ID: fakeCredentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: fakeCredentials.secretAccessKey,
  });
});

afterAll(async () => {
  process.env = before;
  for (const end of ends) await end();
});

const own = (endpoint: string) => ({ endpoint, region: 'us-east-1', credentials: fakeCredentials });

test('a bucket is made at the S3 that is named, and removed with its objects', async () => {
  const { client, bucket, ...subject } = await openTestBucket();
  await client.send(new PutObjectCommand({ Bucket: bucket, Key: 'left/behind', Body: 'x' }));
  expect([...s3.buckets.keys()]).toEqual([bucket]);
  await subject.close();
  expect(s3.buckets.size).toBe(0);
  client.destroy();
});

test('a table is made at the DynamoDB that is named, and removed', async () => {
  const { client, table, ...subject } = await openTestTable();
  const there = dynamoDbClient(own(dynamoDb));
  const describe = () => there.send(new DescribeTableCommand({ TableName: table }));
  expect((await describe()).Table?.TableName).toBe(table);
  await subject.close();
  await expect(describe()).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
  client.destroy();
  there.destroy();
});

test('a queue with its dead letters is made at the SQS that is named, and removed', async () => {
  const { client, queueUrl, deadLetterUrl, ...subject } = await openTestQueue(3);
  const there = sqsClient(own(sqs));
  const look = (QueueUrl: string) => there.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['All'] }));
  expect((await look(queueUrl)).Attributes?.['RedrivePolicy']).toContain('"maxReceiveCount":3');
  await subject.close();
  for (const url of [queueUrl, deadLetterUrl]) await expect(look(url)).rejects.toThrow();
  client.destroy();
  there.destroy();
});
