/** The services of an account that keep something: buckets, tables, queues and secrets, made as the templates say. */
import { CreateTableCommand } from '@aws-sdk/client-dynamodb';
import { CreateBucketCommand } from '@aws-sdk/client-s3';
import { CreateQueueCommand, type SQSClient } from '@aws-sdk/client-sqs';
import { s3Client } from '../../../lib/store/aws/bucket-s3.js';
import { sqsClient } from '../../../lib/store/aws/queue-sqs.js';
import { dynamoDbClient } from '../../../lib/store/aws/record-store-dynamodb.js';
import { startDynamoDbFake } from '../dynamodb/index.js';
import { jsonFailure, startJsonApi } from '../json-api.js';
import { fakeCredentials, startS3Fake } from '../s3/index.js';
import { startSqsFake } from '../sqs/index.js';
import { type Deployed, REGION, type Templates } from './template.js';

type S3Options = NonNullable<Parameters<typeof startS3Fake>[0]>;
type JsonOptions = NonNullable<Parameters<typeof startSqsFake>[0]>;

/** What goes wrong, asked at every call. */
export interface ServiceFaults {
  readonly s3?: S3Options['fault'];
  readonly dynamoDb?: JsonOptions['fault'];
  readonly sqs?: JsonOptions['fault'];
}

export interface Services {
  readonly endpoints: {
    readonly s3: string;
    readonly dynamoDb: string;
    readonly sqs: string;
    readonly secrets: string;
  };
  readonly queues: SQSClient;
  close(): Promise<void>;
}

const common = { region: REGION, credentials: fakeCredentials };

/** @param secretOf the text of a secret, by the part of its name */
export async function startServices(faults: ServiceFaults, secretOf: (arn: string) => string): Promise<Services> {
  const [s3, dynamoDb, sqs, secrets] = await Promise.all([
    startS3Fake(faults.s3 === undefined ? {} : { fault: faults.s3 }),
    startDynamoDbFake(faults.dynamoDb === undefined ? {} : { fault: faults.dynamoDb }),
    startSqsFake(faults.sqs === undefined ? {} : { fault: faults.sqs }),
    startJsonApi(async ({ operation, input }) => {
      if (operation !== 'GetSecretValue') return jsonFailure(400, 'ResourceNotFoundException');
      return { status: 200, body: JSON.stringify({ SecretString: secretOf(String(input['SecretId'])) }) };
    }),
  ]);
  const queues = sqsClient({ ...common, endpoint: sqs.endpoint });
  return {
    endpoints: { s3: s3.endpoint, dynamoDb: dynamoDb.endpoint, sqs: sqs.endpoint, secrets: secrets.endpoint },
    queues,
    async close() {
      queues.destroy();
      await Promise.all([s3, dynamoDb, sqs, secrets].map((part) => part.close()));
    },
  };
}

export async function makeResources(services: Services, templates: Templates): Promise<void> {
  const s3 = s3Client({ ...common, endpoint: services.endpoints.s3, forcePathStyle: true });
  for (const { id } of templates.ofType('AWS::S3::Bucket')) {
    await s3.send(new CreateBucketCommand({ Bucket: id.toLowerCase() }));
  }
  s3.destroy();
  const dynamoDb = dynamoDbClient({ ...common, endpoint: services.endpoints.dynamoDb });
  for (const { id } of templates.ofType('AWS::DynamoDB::GlobalTable')) {
    await dynamoDb.send(
      new CreateTableCommand({
        TableName: id,
        BillingMode: 'PAY_PER_REQUEST',
        AttributeDefinitions: ['pk', 'sk'].map((AttributeName) => ({ AttributeName, AttributeType: 'S' })),
        KeySchema: [
          { AttributeName: 'pk', KeyType: 'HASH' },
          { AttributeName: 'sk', KeyType: 'RANGE' },
        ],
      }),
    );
  }
  dynamoDb.destroy();
  for (const queue of templates.ofType('AWS::SQS::Queue')) {
    await services.queues.send(new CreateQueueCommand({ QueueName: queue.id, Attributes: queueAttributes(queue) }));
  }
}

function queueAttributes({ properties }: Deployed): Record<string, string> {
  const redrive = properties['RedrivePolicy'];
  const visibility = properties['VisibilityTimeout'] as number | undefined;
  return {
    ...(redrive === undefined ? {} : { RedrivePolicy: JSON.stringify(redrive) }),
    ...(visibility === undefined ? {} : { VisibilityTimeout: String(visibility) }),
  };
}
