/** The lease on a build when the store fails: it is held by one, and given back by whoever does not go on. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { leaseKey } from '../../lib/build/build-records.js';
import { BuildLease } from '../../lib/build/lease.js';
import type { AppError } from '../../lib/errors/index.js';
import { createTestStore, type TestStore } from '../fakes/embedded-store.js';
import { type FailingRecords, failingRecords } from '../fakes/failing-records.js';

const LEASE_MS = 2_000;

let store: TestStore;
let records: FailingRecords;
let nowMs: number;
beforeEach(async () => {
  nowMs = 1_000_000;
  const clock = {
    nowMs: () => nowMs,
    sleep: (ms: number) => {
      nowMs += ms;
      return Promise.resolve();
    },
  };
  store = await createTestStore({ clock });
  records = failingRecords(store.records);
});
afterEach(() => store.close());

const take = (): Promise<BuildLease | undefined> => BuildLease.take({ ...store, records }, 'b1', LEASE_MS);

async function held(): Promise<BuildLease> {
  const lease = await take();
  if (lease === undefined) throw new Error('the lease is held');
  return lease;
}

const isThere = async (): Promise<boolean> => (await store.records.get(leaseKey('b1'))) !== undefined;

describe('a lease on a build', () => {
  test('is held by one until that one gives it back', async () => {
    const first = await held();
    expect(await take()).toBeUndefined();
    await first.giveBack();
    expect(await take()).toBeDefined();
  });

  test('runs out, and is then not taken away from its next holder', async () => {
    const first = await held();
    nowMs += LEASE_MS + 1;
    const second = await held();
    expect(first.isOver).toBe(true);
    expect(await first.renew()).toBe(false);
    await first.giveBack();
    expect(await second.renew()).toBe(true);
  });

  test.each(['before', 'after'] as const)('is nobody’s when taking it failed %s it was written', async (moment) => {
    records.fail({ moment, times: 1 });
    await expect(take()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' } satisfies Partial<AppError>);
    expect(await isThere()).toBe(false);
    expect(await take()).toBeDefined();
  });

  test.each(['before', 'after'] as const)(
    'is renewed after a renewal that failed %s it was written',
    async (moment) => {
      const lease = await held();
      records.fail({ moment, times: 1 });
      nowMs += LEASE_MS / 2;
      await expect(lease.renew()).rejects.toThrow('cannot be reached');
      expect(await lease.renew()).toBe(true);
      nowMs += LEASE_MS - 1;
      expect(lease.isOver).toBe(false);
      expect(await take()).toBeUndefined();
    },
  );

  test.each([
    ['before', 3],
    ['after', 1],
  ] as const)('is given back although that failed %s it was done, %i times', async (moment, times) => {
    const lease = await held();
    records.fail({ moment, times });
    await lease.giveBack();
    expect(records.failed).toBe(times);
    expect(await isThere()).toBe(false);
  });

  test('is given back after a renewal that nobody heard of', async () => {
    const lease = await held();
    records.fail({ moment: 'after', times: 1 });
    await lease.renew().catch(() => undefined);
    await lease.giveBack();
    expect(await isThere()).toBe(false);
  });

  test('is left to run out when the store is out for as long as that takes', async () => {
    const lease = await held();
    records.fail({ moment: 'before', times: 1_000 });
    await expect(lease.giveBack()).rejects.toThrow('cannot be reached');
    expect(records.failed).toBeGreaterThan(3);
    expect(await isThere()).toBe(true);
    nowMs = 1_000_000 + LEASE_MS + 1;
    records.fail({ moment: 'before', times: 0, of: () => false });
    expect(await take()).toBeDefined();
  });
});
