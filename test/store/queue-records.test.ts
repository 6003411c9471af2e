import { RecordsQueue } from '../../lib/store/records/queue-records.js';
import { MAX_DELIVERIES, queueContract } from '../contract/queue.js';
import { createTestStore } from '../fakes/embedded-store.js';

queueContract('a record store', async () => {
  const store = await createTestStore();
  const queue = new RecordsQueue(store.records, store, { name: 'test', maxDeliveries: MAX_DELIVERIES });
  return { queue, close: () => store.close() };
});
