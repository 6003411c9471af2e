/**
 * Messages that SQS hands to a function. Each is settled for itself: those that failed are named in the answer and come
 * again, the others are gone (partial batch responses).
 */
import type { SQSBatchResponse, SQSEvent, SQSRecord } from 'aws-lambda';
import type { Logger, Queue, QueueMessage } from '../../store/index.js';
import { inLogContext } from './log-context.js';

/** @param take a message; one whose promise rejects, or is false, comes again */
export async function settleBatch(
  event: SQSEvent,
  logger: Logger,
  take: (record: SQSRecord) => Promise<boolean>,
): Promise<SQSBatchResponse> {
  const results = await Promise.all(
    event.Records.map(async (record) => {
      try {
        return await inLogContext({ messageId: record.messageId }, () => take(record));
      } catch (error) {
        logger.error('a message could not be handled, it comes again', { messageId: record.messageId, error });
        return false;
      }
    }),
  );
  const failed = event.Records.filter((_, index) => results[index] !== true);
  return { batchItemFailures: failed.map(({ messageId }) => ({ itemIdentifier: messageId })) };
}

export function messageOf(record: SQSRecord): QueueMessage {
  return {
    id: record.messageId,
    body: record.body,
    receipt: record.receiptHandle,
    deliveries: Number(record.attributes.ApproximateReceiveCount),
  };
}

/** The queue as the taker of one message sees it: Lambda deletes what was acknowledged, by the function's answer. */
export class DeliveredMessage implements Queue {
  isAcknowledged = false;

  constructor(private readonly queue: Queue) {}

  async acknowledge(): Promise<void> {
    this.isAcknowledged = true;
  }

  extend(receipt: string, visibilitySeconds: number): Promise<void> {
    return this.queue.extend(receipt, visibilitySeconds);
  }

  send(body: string, options?: Parameters<Queue['send']>[1]): Promise<void> {
    return this.queue.send(body, options);
  }

  async receive(): Promise<readonly QueueMessage[]> {
    return [];
  }

  deadLetters(): ReturnType<Queue['deadLetters']> {
    return this.queue.deadLetters();
  }
}
