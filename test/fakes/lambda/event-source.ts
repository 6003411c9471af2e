/**
 * What Lambda does between a queue and a function: receives in batches, invokes, and deletes what the function did not
 * name as failed. What it named, or all of a batch whose invocation failed, comes again when it is visible again.
 */
import { DeleteMessageCommand, type Message, ReceiveMessageCommand, type SQSClient } from '@aws-sdk/client-sqs';
import type { LambdaFunction } from './function.js';

export interface EventSourceSettings {
  readonly queueUrl: string;
  readonly queueArn: string;
  /** @default 10 */
  readonly batchSize?: number;
  /** Invocations at once. @default 5 */
  readonly maxConcurrency?: number;
  /** Whether the function's answer names what failed; else an invocation settles all of its batch. @default false */
  readonly reportsFailures?: boolean;
  /** Set by the queue on AWS. @default 30 */
  readonly visibilitySeconds?: number;
}

export interface SqsEvent {
  readonly Records: readonly {
    readonly messageId: string;
    readonly receiptHandle: string;
    readonly body: string;
    readonly attributes: { readonly ApproximateReceiveCount: string };
    readonly eventSource: 'aws:sqs';
    readonly eventSourceARN: string;
  }[];
}

export class EventSource {
  private readonly stopping = new AbortController();
  private loops: Promise<void>[] = [];
  /** Invocations that threw, newest last. */
  readonly failures: string[] = [];

  constructor(
    private readonly deps: { readonly client: SQSClient; readonly target: Pick<LambdaFunction, 'invoke'> },
    private readonly settings: EventSourceSettings,
  ) {}

  /** Polls until it is stopped. */
  start(): void {
    const { maxConcurrency = 5 } = this.settings;
    this.loops = Array.from({ length: maxConcurrency }, () => this.loop());
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await Promise.all(this.loops);
  }

  /** Takes what is visible now, once. @returns how many messages were handed to the function */
  async poll(waitSeconds = 0): Promise<number> {
    const { client } = this.deps;
    const { queueUrl, queueArn, batchSize = 10, visibilitySeconds = 30 } = this.settings;
    const input = {
      QueueUrl: queueUrl,
      MaxNumberOfMessages: Math.min(10, batchSize),
      VisibilityTimeout: visibilitySeconds,
      WaitTimeSeconds: waitSeconds,
      MessageSystemAttributeNames: ['ApproximateReceiveCount' as const],
    };
    const received = await client.send(new ReceiveMessageCommand(input), { abortSignal: this.stopping.signal });
    const messages = received.Messages ?? [];
    if (messages.length > 0) await this.deliver(messages, sqsEvent(messages, queueArn));
    return messages.length;
  }

  private async deliver(messages: readonly Message[], event: SqsEvent): Promise<void> {
    let failed: readonly string[];
    try {
      const answer = await this.deps.target.invoke<{ batchItemFailures?: { itemIdentifier: string }[] } | null>(event);
      failed =
        this.settings.reportsFailures === true ? (answer?.batchItemFailures ?? []).map((f) => f.itemIdentifier) : [];
    } catch (error) {
      this.failures.push(String(error));
      failed = messages.map(({ MessageId = '' }) => MessageId);
    }
    for (const { MessageId = '', ReceiptHandle } of messages) {
      if (failed.includes(MessageId)) continue;
      await this.deps.client.send(new DeleteMessageCommand({ QueueUrl: this.settings.queueUrl, ReceiptHandle }));
    }
  }

  private async loop(): Promise<void> {
    while (!this.stopping.signal.aborted) {
      await this.poll(5).catch((error: unknown) => {
        if (!this.stopping.signal.aborted) this.failures.push(String(error));
      });
    }
  }
}

export function sqsEvent(messages: readonly Message[], queueArn: string): SqsEvent {
  return {
    Records: messages.map(({ MessageId = '', ReceiptHandle = '', Body = '', Attributes }) => ({
      messageId: MessageId,
      receiptHandle: ReceiptHandle,
      body: Body,
      attributes: { ApproximateReceiveCount: Attributes?.ApproximateReceiveCount ?? '1' },
      eventSource: 'aws:sqs',
      eventSourceARN: queueArn,
    })),
  };
}
