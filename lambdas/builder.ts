/** The builder function: one build per message of the build queue; every minute, what messages did not tell. */
import type { Context, EventBridgeEvent, SQSBatchResponse, SQSEvent } from 'aws-lambda';
import { openBuildTasks } from '../lib/host/aws/build-tasks.js';
import { openBuildQueue } from '../lib/host/aws/build-queue.js';
import { AwsBuilder } from '../lib/host/aws/builder.js';
import { readAwsConfig, readOptionalAwsConfig, STORE_SETTINGS, WORKER_SETTINGS } from '../lib/host/aws/config.js';
import { messageOf, settleBatch } from '../lib/host/aws/messages.js';
import { observed } from '../lib/host/aws/observed.js';
import { openAwsRegistry } from '../lib/host/aws/registry.js';
import { recordSandbox } from '../lib/host/aws/probe-late.js';
import { openAwsStore } from '../lib/host/aws/store.js';
import { functionMetrics } from '../lib/host/aws/metrics.js';

const config = {
  ...readAwsConfig(process.env, ...STORE_SETTINGS, 'buildQueueUrl', 'platform', 'dockerHub'),
  ...readOptionalAwsConfig(process.env, 'sourcePolicy'),
};
const workers = readOptionalAwsConfig(process.env, ...WORKER_SETTINGS);
const store = openAwsStore(config);
const queue = openBuildQueue(store, config);
const registry = openAwsRegistry(store);
const tasks = workers === undefined ? {} : { tasks: openBuildTasks({ store, registry }, { ...config, ...workers }) };
const builder = new AwsBuilder({ store, registry, queue, metrics: functionMetrics(store), ...tasks }, config);

type Scheduled = EventBridgeEvent<'Scheduled Event', unknown>;
/** What the stack sends when it has deployed this function: lib/constructs/sandbox-probe.ts. */
interface Deployed {
  readonly probe: string;
}

async function handle(event: SQSEvent | Scheduled | Deployed, context: Context): Promise<SQSBatchResponse | undefined> {
  if ('probe' in event) {
    await recordSandbox(store, 'builder');
    return undefined;
  }
  if (!('Records' in event)) {
    await builder.sweep();
    return undefined;
  }
  const remainingMs = context.getRemainingTimeInMillis();
  return settleBatch(event, store.logger, (record) => builder.handle(messageOf(record), remainingMs));
}

export const handler = observed(store, handle);
