/** The reconciler function: ECS events from their queue, and every minute what events did not finish. */
import type { EventBridgeEvent, SQSBatchResponse, SQSEvent } from 'aws-lambda';
import {
  CLUSTER_SETTINGS,
  PLATFORM_SETTINGS,
  readAwsConfig,
  readOptionalAwsConfig,
  STORE_SETTINGS,
} from '../lib/host/aws/config.js';
import { settleBatch } from '../lib/host/aws/messages.js';
import { functionMetrics } from '../lib/host/aws/metrics.js';
import { observed } from '../lib/host/aws/observed.js';
import { adoptCluster, openAwsPlatform } from '../lib/host/aws/platform.js';
import { openAwsHeldOnly, openAwsRegistry } from '../lib/host/aws/registry.js';
import { openAwsStore } from '../lib/host/aws/store.js';
import { inLogContext } from '../lib/host/aws/log-context.js';
import type { EcsEvent } from '../lib/platform/index.js';
import { CachedImages, Upstreams } from '../lib/registry/cache/index.js';

const config = readAwsConfig(process.env, ...STORE_SETTINGS, ...PLATFORM_SETTINGS);
const clusters = readOptionalAwsConfig(process.env, ...CLUSTER_SETTINGS);
const store = openAwsStore(config);
const registry = openAwsRegistry(store);
const images = new CachedImages(registry, openAwsHeldOnly(registry, new Upstreams(store)));
const platform = openAwsPlatform(store, images, config, {
  mirrorMs: 240_000,
  clusters,
  metrics: functionMetrics(store),
});
const { reconciler } = platform;

type Scheduled = EventBridgeEvent<'Scheduled Event', unknown>;

async function handle(event: SQSEvent | Scheduled): Promise<SQSBatchResponse | undefined> {
  if ('Records' in event) {
    return settleBatch(event, store.logger, async ({ body }) => {
      const told = JSON.parse(body) as EcsEvent;
      const { taskArn: task } = told.detail;
      await inLogContext({ event: told.id, task }, () => reconciler.apply(told));
      return true;
    });
  }
  await adoptCluster(platform, config.cluster).catch((error: unknown) =>
    store.logger.error('the cluster that was deployed is not known yet', { error }),
  );
  await reconciler.tick();
  await reconciler.sweep();
  return undefined;
}

export const handler = observed(store, handle);
