/** Idempotency keys while the store fails: no key stays busy with nobody at it, and no answer is lost. */
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Idempotency } from '../../lib/http/idempotency.js';
import type { Call, Reply } from '../../lib/http/route.js';
import { createTestStore, type TestStore } from '../fakes/embedded-store.js';
import { type FailingRecords, failingRecords, outageError } from '../fakes/failing-records.js';

let store: TestStore;
let records: FailingRecords;
let idempotency: Idempotency;
let calls: number;
beforeEach(async () => {
  store = await createTestStore();
  records = failingRecords(store.records);
  idempotency = new Idempotency({ records, clock: store.clock });
  calls = 0;
});
afterEach(() => store.close());

const run = (work: () => Promise<Reply>): Promise<Reply> => {
  calls += 1;
  const request = new Request('http://x/', { method: 'POST', headers: { 'idempotency-key': 'k' } });
  return idempotency.run({ request, requestId: `r${calls}` } as Call, 'make', {}, work);
};
const made = (): Promise<Reply> => Promise.resolve({ status: 201, body: { id: calls } });

test.each(['before', 'after'] as const)('a key is free when claiming it failed %s it was written', async (moment) => {
  records.fail({ moment, times: 1 });
  await expect(run(made)).rejects.toThrow('cannot be reached');
  expect(await run(made)).toMatchObject({ body: { id: 2 } });
});

test.each([
  ['before', 3],
  ['after', 1],
] as const)('a key is free although letting it go failed %s it was done, %i times', async (moment, times) => {
  const failing = run(() => {
    records.fail({ moment, times });
    return Promise.reject(outageError());
  });
  await expect(failing).rejects.toThrow('cannot be reached');
  expect(records.failed).toBe(times);
  expect(await run(made)).toMatchObject({ body: { id: 2 } });
});

test('an answer that was kept unheard is given to who asks again', async () => {
  const failing = run(() => {
    records.fail({ moment: 'after', times: 1 });
    return made();
  });
  await expect(failing).rejects.toThrow('cannot be reached');
  expect(await run(made)).toMatchObject({ body: { id: 1 }, headers: { 'idempotent-replayed': 'true' } });
});

test('a key that another call has by now is left to it', async () => {
  let ahead = 0;
  const clock = { ...store.clock, nowMs: () => store.clock.nowMs() + ahead };
  idempotency = new Idempotency({ records, clock });
  let release = (): void => undefined;
  const later = new Promise<void>((resolve) => (release = resolve));
  let tell = (): void => undefined;
  const slowBegun = new Promise<void>((resolve) => (tell = resolve));
  const slow = run(() => {
    tell();
    return later.then(() => Promise.reject(outageError()));
  });
  await slowBegun;
  ahead = 121_000;
  let end = (): void => undefined;
  let begin = (): void => undefined;
  const begun = new Promise<void>((resolve) => (begin = resolve));
  const second = run(() => {
    begin();
    return new Promise((resolve) => (end = () => resolve({ status: 201, body: { id: 'second' } })));
  });
  await begun;
  release();
  await expect(slow).rejects.toThrow('cannot be reached');
  await expect(run(made)).rejects.toMatchObject({ code: 'IDEMPOTENCY_KEY_BUSY' });
  end();
  expect(await second).toMatchObject({ body: { id: 'second' } });
});
