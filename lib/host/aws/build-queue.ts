/** The build queue, whose client is loaded when the first message is sent or settled. */
import { LateQueue, type Queue } from '../../store/index.js';
import type { AwsConfig } from './config.js';
import type { AwsStore } from './store.js';

export function openBuildQueue(store: AwsStore, config: AwsConfig<'region' | 'buildQueueUrl'>): Queue {
  return new LateQueue(async () => {
    const { sqsClient, SqsQueue } = await import('../../store/aws/queue-sqs.js');
    const client = sqsClient({ region: config.region });
    return new SqsQueue({ ...store, client }, { queueUrl: config.buildQueueUrl });
  });
}
