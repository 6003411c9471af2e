/**
 * The AWS adapters for tests: against the fakes, or, when an endpoint variable is set, against that server with the
 * ordinary AWS credentials.
 */
import { randomBytes } from 'node:crypto';
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  ListObjectsV2Command,
  type S3Client,
} from '@aws-sdk/client-s3';
import { s3Client } from '../../lib/store/bucket-s3.js';
import {
  CreateTableCommand,
  DeleteTableCommand,
  UpdateTimeToLiveCommand,
  waitUntilTableExists,
} from '@aws-sdk/client-dynamodb';
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { dynamoDbClient } from '../../lib/store/record-store-dynamodb.js';
import { startDynamoDbFake, type DynamoDbFakeOptions } from '../fakes/dynamodb/index.js';
import { CreateQueueCommand, DeleteQueueCommand, GetQueueAttributesCommand, type SQSClient } from '@aws-sdk/client-sqs';
import { sqsClient } from '../../lib/store/queue-sqs.js';
import { startSqsFake, type SqsFakeOptions } from '../fakes/sqs/index.js';
import { fakeCredentials, startS3Fake, type S3FakeOptions } from '../fakes/s3/index.js';

const region = process.env['AWS_REGION'] ?? 'us-east-1';

export interface TestBucket {
  readonly client: S3Client;
  readonly bucket: string;
  close(): Promise<void>;
}

export async function openTestBucket(options: S3FakeOptions = {}): Promise<TestBucket> {
  const given = process.env['WHARF_TEST_S3_ENDPOINT'];
  const fake = given === undefined ? await startS3Fake(options) : undefined;
  const client = s3Client({
    endpoint: fake?.endpoint ?? given ?? '',
    region,
    forcePathStyle: true,
    ...(fake === undefined ? {} : { credentials: fakeCredentials }),
  });
  const bucket = `wharf-test-${randomBytes(6).toString('hex')}`;
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  return {
    client,
    bucket,
    async close() {
      if (fake === undefined) await emptyAndDelete(client, bucket);
      client.destroy();
      await fake?.close();
    },
  };
}

async function emptyAndDelete(client: S3Client, bucket: string): Promise<void> {
  for (;;) {
    const page = await client.send(new ListObjectsV2Command({ Bucket: bucket }));
    if ((page.Contents ?? []).length === 0) break;
    for (const { Key } of page.Contents ?? []) await client.send(new DeleteObjectCommand({ Bucket: bucket, Key }));
  }
  await client.send(new DeleteBucketCommand({ Bucket: bucket }));
}

export interface TestTable {
  readonly client: DynamoDBDocumentClient;
  readonly table: string;
  close(): Promise<void>;
}

export async function openTestTable(options: DynamoDbFakeOptions = {}): Promise<TestTable> {
  const given = process.env['WHARF_TEST_DYNAMODB_ENDPOINT'];
  const fake = given === undefined ? await startDynamoDbFake(options) : undefined;
  const client = dynamoDbClient({
    endpoint: fake?.endpoint ?? given ?? '',
    region,
    ...(fake === undefined ? {} : { credentials: fakeCredentials }),
  });
  const table = `wharf-test-${randomBytes(6).toString('hex')}`;
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
  return {
    client,
    table,
    async close() {
      if (fake === undefined) await client.send(new DeleteTableCommand({ TableName: table }));
      client.destroy();
      await fake?.close();
    },
  };
}

export interface TestQueue {
  readonly client: SQSClient;
  readonly queueUrl: string;
  readonly deadLetterUrl: string;
  close(): Promise<void>;
}

export async function openTestQueue(maxDeliveries: number, options: SqsFakeOptions = {}): Promise<TestQueue> {
  const given = process.env['WHARF_TEST_SQS_ENDPOINT'];
  const fake = given === undefined ? await startSqsFake(options) : undefined;
  const client = sqsClient({
    endpoint: fake?.endpoint ?? given ?? '',
    region,
    ...(fake === undefined ? {} : { credentials: fakeCredentials }),
  });
  const create = async (name: string, Attributes: Record<string, string>): Promise<string> => {
    const made = await client.send(new CreateQueueCommand({ QueueName: name, Attributes }));
    return made.QueueUrl ?? '';
  };
  const name = `wharf-test-${randomBytes(6).toString('hex')}`;
  const deadLetterUrl = await create(`${name}-dead`, {});
  const query = new GetQueueAttributesCommand({ QueueUrl: deadLetterUrl, AttributeNames: ['QueueArn'] });
  const deadLetterTargetArn = (await client.send(query)).Attributes?.['QueueArn'];
  const RedrivePolicy = JSON.stringify({ deadLetterTargetArn, maxReceiveCount: maxDeliveries });
  const queueUrl = await create(name, { RedrivePolicy });
  return {
    client,
    queueUrl,
    deadLetterUrl,
    async close() {
      for (const QueueUrl of [queueUrl, deadLetterUrl]) await client.send(new DeleteQueueCommand({ QueueUrl }));
      client.destroy();
      await fake?.close();
    },
  };
}
