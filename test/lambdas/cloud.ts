/**
 * An account for the functions: the fakes of S3, DynamoDB, SQS and Secrets Manager, the stand-ins of ECS and ECR, the
 * bundles of the synthesised app with the environment of their templates, and a gateway in front.
 */
import { CreateTableCommand } from '@aws-sdk/client-dynamodb';
import { CreateBucketCommand } from '@aws-sdk/client-s3';
import { CreateQueueCommand, ReceiveMessageCommand, type SQSClient } from '@aws-sdk/client-sqs';
import { s3Client } from '../../lib/store/bucket-s3.js';
import { sqsClient } from '../../lib/store/queue-sqs.js';
import { dynamoDbClient } from '../../lib/store/record-store-dynamodb.js';
import { startDynamoDbFake } from '../fakes/dynamodb/index.js';
import { jsonFailure, startJsonApi } from '../fakes/json-api.js';
import { fakeCredentials, startS3Fake } from '../fakes/s3/index.js';
import { startSqsFake } from '../fakes/sqs/index.js';
import { type Synthesis, synthesise } from '../synth/synthesis.js';
import { type EcrStandIn, startEcrStandIn } from './ecr-stand-in.js';
import { type EcsStandIn, startEcsStandIn } from './ecs-stand-in.js';
import { type FunctionProcess, startFunction } from './function-process.js';
import { type Gateway, startGateway } from './gateway.js';

export const ADMIN_TOKEN = 'Aq3'.repeat(14);
export const FUNCTIONS = ['api', 'registry', 'builder', 'reconciler'] as const;
export type FunctionName = (typeof FUNCTIONS)[number];

const LOGICAL_ID: Readonly<Record<FunctionName, string>> = {
  api: 'WharfControlPlaneApiFunction',
  registry: 'WharfControlPlaneRegistryFunction',
  builder: 'WharfBuilderFunction',
  reconciler: 'WharfControlPlaneReconcilerFunction',
};

export interface Cloud {
  readonly synthesis: Synthesis;
  readonly functions: Readonly<Record<FunctionName, FunctionProcess>>;
  readonly gateway: Gateway;
  readonly ecs: EcsStandIn;
  readonly ecr: EcrStandIn;
  readonly s3Endpoint: string;
  /** A fresh process of the function, with other settings where given; undefined takes one away. */
  start(name: FunctionName, settings?: Readonly<Record<string, string | undefined>>): Promise<FunctionProcess>;
  /** The messages that wait in the build queue, as Lambda hands them over: one event each. */
  takeBuildEvents(): Promise<SqsEvent[]>;
  close(): Promise<void>;
}

export interface SqsEvent {
  readonly Records: readonly {
    readonly messageId: string;
    readonly receiptHandle: string;
    readonly body: string;
    readonly attributes: { readonly ApproximateReceiveCount: string };
  }[];
}

export async function openCloud(): Promise<Cloud> {
  const synthesis = synthesise();
  const [s3, dynamoDb, sqs, ecs, ecr] = await Promise.all([
    startS3Fake(),
    startDynamoDbFake(),
    startSqsFake(),
    startEcsStandIn(),
    startEcrStandIn(),
  ]);
  const secrets = await startJsonApi(async ({ operation, input }) => {
    const value = { 'arn:sealing': 'S'.repeat(43), 'arn:token': ADMIN_TOKEN }[String(input['SecretId'])];
    if (operation !== 'GetSecretValue' || value === undefined) return jsonFailure(400, 'ResourceNotFoundException');
    return { status: 200, body: JSON.stringify({ SecretString: value }) };
  });
  const { client: queueClient, queueUrl } = await makeResources(s3.endpoint, dynamoDb.endpoint, sqs.endpoint);
  const resolved: Readonly<Record<string, string>> = {
    WHARF_TABLE: 'records',
    WHARF_BUCKET: 'blobs',
    WHARF_BUILD_QUEUE_URL: queueUrl,
    WHARF_SEALING_KEY_ARN: 'arn:sealing',
    WHARF_ADMIN_TOKEN_ARN: 'arn:token',
    WHARF_CAPACITY_PROVIDER: 'provider',
    WHARF_EXECUTION_ROLE_ARN: 'arn:aws:iam::123456789012:role/execution',
    WHARF_TASK_LOG_GROUP: 'tasks',
  };
  const account = {
    AWS_REGION: 'eu-central-1',
    AWS_ACCESS_KEY_ID: fakeCredentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: fakeCredentials.secretAccessKey,
    AWS_ENDPOINT_URL_S3: s3.endpoint,
    AWS_ENDPOINT_URL_DYNAMODB: dynamoDb.endpoint,
    AWS_ENDPOINT_URL_SQS: sqs.endpoint,
    AWS_ENDPOINT_URL_SECRETS_MANAGER: secrets.endpoint,
    AWS_ENDPOINT_URL_ECS: ecs.endpoint,
    AWS_ENDPOINT_URL_ECR: ecr.endpoint,
  };
  const start: Cloud['start'] = (name, settings = {}) => {
    const environment = { ...settingsOf(synthesis, name, resolved), ...account, ...settings };
    const given = Object.entries(environment).filter((entry): entry is [string, string] => entry[1] !== undefined);
    return startFunction(synthesis.codeOf('WharfPlatform', LOGICAL_ID[name]), Object.fromEntries(given));
  };
  const [api, registry, builder, reconciler] = await Promise.all([
    start('api'),
    start('registry'),
    start('builder'),
    start('reconciler'),
  ]);
  const functions = { api, registry, builder, reconciler };
  const gateway = await startGateway(functions);
  return {
    synthesis,
    functions,
    gateway,
    ecs,
    ecr,
    s3Endpoint: s3.endpoint,
    start,
    takeBuildEvents: () => takeEvents(queueClient, queueUrl),
    async close() {
      await gateway.close();
      await Promise.all(Object.values(functions).map((fn) => fn.close()));
      queueClient.destroy();
      await Promise.all([s3, dynamoDb, sqs, secrets, ecs, ecr].map((part) => part.close()));
      synthesis.remove();
    },
  };
}

/** The environment that the template gives the function; what only a deployment knows is put in by name. */
export function settingsOf(
  synthesis: Synthesis,
  name: FunctionName,
  resolved: Readonly<Record<string, string>>,
): Record<string, string> {
  const [, fn] =
    Object.entries(synthesis.resources('WharfPlatform')).find(
      ([id, resource]) => id.startsWith(LOGICAL_ID[name]) && resource.Type === 'AWS::Lambda::Function',
    ) ?? [];
  const environment = fn?.Properties['Environment'] as { Variables: Record<string, unknown> } | undefined;
  return Object.fromEntries(
    Object.entries(environment?.Variables ?? {}).map(([variable, value]) => {
      const text = typeof value === 'string' ? value : resolved[variable];
      if (text === undefined) throw new Error(`nothing stands for ${variable} of ${name}`);
      return [variable, text];
    }),
  );
}

async function makeResources(
  s3Endpoint: string,
  dynamoDbEndpoint: string,
  sqsEndpoint: string,
): Promise<{ readonly client: SQSClient; readonly queueUrl: string }> {
  const common = { region: 'eu-central-1', credentials: fakeCredentials };
  const s3 = s3Client({ ...common, endpoint: s3Endpoint, forcePathStyle: true });
  await s3.send(new CreateBucketCommand({ Bucket: 'blobs' }));
  s3.destroy();
  const dynamoDb = dynamoDbClient({ ...common, endpoint: dynamoDbEndpoint });
  await dynamoDb.send(
    new CreateTableCommand({
      TableName: 'records',
      BillingMode: 'PAY_PER_REQUEST',
      AttributeDefinitions: ['pk', 'sk'].map((AttributeName) => ({ AttributeName, AttributeType: 'S' })),
      KeySchema: [
        { AttributeName: 'pk', KeyType: 'HASH' },
        { AttributeName: 'sk', KeyType: 'RANGE' },
      ],
    }),
  );
  dynamoDb.destroy();
  const client = sqsClient({ ...common, endpoint: sqsEndpoint });
  const { QueueUrl: queueUrl = '' } = await client.send(new CreateQueueCommand({ QueueName: 'builds' }));
  return { client, queueUrl };
}

async function takeEvents(client: SQSClient, queueUrl: string): Promise<SqsEvent[]> {
  const input = { QueueUrl: queueUrl, MaxNumberOfMessages: 10, VisibilityTimeout: 60 };
  const { Messages = [] } = await client.send(new ReceiveMessageCommand(input));
  return Messages.map(({ MessageId = '', ReceiptHandle = '', Body = '', Attributes }) => ({
    Records: [
      {
        messageId: MessageId,
        receiptHandle: ReceiptHandle,
        body: Body,
        attributes: { ApproximateReceiveCount: Attributes?.ApproximateReceiveCount ?? '1' },
      },
    ],
  }));
}
