/** What calls functions: the gateway with its limits, and queues with their batches; by functions of a line or two. */
import { CreateQueueCommand, GetQueueAttributesCommand, SendMessageCommand, type SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { sqsClient } from '../../lib/store/aws/queue-sqs.js';
import { EventSource, type EventSourceSettings, type SqsEvent } from '../fakes/lambda/event-source.js';
import { InvocationError, type LambdaFunction } from '../fakes/lambda/function.js';
import { type Gateway, type GatewayOptions, startGateway } from '../fakes/lambda/gateway.js';
import { fakeCredentials } from '../fakes/s3/index.js';
import { startSqsFake } from '../fakes/sqs/index.js';

type Invoked = Pick<LambdaFunction, 'invoke'>;

const answering = (answer: (event: unknown) => Promise<unknown>): Invoked => ({ invoke: answer as Invoked['invoke'] });

describe('the gateway', () => {
  let gateway: Gateway | undefined;
  afterEach(async () => {
    await gateway?.close();
    gateway = undefined;
  });

  async function urlOf(target: Invoked, options: GatewayOptions = {}): Promise<string> {
    gateway = await startGateway([{ key: '$default', target }], options);
    return gateway.url;
  }
  const ok = answering(async () => ({ statusCode: 200, body: 'fine' }));

  test('takes 10 MB of body and 10,240 bytes of headers, and refuses more without calling the function', async () => {
    const url = await urlOf(ok);
    const post = async (bytes: number): Promise<number> =>
      (await fetch(url, { method: 'POST', body: Buffer.alloc(bytes) })).status;
    expect([await post(10 * 1024 ** 2), await post(10 * 1024 ** 2 + 1)]).toEqual([200, 413]);
    const get = async (bytes: number): Promise<number> =>
      (await fetch(url, { headers: { 'x-long': 'x'.repeat(bytes) } })).status;
    expect([await get(9_000), await get(10_240)]).toEqual([200, 431]);
    expect(gateway?.events).toHaveLength(2);
  });

  test.each([
    ['a request that Lambda refuses', 'RequestTooLargeException', 413],
    ['a function that is busy everywhere', 'TooManyRequestsException', 503],
    ['a function that died', 'Runtime.ExitError', 500],
    ['a function whose time was over', 'Sandbox.Timedout', 500],
    ['an answer that is too large', 'Function.ResponseSizeTooLarge', 500],
  ])('answers for %s by itself', async (_, type, status) => {
    const url = await urlOf(answering(() => Promise.reject(new InvocationError(type, 'no'))));
    expect((await fetch(url)).status).toBe(status);
  });

  test('waits 30 seconds, here less, and answers 503; the function goes on, and nobody hears it', async () => {
    let finish: (answer: unknown) => void = () => {};
    const finished = new Promise((resolve) => (finish = resolve));
    const url = await urlOf(
      answering(() => finished),
      { integrationMs: 50 },
    );
    expect((await fetch(url)).status).toBe(503);
    finish({ statusCode: 200 });
    await finished;
  });
});

describe('a queue that feeds a function', () => {
  let sqs: Awaited<ReturnType<typeof startSqsFake>>;
  let client: SQSClient;
  let queues = 0;
  beforeAll(async () => {
    sqs = await startSqsFake();
    client = sqsClient({ region: 'us-east-1', credentials: fakeCredentials, endpoint: sqs.endpoint });
  });
  afterAll(async () => {
    client.destroy();
    await sqs.close();
  });

  async function fed(bodies: readonly string[], take: (event: SqsEvent) => Promise<unknown>, reportsFailures = true) {
    queues += 1;
    const [name, dead] = [`work-${queues}`, `dead-${queues}`];
    const { QueueUrl: deadUrl } = await client.send(new CreateQueueCommand({ QueueName: dead }));
    const deadLetterTargetArn = `arn:aws:sqs:us-east-1:000000000000:${dead}`;
    const Attributes = { RedrivePolicy: JSON.stringify({ deadLetterTargetArn, maxReceiveCount: 2 }) };
    const { QueueUrl = '' } = await client.send(new CreateQueueCommand({ QueueName: name, Attributes }));
    for (const MessageBody of bodies) await client.send(new SendMessageCommand({ QueueUrl, MessageBody }));
    const batches: string[][] = [];
    const target = answering(async (event) => {
      const records = (event as SqsEvent).Records;
      batches.push(records.map(({ body, attributes }) => `${body} ${attributes.ApproximateReceiveCount}`));
      return take(event as SqsEvent);
    });
    // What failed is visible again at once.
    const settings: EventSourceSettings = { queueUrl: QueueUrl, queueArn: name, visibilitySeconds: 0, reportsFailures };
    const source = new EventSource({ client, target }, settings);
    const deadLetters = async (): Promise<string | undefined> => {
      const input = { QueueUrl: deadUrl, AttributeNames: ['ApproximateNumberOfMessages' as const] };
      return (await client.send(new GetQueueAttributesCommand(input))).Attributes?.['ApproximateNumberOfMessages'];
    };
    return { source, batches, deadLetters };
  }

  test('hands over a batch, and once more only what the answer names; then it is a dead letter', async () => {
    const failing = async ({ Records }: SqsEvent): Promise<object> => ({
      batchItemFailures: Records.filter(({ body }) => body === 'b').map((each) => ({ itemIdentifier: each.messageId })),
    });
    const { source, batches, deadLetters } = await fed(['a', 'b', 'c'], failing);
    expect([await source.poll(), await source.poll(), await source.poll()]).toEqual([3, 1, 0]);
    expect(batches).toEqual([['a 1', 'b 1', 'c 1'], ['b 2']]);
    expect(await deadLetters()).toBe('1');
  });

  test('hands over all of a batch again when the invocation failed', async () => {
    let calls = 0;
    const { source, batches, deadLetters } = await fed(['a', 'b'], async () => {
      calls += 1;
      if (calls === 1) throw new InvocationError('Sandbox.Timedout', 'no');
      return { batchItemFailures: [] };
    });
    expect([await source.poll(), await source.poll(), await source.poll()]).toEqual([2, 2, 0]);
    expect(batches).toEqual([
      ['a 1', 'b 1'],
      ['a 2', 'b 2'],
    ]);
    expect([source.failures.length, await deadLetters()]).toEqual([1, '0']);
  });

  test('takes an answer for the whole batch where the template does not say that failures are reported', async () => {
    const named = async ({ Records }: SqsEvent): Promise<object> => ({
      batchItemFailures: Records.map(({ messageId }) => ({ itemIdentifier: messageId })),
    });
    const { source, deadLetters } = await fed(['a', 'b'], named, false);
    expect([await source.poll(), await source.poll(), await deadLetters()]).toEqual([2, 0, '0']);
  });
});
