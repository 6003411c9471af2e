/** Builds during an outage of the store: they go on later, do not count as having killed a worker, and end once. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import {
  type BuildFunction,
  BuildWorker,
  type BuildWorkerOptions,
  createBuilds,
  type LoggedBuildEvent,
} from '../../lib/build/index.js';
import { buildKey, leaseKey, openKey } from '../../lib/build/build-records.js';
import { type QueueMessage, silentLogger } from '../../lib/store/index.js';
import { type FailingRecords, failingRecords, outageError } from '../fakes/failing-records.js';
import { buildFixture, type BuildFixture } from './fixture.js';

let f: BuildFixture;
let records: FailingRecords;
/** How long a message was hidden each time that a try ended, in seconds. */
let hidden: number[];
const LEASE_SECONDS = 60;
let message: QueueMessage;
let id: string;
beforeEach(async () => {
  f = await buildFixture();
  records = failingRecords(f.store.records);
  hidden = [];
  const context = await f.context({ Dockerfile: 'FROM scratch\nCOPY a /', a: 'a' });
  id = (await f.builds.submit({ context, tags: ['app:1'] })).id;
  const [taken] = await f.queue.receive({ visibilitySeconds: 3600 });
  if (taken === undefined) throw new Error('there is no message');
  message = taken;
});
afterEach(() => f.close());

const isAcknowledged = async (): Promise<boolean> => (await f.queue.receive({ visibilitySeconds: 0 })).length === 0;

function worker(build: BuildFunction = f.builder.build, options: BuildWorkerOptions = {}): BuildWorker {
  const { content, clock, ids } = f.store;
  const queue = Object.assign(Object.create(f.queue) as typeof f.queue, {
    extend: (receipt: string, seconds: number) => {
      // The heartbeat hides it for two leases, as often as it comes to it.
      if (seconds !== LEASE_SECONDS * 2) hidden.push(seconds);
      return f.queue.extend(receipt, 0);
    },
  });
  return new BuildWorker(
    {
      builds: createBuilds({ records, content, queue, clock, ids }),
      records,
      queue,
      clock,
      ids,
      logger: silentLogger,
      build,
    },
    { leaseMs: LEASE_SECONDS * 1000, ...options },
  );
}

async function again(): Promise<void> {
  const [taken] = await f.queue.receive({ visibilitySeconds: 3600 });
  if (taken === undefined) throw new Error('the message does not come again');
  message = taken;
}

const state = async () => (await f.builds.state(id))?.value;

async function events(): Promise<readonly LoggedBuildEvent[]> {
  const seen: LoggedBuildEvent[] = [];
  for await (const event of f.builds.follow(id, 0)) seen.push(event);
  return seen;
}

const out: BuildFunction = () => Promise.reject(outageError());

describe('a build during an outage of the store', () => {
  test('goes on later, each time after a longer while, as if nobody had begun it', async () => {
    for (const outages of [1, 2, 3]) {
      await worker(out).handle(message);
      expect(await state()).toMatchObject({ attempts: 0, outages, build: { status: 'running' } });
      expect(await f.store.records.get(leaseKey(id))).toBeUndefined();
      await again();
    }
    expect(hidden).toEqual([5, 15, 45]);
    await worker().handle(message);
    expect(await state()).toMatchObject({ build: { status: 'succeeded' } });
    const seen = await events();
    expect(seen[0]?.event).toMatchObject({ text: expect.stringContaining('interrupted') });
    expect(seen.filter(({ event }) => event.type === 'finished')).toHaveLength(1);
    expect(await isAcknowledged()).toBe(true);
  });

  test('counts as begun once, also when the first write of it was done and not heard of', async () => {
    const { records: store } = f.store;
    let unheard = 1;
    records.put = async (key, value, options) => {
      const result = await store.put(key, value, options);
      if (key.partition !== buildKey(id).partition || unheard === 0) return result;
      unheard -= 1;
      return { outcome: 'lost' };
    };
    const seen: unknown[] = [];
    await worker(async (...call) => {
      seen.push((await state())?.attempts);
      return f.builder.build(...call);
    }).handle(message);
    expect([seen, unheard]).toEqual([[1], 0]);
    expect(await state()).toMatchObject({ build: { status: 'succeeded' } });
  });

  test('fails with what the store said when there are too many of them', async () => {
    await worker(out, { maxOutages: 1 }).handle(message);
    await again();
    await worker(out, { maxOutages: 1 }).handle(message);
    expect(await f.builds.get(id)).toMatchObject({ status: 'failed', error: { code: 'STORE_UNAVAILABLE' } });
  });

  test('is cancelled while it waits for the store', async () => {
    await worker(out).handle(message);
    await f.builds.cancel(id);
    for (const taken of await f.queue.receive({ max: 10, visibilitySeconds: 3600 })) await worker(out).handle(taken);
    expect((await f.builds.get(id))?.status).toBe('cancelled');
  });

  test.each(['before', 'after'] as const)('ends once when its end failed %s it was written', async (moment) => {
    const ended = worker();
    records.fail({
      moment,
      times: 1,
      of: (op, keys) => op === 'transact' && keys.some((key) => key.sort === openKey(id).sort),
    });
    await ended.handle(message);
    expect(records.failed).toBe(1);
    expect(await f.builds.get(id)).toMatchObject({ status: 'succeeded' });
    expect((await events()).filter(({ event }) => event.type === 'finished')).toHaveLength(1);
  });

  test.each(['before', 'after'] as const)(
    'comes again soon, as if nobody had begun it, when its beginning failed %s it was written',
    async (moment) => {
      records.fail({ moment, times: 1, of: (op, [key]) => op === 'put' && key?.partition === buildKey(id).partition });
      await expect(worker().handle(message)).rejects.toThrow('cannot be reached');
      expect(hidden).toEqual([LEASE_SECONDS]);
      expect(await state()).toMatchObject({ attempts: 0 });
      expect(await f.store.records.get(leaseKey(id))).toBeUndefined();
      await again();
      await worker().handle(message);
      expect(await f.builds.get(id)).toMatchObject({ status: 'succeeded' });
    },
  );

  test('goes on under a lease whose renewal failed for a moment', async () => {
    let release = (): void => undefined;
    const released = new Promise<void>((resolve) => (release = resolve));
    const slow: BuildFunction = async (request, call) => {
      await released;
      call.signal.throwIfAborted();
      return f.builder.build(request, call);
    };
    const isLease = (op: string, [key]: readonly { readonly partition: string }[]): boolean =>
      op === 'put' && key?.partition === leaseKey(id).partition;
    const handled = worker(slow, { leaseMs: 900 }).handle(message);
    while ((await state())?.build.status !== 'running') await new Promise((resolve) => setTimeout(resolve, 5));
    records.fail({ moment: 'before', times: 2, of: isLease });
    while (records.failed < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    const heldBefore = await f.store.records.get(leaseKey(id));
    const version = heldBefore?.version;
    while ((await f.store.records.get(leaseKey(id)))?.version === version)
      await new Promise((resolve) => setTimeout(resolve, 5));
    release();
    await handled;
    expect(await f.builds.get(id)).toMatchObject({ status: 'succeeded' });
  });
});
