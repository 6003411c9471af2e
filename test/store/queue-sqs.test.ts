import { SqsQueue } from '../../lib/store/aws/queue-sqs.js';
import { MAX_DELIVERIES, queueContract } from '../contract/queue.js';
import { createTestStore } from '../fakes/embedded-store.js';
import { openTestQueue } from './aws-subjects.js';

queueContract('SQS', async () => {
  const store = await createTestStore();
  const sqs = await openTestQueue(MAX_DELIVERIES);
  return {
    queue: new SqsQueue({ ...store, client: sqs.client }, sqs),
    async close() {
      await sqs.close();
      await store.close();
    },
  };
});
