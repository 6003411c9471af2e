/** An SQS for tests, over the JSON 1.0 protocol that today's SDK speaks: standard queues with redrive. */
import {
  jsonFailure,
  startJsonApi,
  type JsonAnswer,
  type JsonApi,
  type JsonCall,
  type JsonFault,
} from '../json-api.js';
import { FakeQueue, md5 } from './queue-table.js';

export interface SqsFakeOptions {
  /** Asked at every call with the operation's name. */
  readonly fault?: (operation: string) => JsonFault;
}

const ACCOUNT = '000000000000';
const MAX_BODY_BYTES = 1024 * 1024;

interface Input {
  readonly QueueName?: string;
  readonly QueueUrl?: string;
  readonly Attributes?: Record<string, string>;
  readonly AttributeNames?: readonly string[];
  readonly MessageBody?: string;
  readonly DelaySeconds?: number;
  readonly MaxNumberOfMessages?: number;
  readonly VisibilityTimeout?: number;
  readonly WaitTimeSeconds?: number;
  readonly ReceiptHandle?: string;
  readonly SourceArn?: string;
  readonly DestinationArn?: string;
}

export async function startSqsFake(options: SqsFakeOptions = {}): Promise<JsonApi> {
  const queues = new Map<string, FakeQueue>();
  const api = await startJsonApi((call) => answer(call, queues, api.endpoint), options.fault);
  return api;
}

async function answer(call: JsonCall, queues: Map<string, FakeQueue>, endpoint: string): Promise<JsonAnswer> {
  const input = call.input as Input;
  const urlOf = (name: string): string => `${endpoint}/${ACCOUNT}/${name}`;
  if (call.operation === 'CreateQueue') {
    const name = input.QueueName ?? '';
    if (!queues.has(name)) queues.set(name, createQueue(name, input.Attributes ?? {}, queues));
    return ok({ QueueUrl: urlOf(name) });
  }
  if (call.operation === 'StartMessageMoveTask') return move(input, queues);
  const name = input.QueueName ?? input.QueueUrl?.split('/').at(-1) ?? '';
  const queue = queues.get(name);
  if (queue === undefined) return failure('QueueDoesNotExist', `no queue ${name}`);
  switch (call.operation) {
    case 'GetQueueUrl':
      return ok({ QueueUrl: urlOf(name) });
    case 'GetQueueAttributes':
      return ok({
        Attributes: { ...Object.fromEntries(queue.attributes), ApproximateNumberOfMessages: `${queue.size}` },
      });
    case 'DeleteQueue':
      queues.delete(name);
      return ok({});
    case 'SendMessage':
      return send(queue, input);
    case 'ReceiveMessage':
      return receive(queue, input, call.signal);
    case 'DeleteMessage':
      queue.delete(input.ReceiptHandle ?? '');
      return ok({});
    case 'ChangeMessageVisibility':
      if (queue.hide(input.ReceiptHandle ?? '', input.VisibilityTimeout ?? 0)) return ok({});
      return failure('MessageNotInflight', 'the message is not in flight');
    default:
      return failure('UnsupportedOperation', call.operation);
  }
}

function createQueue(name: string, attributes: Record<string, string>, queues: Map<string, FakeQueue>): FakeQueue {
  const QueueArn = `arn:aws:sqs:us-east-1:${ACCOUNT}:${name}`;
  const byArn = (arn: string): FakeQueue | undefined => queues.get(arn.split(':').at(-1) ?? '');
  return new FakeQueue(name, new Map(Object.entries({ ...attributes, QueueArn })), byArn);
}

/**
 * From dead letters to where they came from. What SQS did not put there itself came from nowhere, and moves only to a
 * destination that is named.
 */
function move({ SourceArn = '', DestinationArn }: Input, queues: Map<string, FakeQueue>): JsonAnswer {
  const byArn = (arn: string): FakeQueue | undefined => queues.get(arn.split(':').at(-1) ?? '');
  const source = byArn(SourceArn);
  const isDeadLetters = [...queues.values()].some(({ attributes }) =>
    attributes.get('RedrivePolicy')?.includes(`"${SourceArn}"`),
  );
  if (source === undefined || !isDeadLetters) {
    return failure('InvalidParameterValue', 'Source queue must be configured as a Dead Letter Queue');
  }
  for (const { body, from } of source.empty()) {
    const target = DestinationArn === undefined ? from : byArn(DestinationArn);
    (target ?? source).add(body, 0);
  }
  return ok({ TaskHandle: 'task' });
}

function send(queue: FakeQueue, input: Input): JsonAnswer {
  const body = input.MessageBody ?? '';
  const delay = input.DelaySeconds ?? 0;
  if (body === '' || Buffer.byteLength(body) > MAX_BODY_BYTES || delay > 900) {
    return failure('InvalidParameterValue', 'body or delay');
  }
  return ok({ MessageId: queue.add(body, delay), MD5OfMessageBody: md5(body) });
}

async function receive(queue: FakeQueue, input: Input, signal: AbortSignal): Promise<JsonAnswer> {
  const { MaxNumberOfMessages: max = 1, VisibilityTimeout: visibility = 30, WaitTimeSeconds: wait = 0 } = input;
  if (max < 1 || max > 10 || wait < 0 || wait > 20) return failure('InvalidParameterValue', 'number or wait');
  const taken = await queue.receive(max, visibility, wait, signal);
  const Messages = taken.map(({ id, body, receipt, receives }) => ({
    MessageId: id,
    Body: body,
    ReceiptHandle: receipt,
    MD5OfBody: md5(body),
    Attributes: { ApproximateReceiveCount: `${receives}` },
  }));
  return ok(Messages.length === 0 ? {} : { Messages });
}

function ok(body: object): JsonAnswer {
  return { status: 200, body: JSON.stringify(body) };
}

function failure(type: string, message: string): JsonAnswer {
  return jsonFailure(400, `com.amazonaws.sqs#${type}`, message);
}
