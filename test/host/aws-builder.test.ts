/** The builder function's schedule: a build whose message was lost is sent for again, with or without workers. */
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { BuildService } from '../../lib/build/index.js';
import { AwsBuilder } from '../../lib/host/aws/builder.js';
import { Registry } from '../../lib/registry/index.js';
import { noMetrics, type QueueMessage, silentLogger } from '../../lib/store/index.js';
import { RecordsQueue } from '../../lib/store/records/queue-records.js';
import { RecordsSecretStore } from '../../lib/store/records/secret-store-records.js';
import { createTestStore, type TestStore } from '../fakes/embedded-store.js';
import { type ManualClock, manualClock } from '../fakes/manual-clock.js';

let clock: ManualClock;
let store: TestStore;
let queue: RecordsQueue;
beforeEach(async () => {
  clock = manualClock();
  store = await createTestStore({ clock });
  queue = new RecordsQueue(store.records, store, { name: 'builds', maxDeliveries: 6 });
});
afterEach(() => store.close());

const waiting = (): Promise<readonly QueueMessage[]> => queue.receive({ max: 10, visibilitySeconds: 1 });

test('sends for a build again that nobody is at, once it is old enough to have lost its message', async () => {
  const secrets = new RecordsSecretStore(store.records, { key: Buffer.alloc(32, 7) });
  const aws = { ...store, secrets, logger: silentLogger };
  const builder = new AwsBuilder(
    { store: aws, registry: new Registry(aws), queue, metrics: noMetrics },
    { platform: 'linux/arm64', dockerHub: 'no' },
  );
  const builds = new BuildService({ ...aws, queue });
  const { digest: context } = await store.content.putBytes(Buffer.from('a context'));
  const { id } = await builds.submit({ context, tags: ['team/lost:1'] });
  for (const { receipt } of await waiting()) await queue.acknowledge(receipt);
  clock.advance(60_000);
  await builder.sweep();
  expect(await waiting()).toEqual([]);
  clock.advance(10 * 60_000);
  await builder.sweep();
  expect((await waiting()).map(({ body }) => body)).toEqual([expect.stringContaining(id)]);
});
