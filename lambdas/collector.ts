/** The collector function: takes away what nobody needs, a part at every call of its schedule. */
import type { EventBridgeEvent } from 'aws-lambda';
import { AwsCollector } from '../lib/host/aws/collector.js';
import { readAwsConfig, STORE_SETTINGS } from '../lib/host/aws/config.js';
import { functionMetrics } from '../lib/host/aws/metrics.js';
import { observed } from '../lib/host/aws/observed.js';
import { openAwsStore } from '../lib/host/aws/store.js';

const store = openAwsStore(readAwsConfig(process.env, ...STORE_SETTINGS));
const collector = new AwsCollector(store, { metrics: functionMetrics(store) });
/** A round of steps ends within it. */
const RESERVE_MS = 30_000;

export const handler = observed(store, (_: EventBridgeEvent<'Scheduled Event', unknown>, context) =>
  collector.work(store.clock.nowMs() + context.getRemainingTimeInMillis() - RESERVE_MS),
);
