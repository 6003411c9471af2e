/**
 * The AWS clients for tests, each with a fresh bucket, table or queue: `openTest…` against the server that an endpoint
 * variable names, with the ordinary AWS credentials, else against the fake; `openFake…` always against the fake.
 */
import { randomBytes } from 'node:crypto';
import {
  CreateTableCommand,
  DeleteTableCommand,
  UpdateTimeToLiveCommand,
  waitUntilTableExists,
} from '@aws-sdk/client-dynamodb';
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  ListObjectsV2Command,
  type S3Client,
} from '@aws-sdk/client-s3';
import { CreateQueueCommand, DeleteQueueCommand, GetQueueAttributesCommand, type SQSClient } from '@aws-sdk/client-sqs';
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { s3Client } from '../../lib/store/aws/bucket-s3.js';
import { sqsClient } from '../../lib/store/aws/queue-sqs.js';
import { dynamoDbClient } from '../../lib/store/aws/record-store-dynamodb.js';
import { startDynamoDbFake, type DynamoDbFakeOptions } from '../fakes/dynamodb/index.js';
import { fakeCredentials, startS3Fake, type S3Fake, type S3FakeOptions } from '../fakes/s3/index.js';
import { startSqsFake, type SqsFakeOptions } from '../fakes/sqs/index.js';

interface Closable {
  close(): Promise<void>;
}

export interface TestBucket extends Closable {
  readonly client: S3Client;
  readonly bucket: string;
}

export interface TestTable extends Closable {
  readonly client: DynamoDBDocumentClient;
  readonly table: string;
}

export interface TestQueue extends Closable {
  readonly client: SQSClient;
  readonly queueUrl: string;
  readonly deadLetterUrl: string;
}

const region = process.env['AWS_REGION'] ?? 'us-east-1';
const ofFake = (endpoint: string) => ({ endpoint, region, credentials: fakeCredentials, maxAttempts: 3 });
const freshName = (): string => `wharf-test-${randomBytes(6).toString('hex')}`;

export async function openTestBucket(): Promise<TestBucket> {
  const endpoint = process.env['WHARF_TEST_S3_ENDPOINT'];
  if (endpoint === undefined) return openFakeBucket();
  const client = s3Client({ endpoint, region, forcePathStyle: true });
  const bucket = await createBucket(client);
  return { client, bucket, close: () => emptyAndDelete(client, bucket) };
}

export async function openFakeBucket(options: S3FakeOptions = {}): Promise<TestBucket & { readonly fake: S3Fake }> {
  const fake = await startS3Fake(options);
  const client = s3Client({ ...ofFake(fake.endpoint), forcePathStyle: true });
  return { client, bucket: await createBucket(client), fake, close: () => closeBoth(client, fake) };
}

export async function openTestTable(): Promise<TestTable> {
  const endpoint = process.env['WHARF_TEST_DYNAMODB_ENDPOINT'];
  if (endpoint === undefined) return openFakeTable();
  const client = dynamoDbClient({ endpoint, region });
  const table = await createTable(client);
  return { client, table, close: async () => void (await client.send(new DeleteTableCommand({ TableName: table }))) };
}

export async function openFakeTable(options: DynamoDbFakeOptions = {}, answerMs?: number): Promise<TestTable> {
  const fake = await startDynamoDbFake(options);
  const client = dynamoDbClient(ofFake(fake.endpoint), answerMs);
  return { client, table: await createTable(client), close: () => closeBoth(client, fake) };
}

export async function openTestQueue(maxDeliveries: number): Promise<TestQueue> {
  const endpoint = process.env['WHARF_TEST_SQS_ENDPOINT'];
  if (endpoint === undefined) return openFakeQueue(maxDeliveries);
  const client = sqsClient({ endpoint, region });
  const urls = await createQueues(client, maxDeliveries);
  return {
    client,
    ...urls,
    async close() {
      for (const QueueUrl of Object.values(urls)) await client.send(new DeleteQueueCommand({ QueueUrl }));
    },
  };
}

export async function openFakeQueue(
  maxDeliveries: number,
  options: SqsFakeOptions = {},
  answerMs?: number,
): Promise<TestQueue> {
  const fake = await startSqsFake(options);
  const client = sqsClient(ofFake(fake.endpoint), answerMs);
  return { client, ...(await createQueues(client, maxDeliveries)), close: () => closeBoth(client, fake) };
}

async function closeBoth(client: { destroy(): void }, fake: Closable): Promise<void> {
  client.destroy();
  await fake.close();
}

async function createBucket(client: S3Client): Promise<string> {
  const bucket = freshName();
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  return bucket;
}

async function emptyAndDelete(client: S3Client, bucket: string): Promise<void> {
  for (;;) {
    const page = await client.send(new ListObjectsV2Command({ Bucket: bucket }));
    if ((page.Contents ?? []).length === 0) break;
    for (const { Key } of page.Contents ?? []) await client.send(new DeleteObjectCommand({ Bucket: bucket, Key }));
  }
  await client.send(new DeleteBucketCommand({ Bucket: bucket }));
}

async function createTable(client: DynamoDBDocumentClient): Promise<string> {
  const table = freshName();
  await client.send(
    new CreateTableCommand({
      TableName: table,
      BillingMode: 'PAY_PER_REQUEST',
      AttributeDefinitions: ['pk', 'sk'].map((AttributeName) => ({ AttributeName, AttributeType: 'S' })),
      KeySchema: [
        { AttributeName: 'pk', KeyType: 'HASH' },
        { AttributeName: 'sk', KeyType: 'RANGE' },
      ],
    }),
  );
  await waitUntilTableExists({ client, maxWaitTime: 120, minDelay: 1 }, { TableName: table });
  const TimeToLiveSpecification = { AttributeName: 'ttl', Enabled: true };
  await client.send(new UpdateTimeToLiveCommand({ TableName: table, TimeToLiveSpecification }));
  return table;
}

async function createQueues(
  client: SQSClient,
  maxDeliveries: number,
): Promise<{ queueUrl: string; deadLetterUrl: string }> {
  const create = async (name: string, Attributes: Record<string, string>): Promise<string> =>
    (await client.send(new CreateQueueCommand({ QueueName: name, Attributes }))).QueueUrl ?? '';
  const name = freshName();
  const deadLetterUrl = await create(`${name}-dead`, {});
  const query = new GetQueueAttributesCommand({ QueueUrl: deadLetterUrl, AttributeNames: ['QueueArn'] });
  const deadLetterTargetArn = (await client.send(query)).Attributes?.['QueueArn'];
  const RedrivePolicy = JSON.stringify({ deadLetterTargetArn, maxReceiveCount: maxDeliveries });
  return { queueUrl: await create(name, { RedrivePolicy }), deadLetterUrl };
}
