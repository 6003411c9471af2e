/** The builder function: one build per message of the build queue. */
import type { Context, SQSBatchResponse, SQSEvent } from 'aws-lambda';
import { AwsBuilder } from '../lib/host/aws-builder.js';
import { readAwsConfig, STORE_SETTINGS } from '../lib/host/aws-config.js';
import { messageOf, settleBatch } from '../lib/host/aws-messages.js';
import { openAwsRegistry } from '../lib/host/aws-registry.js';
import { openAwsStore } from '../lib/host/aws-store.js';
import { sqsClient, SqsQueue } from '../lib/store/queue-sqs.js';

const config = readAwsConfig(process.env, ...STORE_SETTINGS, 'buildQueueUrl', 'platform', 'dockerHub');
const store = await openAwsStore(config);
const client = sqsClient({ region: config.region });
const queue = new SqsQueue({ ...store, client }, { queueUrl: config.buildQueueUrl });
const builder = new AwsBuilder({ store, registry: openAwsRegistry(store), queue }, config);

export const handler = (event: SQSEvent, context: Context): Promise<SQSBatchResponse> =>
  settleBatch(event, store.logger, (record) => builder.handle(messageOf(record), context.getRemainingTimeInMillis()));
