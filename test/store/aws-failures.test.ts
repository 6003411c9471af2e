/** What the AWS adapters make of a service that is down, busy, or whose answers get lost. Always against the fakes. */
import { randomBytes } from 'node:crypto';
import { afterEach, describe, expect, test } from '@jest/globals';
import { digestOf } from '../../lib/oci/index.js';
import { S3BlobStore } from '../../lib/store/aws/blob-store-s3.js';
import { systemClock } from '../../lib/store/system/clock-system.js';
import { systemIds } from '../../lib/store/system/ids-system.js';
import { DynamoDbRecordStore } from '../../lib/store/aws/record-store-dynamodb.js';
import { SqsQueue } from '../../lib/store/aws/queue-sqs.js';
import type { ByteSource } from '../../lib/store/index.js';
import { createTestStore } from '../fakes/embedded-store.js';
import type { JsonFault } from '../fakes/json-api.js';
import type { S3Fault } from '../fakes/s3/index.js';
import { openFakeBucket, openFakeQueue, openFakeTable } from './aws-subjects.js';

const MIB = 1024 * 1024;
/** Of a client on a fake, see aws-subjects.ts. */
const ATTEMPTS = 3;
const deps = { clock: systemClock, ids: systemIds };
const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

async function* source(...chunks: Uint8Array[]): ByteSource {
  yield* chunks;
}

/** Gives a fault for the first so many calls that match, and says how often it did. */
function faults<T>(
  times: number,
  fault: T,
  matches: (name: string) => boolean,
): { seen: number; next(name: string): T | undefined } {
  return {
    seen: 0,
    next(name) {
      if (this.seen >= times || !matches(name)) return undefined;
      this.seen += 1;
      return fault;
    },
  };
}

describe('S3', () => {
  const open = async (times: number, fault: S3Fault, pattern: RegExp) => {
    const store = await createTestStore();
    const plan = faults(times, fault, (name) => pattern.test(name));
    const s3 = await openFakeBucket({ fault: ({ method, path }) => plan.next(`${method} ${path}`) });
    closers.push(
      () => store.close(),
      () => s3.close(),
    );
    return { blobs: new S3BlobStore({ ...store, client: s3.client }, { bucket: s3.bucket }), plan, fake: s3.fake };
  };
  const busy = { status: 503, code: 'SlowDown' };
  const large = randomBytes(20 * MIB);

  test.each([
    ['busy', 1, busy],
    ['cut off before the work', 2, 'cut-before'],
    ['cut off after the work', 2, 'cut-after'],
  ] as const)('that is %s %i times does not disturb puts, parts and reads', async (_name, times, fault) => {
    for (const pattern of [/^PUT .*PutObject/, /^PUT .*partNumber=2/, /^POST .*uploadId=/, /^GET .*GetObject/]) {
      const { blobs, plan } = await open(times, fault, pattern);
      for (const bytes of [Buffer.from('small'), large]) {
        const blob = await blobs.put(source(bytes));
        const chunks: Buffer[] = [];
        for await (const chunk of (await blobs.open(blob.key)) ?? []) chunks.push(chunk as Buffer);
        expect(Buffer.concat(chunks).equals(bytes)).toBe(true);
      }
      expect(plan.seen).toBe(times);
    }
  });

  test('that is down is STORE_UNAVAILABLE, and a put leaves nothing', async () => {
    for (const pattern of [/^PUT .*PutObject/, /^PUT .*partNumber=2/]) {
      const { blobs, fake } = await open(1000, busy, pattern);
      const put = blobs.put(source(pattern.source.includes('part') ? large : Buffer.from('small')));
      await expect(put).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', kind: 'unavailable', retryable: true });
      for (const bucket of fake.buckets.values()) expect([bucket.objects.size, bucket.multiparts.size]).toEqual([0, 0]);
    }
  });

  test('that refuses is STORE_REFUSED, which trying again does not help', async () => {
    const { blobs } = await open(1, { status: 403, code: 'AccessDenied' }, /PutObject/);
    await expect(blobs.put(source(Buffer.from('x')))).rejects.toMatchObject({
      code: 'STORE_REFUSED',
      retryable: false,
    });
  });

  test('that fails in the middle of an append loses nothing that was acknowledged', async () => {
    const { blobs, plan } = await open(ATTEMPTS, busy, /partNumber=3/);
    const id = await blobs.uploads.start();
    await blobs.uploads.append(id, 0, source(large.subarray(0, MIB)));
    const failed = blobs.uploads.append(id, MIB, source(large.subarray(MIB), large));
    await expect(failed).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect(plan.seen).toBe(ATTEMPTS);
    const offset = (await blobs.uploads.status(id))?.offset ?? 0;
    expect(offset).toBe(16 * MIB);
    await blobs.uploads.append(id, offset, source(large.subarray(offset)));
    const result = await blobs.uploads.commit(id, digestOf(large));
    expect(result).toMatchObject({ outcome: 'committed', blob: { sizeBytes: large.length } });
  });

  test.each(['small', 'large'])(
    'whose answer to the commit of a %s upload is lost for good can be asked again',
    async (size) => {
      const bytes = size === 'small' ? Buffer.from('small') : large;
      const { blobs, plan } = await open(ATTEMPTS, 'cut-after', size === 'small' ? /PutObject/ : /^POST .*uploadId=/);
      const id = await blobs.uploads.start();
      if (size === 'small') plan.seen = ATTEMPTS;
      await blobs.uploads.append(id, 0, source(bytes));
      plan.seen = 0;
      const first = await blobs.uploads.commit(id, digestOf(bytes)).catch((error: unknown) => error);
      expect(first).toBeDefined();
      const again = await blobs.uploads.commit(id, digestOf(bytes));
      const outcomes = [first, again].map((result) => (result as { outcome?: string }).outcome);
      expect(outcomes).toContain('committed');
      const stored: number[] = [];
      for await (const blob of blobs.list()) stored.push(blob.sizeBytes);
      expect(stored).toEqual([bytes.length]);
    },
  );
});

describe('DynamoDB', () => {
  const open = async (times: number, fault: JsonFault, operation: string) => {
    const plan = faults(times, fault, (name) => name === operation);
    const dynamoDb = await openFakeTable({ fault: (name) => plan.next(name) });
    closers.push(() => dynamoDb.close());
    return { records: new DynamoDbRecordStore({ ...deps, client: dynamoDb.client }, { table: dynamoDb.table }), plan };
  };
  const key = { partition: 'P', sort: 'S' };
  const lost = 'cut-after' as const;

  test('whose answer to a conditional put is lost does not make it a lost race', async () => {
    const { records, plan } = await open(1, lost, 'PutItem');
    const first = await records.put(key, { n: 1 }, { expect: 'absent' });
    const version = (await records.get(key))?.version ?? NaN;
    expect(first).toEqual({ outcome: 'written', version });
    plan.seen = 0;
    const next = await records.put(key, { n: 2 }, { expect: { version } });
    expect(next).toEqual({ outcome: 'written', version: version + 1 });
    expect(await records.put(key, { n: 3 }, { expect: { version } })).toEqual({ outcome: 'lost' });
  });

  test('whose answer to a transaction or a conditional delete is lost does not make it a lost race', async () => {
    const { records, plan } = await open(1, lost, 'TransactWriteItems');
    expect(await records.transact([{ op: 'put', key, value: {}, expect: 'absent' }])).toEqual({ outcome: 'written' });
    const version = (await records.get(key))?.version ?? NaN;
    plan.seen = 0;
    expect(await records.delete(key, { expect: { version } })).toMatchObject({ outcome: 'written' });
    expect(plan.seen).toBe(1);
  });

  test('with a conflicting transaction is tried again', async () => {
    const conflict = { status: 400, type: 'com.amazonaws.dynamodb.v20120810#TransactionConflictException' };
    const { records, plan } = await open(3, conflict, 'PutItem');
    expect(await records.put(key, {}, { expect: 'absent' })).toMatchObject({ outcome: 'written' });
    expect(plan.seen).toBe(3);
    const reasons = [{ Code: 'None' }, { Code: 'TransactionConflict' }];
    const type = 'com.amazonaws.dynamodb.v20120810#TransactionCanceledException';
    const cancelled = await open(
      3,
      { status: 400, type, more: { CancellationReasons: reasons } },
      'TransactWriteItems',
    );
    const writes = ['a', 'b'].map((sort) => ({ op: 'put' as const, key: { ...key, sort }, value: {} }));
    expect(await cancelled.records.transact(writes)).toEqual({ outcome: 'written' });
    expect(cancelled.plan.seen).toBe(3);
  });

  test('that throttles or is down for long is STORE_UNAVAILABLE', async () => {
    const type = 'com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException';
    for (const fault of [{ status: 400, type }, { status: 500, type: 'InternalServerError' }, 'cut-before'] as const) {
      const { records } = await open(1000, fault, 'GetItem');
      await expect(records.get(key)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', kind: 'unavailable' });
    }
  });
});

describe('SQS', () => {
  test('that is down is STORE_UNAVAILABLE, and a message that was not sent is not taken for a repeat', async () => {
    const store = await createTestStore();
    const plan = faults<JsonFault>(
      ATTEMPTS,
      { status: 500, type: 'InternalFailure' },
      (name) => name === 'SendMessage',
    );
    const sqs = await openFakeQueue(3, { fault: (name) => plan.next(name) });
    closers.push(
      () => store.close(),
      () => sqs.close(),
    );
    const queue = new SqsQueue({ ...store, client: sqs.client }, sqs);
    await expect(queue.send('once', { dedupeId: 'id' })).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    await queue.send('once', { dedupeId: 'id' });
    await queue.send('once', { dedupeId: 'id' });
    expect(await queue.receive({ max: 10, visibilitySeconds: 60, waitSeconds: 1 })).toHaveLength(1);
  });

  test('without the queue is STORE_REFUSED', async () => {
    const store = await createTestStore();
    const sqs = await openFakeQueue(3);
    closers.push(
      () => store.close(),
      () => sqs.close(),
    );
    const queue = new SqsQueue({ ...store, client: sqs.client }, { queueUrl: `${sqs.queueUrl}-none` });
    await expect(queue.receive({ visibilitySeconds: 1 })).rejects.toMatchObject({ code: 'STORE_REFUSED' });
  });
});

test('a service that nobody runs is STORE_UNAVAILABLE', async () => {
  const store = await createTestStore();
  const sqs = await openFakeQueue(3);
  await sqs.close();
  closers.push(() => store.close());
  const queue = new SqsQueue({ ...store, client: sqs.client }, sqs);
  await expect(queue.send('x')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', kind: 'unavailable' });
});

/** Of a call that is never answered: long enough for one that is, on a busy machine. */
const ANSWER_MS = 1_000;

describe('a service that never answers', () => {
  test.each(['hang-before', 'hang-after'] as const)(
    'is asked again, and a record is written once: %s',
    async (fault) => {
      const plan = faults(1, fault, (name) => name === 'PutItem');
      const dynamoDb = await openFakeTable({ fault: (name) => plan.next(name) }, ANSWER_MS);
      closers.push(() => dynamoDb.close());
      const records = new DynamoDbRecordStore({ ...deps, client: dynamoDb.client }, { table: dynamoDb.table });
      const key = { partition: 'P', sort: 'S' };
      expect(await records.put(key, { n: 1 }, { expect: 'absent' })).toMatchObject({ outcome: 'written' });
      expect([plan.seen, (await records.get(key))?.value]).toEqual([1, { n: 1 }]);
    },
  );

  test('at all is STORE_UNAVAILABLE', async () => {
    const plan = faults(ATTEMPTS, 'hang-before' as const, (name) => name === 'GetItem');
    const dynamoDb = await openFakeTable({ fault: (name) => plan.next(name) }, ANSWER_MS);
    closers.push(() => dynamoDb.close());
    const records = new DynamoDbRecordStore({ ...deps, client: dynamoDb.client }, { table: dynamoDb.table });
    const asked = records.get({ partition: 'P', sort: 'S' });
    await expect(asked).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', kind: 'unavailable' });
    expect(plan.seen).toBe(ATTEMPTS);
  });

  test('to a message is sent it again: it may come twice, and is not lost', async () => {
    const plan = faults(1, 'hang-after' as const, (name) => name === 'SendMessage');
    const sqs = await openFakeQueue(3, { fault: (name) => plan.next(name) }, ANSWER_MS);
    closers.push(() => sqs.close());
    const store = await createTestStore();
    closers.push(() => store.close());
    const queue = new SqsQueue({ ...store, client: sqs.client }, sqs);
    await queue.send('a message');
    const taken = await queue.receive({ max: 10, waitSeconds: 0, visibilitySeconds: 60 });
    expect(new Set(taken.map(({ body }) => body))).toEqual(new Set(['a message']));
    expect(plan.seen).toBe(1);
  });
});
