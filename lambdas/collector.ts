/** The collector function: takes away what nobody needs, a part at every call of its schedule. */
import type { Context, EventBridgeEvent } from 'aws-lambda';
import { AwsCollector } from '../lib/host/aws-collector.js';
import { readAwsConfig, STORE_SETTINGS } from '../lib/host/aws-config.js';
import { openAwsStore } from '../lib/host/aws-store.js';

const store = await openAwsStore(readAwsConfig(process.env, ...STORE_SETTINGS));
const collector = new AwsCollector(store);
/** A round of steps ends within it. */
const RESERVE_MS = 30_000;

export const handler = (_: EventBridgeEvent<'Scheduled Event', unknown>, context: Context): Promise<string> =>
  collector.work(store.clock.nowMs() + context.getRemainingTimeInMillis() - RESERVE_MS);
