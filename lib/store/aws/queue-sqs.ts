/**
 * Queue over a standard SQS queue. `maxDeliveries` and the dead letters are the queue's redrive policy. SQS forgets
 * a dedupe id on a standard queue, so that part is kept in records.
 */
import {
  ChangeMessageVisibilityCommand,
  DeleteMessageCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
  SQSClient,
  type Message,
  type SQSClientConfig,
} from '@aws-sdk/client-sqs';
import { awsErrorName, awsFailure } from './aws-failure.js';
import type { Clock, Queue, QueueMessage, RecordStore } from '../ports.js';
import { sendOnce } from './queue-dedupe.js';
import { MAX_RECEIVE, checkSend } from '../queue-rules.js';

/** The longest that SQS holds a receive open. */
const MAX_WAIT_SECONDS = 20;
/** Rounds of looking into the dead letters without anything new before they count as read. */
const IDLE_ROUNDS = 2;
const MAX_DEAD_LETTERS = 1000;

export interface SqsQueueDeps {
  /** Made by `sqsClient`. */
  readonly client: SQSClient;
  /** Where dedupe ids are kept. */
  readonly records: RecordStore;
  readonly clock: Clock;
}

export interface SqsQueueOptions {
  readonly queueUrl: string;
  /** Of the dead letters; without it there are none to read. */
  readonly deadLetterUrl?: string;
}

/**
 * An SQS client as the adapter needs it: a stuck connection is given up and tried again.
 * @param answerMs after which a call without an answer is given up; longer than the 20 s that SQS waits for a message
 */
export function sqsClient(config: SQSClientConfig, answerMs = 30_000): SQSClient {
  const requestHandler = { connectionTimeout: 2_000, requestTimeout: answerMs, throwOnRequestTimeout: true };
  return new SQSClient({ maxAttempts: 4, requestHandler, ...config });
}

export class SqsQueue implements Queue {
  constructor(
    private readonly deps: SqsQueueDeps,
    private readonly options: SqsQueueOptions,
  ) {}

  async send(
    body: string,
    options: { readonly delaySeconds?: number; readonly dedupeId?: string } = {},
  ): Promise<void> {
    checkSend(body, options.delaySeconds);
    const input = { QueueUrl: this.options.queueUrl, MessageBody: body, DelaySeconds: options.delaySeconds ?? 0 };
    const send = async (): Promise<void> => {
      await this.call(() => this.deps.client.send(new SendMessageCommand(input)));
    };
    if (options.dedupeId === undefined) return send();
    const partition = `QUEUE#${this.options.queueUrl.slice(this.options.queueUrl.lastIndexOf('/') + 1)}`;
    return sendOnce(this.deps, { partition, sort: `SENT#${options.dedupeId}` }, send);
  }

  async receive(options: {
    readonly max?: number;
    readonly visibilitySeconds: number;
    readonly waitSeconds?: number;
    readonly signal?: AbortSignal;
  }): Promise<readonly QueueMessage[]> {
    const { signal } = options;
    signal?.throwIfAborted();
    const command = new ReceiveMessageCommand({
      QueueUrl: this.options.queueUrl,
      MaxNumberOfMessages: Math.min(options.max ?? 1, MAX_RECEIVE),
      VisibilityTimeout: options.visibilitySeconds,
      WaitTimeSeconds: Math.min(options.waitSeconds ?? 0, MAX_WAIT_SECONDS),
      MessageSystemAttributeNames: ['ApproximateReceiveCount'],
    });
    try {
      const answer = await this.deps.client.send(command, signal === undefined ? {} : { abortSignal: signal });
      return (answer.Messages ?? []).map(toMessage);
    } catch (error) {
      signal?.throwIfAborted();
      throw awsFailure('SQS', error);
    }
  }

  async acknowledge(receipt: string): Promise<void> {
    const command = new DeleteMessageCommand({ QueueUrl: this.options.queueUrl, ReceiptHandle: receipt });
    await this.ignoringStale(() => this.deps.client.send(command));
  }

  async extend(receipt: string, visibilitySeconds: number): Promise<void> {
    const input = { QueueUrl: this.options.queueUrl, ReceiptHandle: receipt, VisibilityTimeout: visibilitySeconds };
    await this.ignoringStale(() => this.deps.client.send(new ChangeMessageVisibilityCommand(input)));
  }

  /** SQS cannot list: this receives without hiding, until nothing new comes. */
  async deadLetters(): Promise<readonly { readonly id: string; readonly body: string }[]> {
    const { deadLetterUrl } = this.options;
    if (deadLetterUrl === undefined) return [];
    const found = new Map<string, string>();
    for (let idle = 0; idle < IDLE_ROUNDS && found.size < MAX_DEAD_LETTERS; idle++) {
      const input = {
        QueueUrl: deadLetterUrl,
        MaxNumberOfMessages: MAX_RECEIVE,
        VisibilityTimeout: 0,
        WaitTimeSeconds: 1,
      };
      const answer = await this.call(() => this.deps.client.send(new ReceiveMessageCommand(input)));
      for (const { MessageId, Body } of answer.Messages ?? []) {
        if (MessageId === undefined || found.has(MessageId)) continue;
        found.set(MessageId, Body ?? '');
        idle = -1;
      }
    }
    return [...found].map(([id, body]) => ({ id, body }));
  }

  private async ignoringStale(send: () => Promise<unknown>): Promise<void> {
    try {
      await send();
    } catch (error) {
      const stale = ['ReceiptHandleIsInvalid', 'MessageNotInflight', 'InvalidParameterValue'];
      if (!stale.includes(awsErrorName(error))) throw awsFailure('SQS', error);
    }
  }

  private async call<T>(send: () => Promise<T>): Promise<T> {
    try {
      return await send();
    } catch (error) {
      throw awsFailure('SQS', error);
    }
  }
}

function toMessage(message: Message): QueueMessage {
  return {
    id: message.MessageId ?? '',
    body: message.Body ?? '',
    receipt: message.ReceiptHandle ?? '',
    deliveries: Number(message.Attributes?.ApproximateReceiveCount ?? 1),
  };
}
