/**
 * What the image-resource function works with in an account: the adapters of AWS over fakes of S3, DynamoDB and SQS, a
 * stand-in for ECR, and the real builder taking messages from the queue. Assets lie in a bucket of their own.
 */
import { mkdtemp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { CreateTableCommand } from '@aws-sdk/client-dynamodb';
import { ECRClient } from '@aws-sdk/client-ecr';
import { CreateBucketCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { CreateQueueCommand, type SQSClient } from '@aws-sdk/client-sqs';
import { BuildService, type BuildTasks } from '../../lib/build/index.js';
import { AwsBuilder } from '../../lib/host/aws/builder.js';
import { ImageResource } from '../../lib/host/aws/image-resource.js';
import type { BegunImage, ImageProgress } from '../../lib/host/aws/image-resource.js';
import type { ImageEvent } from '../../lib/host/aws/image-request.js';
import { EcrMirror } from '../../lib/host/aws/mirror.js';
import { type AwsStore, sealingKey } from '../../lib/host/aws/store.js';
import { openContextFolder } from '../../lib/layers/context/context-folder-fs.js';
import { writeContextTar } from '../../lib/layers/context/context-tar-fs.js';
import { Registry } from '../../lib/registry/index.js';
import { S3BlobStore } from '../../lib/store/aws/blob-store-s3.js';
import { s3Client } from '../../lib/store/aws/bucket-s3.js';
import { systemClock } from '../../lib/store/system/clock-system.js';
import { systemIds } from '../../lib/store/system/ids-system.js';
import { ContentStore, type QueueMessage, noMetrics, silentLogger } from '../../lib/store/index.js';
import { sqsClient, SqsQueue } from '../../lib/store/aws/queue-sqs.js';
import { dynamoDbClient, DynamoDbRecordStore } from '../../lib/store/aws/record-store-dynamodb.js';
import { RecordsSecretStore } from '../../lib/store/records/secret-store-records.js';
import { startDynamoDbFake } from '../fakes/dynamodb/index.js';
import { fakeCredentials, startS3Fake } from '../fakes/s3/index.js';
import { startSqsFake } from '../fakes/sqs/index.js';
import { type EcrStandIn, startEcrStandIn } from '../fakes/account/ecr.js';

export interface ImageResourceLab {
  readonly resource: ImageResource;
  readonly registry: Registry;
  readonly content: ContentStore;
  readonly builds: BuildService;
  readonly ecr: EcrStandIn;
  /** Puts a folder of these files among the assets. @returns the key */
  asset(files: Readonly<Record<string, string>>): Promise<string>;
  /** The build queue, as a name and as what is behind it. */
  readonly queues: {
    readonly client: SQSClient;
    readonly url: string;
    readonly endpoint: string;
    readonly deadLetterArn: string;
  };
  /** The builder function's code; `build` hands it messages. */
  readonly builder: AwsBuilder;
  /** Hands every message that waits to the builder function's code. @returns how many there were */
  build(): Promise<number>;
  /** One life of the resource in CloudFormation, from event to answer, with the builder at work. */
  run(event: ImageEvent): Promise<{ readonly begun: BegunImage; readonly progress: ImageProgress }>;
  close(): Promise<void>;
}

/** What a lab with workers gives to whoever starts them. */
export interface LabParts {
  readonly store: AwsStore;
  readonly registry: Registry;
  readonly mirror: (prefix: string) => EcrMirror;
  readonly endpoints: { readonly s3: string; readonly dynamoDb: string };
}

export interface ImageResourceLabOptions {
  /** Of images that ask for none. @default linux/arm64 */
  readonly platform?: string;
  /** The ECR of an account that is there already; it stays the caller's. @default - a new one */
  readonly ecr?: EcrStandIn;
  /** Where a RUN goes on. @default - nowhere */
  readonly tasks?: (parts: LabParts) => Promise<BuildTasks>;
}

/** Names of the lab's own table and bucket. */
export const LAB_TABLE = 'records';
export const LAB_BUCKET = 'blobs';

/** What Secrets Manager has: of the platform, and by ARN of others. */
export const LAB_SEALING_KEY = 'S'.repeat(43);
export const LAB_SECRETS: Readonly<Record<string, string>> = { 'arn:token': 'open-sesame' };

const common = { region: 'eu-central-1', credentials: fakeCredentials };

export async function openImageResourceLab(options: ImageResourceLabOptions = {}): Promise<ImageResourceLab> {
  const [s3Fake, dynamoDb, sqs, ecr] = await Promise.all([
    startS3Fake(),
    startDynamoDbFake(),
    startSqsFake(),
    options.ecr ?? startEcrStandIn(),
  ]);
  const s3 = s3Client({ ...common, endpoint: s3Fake.endpoint, forcePathStyle: true });
  for (const Bucket of [LAB_BUCKET, 'assets']) await s3.send(new CreateBucketCommand({ Bucket }));
  const tables = dynamoDbClient({ ...common, endpoint: dynamoDb.endpoint });
  await makeTable(tables);
  const queues = sqsClient({ ...common, endpoint: sqs.endpoint });
  await queues.send(new CreateQueueCommand({ QueueName: 'dead' }));
  const deadLetterTargetArn = 'arn:aws:sqs:us-east-1:000000000000:dead';
  // As lib/constructs/image-builder.ts sets it.
  const RedrivePolicy = JSON.stringify({ deadLetterTargetArn, maxReceiveCount: 6 });
  const created = await queues.send(new CreateQueueCommand({ QueueName: 'builds', Attributes: { RedrivePolicy } }));
  const { QueueUrl: queueUrl = '' } = created;
  const ecrClient = new ECRClient({ ...common, endpoint: ecr.endpoint });

  const parts = { clock: systemClock, ids: systemIds, logger: silentLogger };
  const records = new DynamoDbRecordStore({ client: tables, ...parts }, { table: LAB_TABLE });
  const content = new ContentStore(
    new S3BlobStore({ client: s3, records, ...parts }, { bucket: LAB_BUCKET }),
    records,
    systemClock,
  );
  const secrets = new RecordsSecretStore(records, { key: sealingKey(LAB_SEALING_KEY) });
  const store = { ...parts, records, content, secrets };
  const registry = new Registry(store);
  const queue = new SqsQueue({ ...store, client: queues }, { queueUrl });
  const builds = new BuildService({ ...store, queue });
  const mirrorTo = (prefix: string): EcrMirror =>
    new EcrMirror({ ...store, ecr: ecrClient, images: registry }, { prefix, budgetMs: 60_000 });
  const resource = new ImageResource({
    ...{ ...store, registry, builds, mirror: mirrorTo(''), ecr: ecrClient, s3 },
    readSecret: async (arn) => {
      const value = LAB_SECRETS[arn];
      if (value === undefined) throw new Error(`no secret ${arn}`);
      return value;
    },
  });
  const endpoints = { s3: s3Fake.endpoint, dynamoDb: dynamoDb.endpoint };
  const tasks = await options.tasks?.({ store, registry, mirror: mirrorTo, endpoints });
  const builder = new AwsBuilder(
    { store, registry, queue, metrics: noMetrics, ...(tasks === undefined ? {} : { tasks }) },
    { platform: options.platform ?? 'linux/arm64', dockerHub: 'no' },
  );
  const work = await mkdtemp(join(tmpdir(), 'wharf-image-resource-'));
  let made = 0;

  const build = async (): Promise<number> => {
    const messages: readonly QueueMessage[] = await queue.receive({ max: 10, visibilitySeconds: 60 });
    for (const message of messages) {
      if (await builder.handle(message, 600_000)) await queue.acknowledge(message.receipt);
    }
    return messages.length;
  };
  return {
    resource,
    registry,
    content,
    builds,
    ecr,
    builder,
    queues: { client: queues, url: queueUrl, endpoint: sqs.endpoint, deadLetterArn: deadLetterTargetArn },
    build,
    async asset(files) {
      const folder = join(work, String(made++));
      for (const [path, text] of Object.entries(files)) {
        await mkdir(dirname(join(folder, path)), { recursive: true });
        await writeFile(join(folder, path), text);
      }
      const hash = writeContextTar(openContextFolder(work, folder).look(), `${folder}.tar`);
      const Key = `${hash}.tar`;
      await s3.send(new PutObjectCommand({ Bucket: 'assets', Key, Body: await readFile(`${folder}.tar`) }));
      return Key;
    },
    async run(event) {
      const begun = await resource.onEvent(event);
      await build();
      return { begun, progress: await resource.isComplete({ ...event, ...begun }) };
    },
    async close() {
      for (const client of [s3, tables, queues, ecrClient]) client.destroy();
      await Promise.all([s3Fake, dynamoDb, sqs].map((part) => part.close()));
      if (options.ecr === undefined) await ecr.close();
      await rm(work, { recursive: true, force: true });
    },
  };
}

async function makeTable(client: ReturnType<typeof dynamoDbClient>): Promise<void> {
  await client.send(
    new CreateTableCommand({
      TableName: LAB_TABLE,
      BillingMode: 'PAY_PER_REQUEST',
      AttributeDefinitions: ['pk', 'sk'].map((AttributeName) => ({ AttributeName, AttributeType: 'S' })),
      KeySchema: [
        { AttributeName: 'pk', KeyType: 'HASH' },
        { AttributeName: 'sk', KeyType: 'RANGE' },
      ],
    }),
  );
}
