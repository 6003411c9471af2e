/** The collector function's part: as much of a pass as there is time for, then on from there, then rest. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { AwsCollector } from '../../lib/host/aws-collector.js';
import type { AwsStore } from '../../lib/host/aws-store.js';
import { silentLogger } from '../../lib/store/index.js';
import { RecordsSecretStore } from '../../lib/store/secret-store-records.js';
import { createTestStore, type TestStore } from '../fakes/embedded-store.js';

let store: TestStore;
let aws: AwsStore;
beforeEach(async () => {
  store = await createTestStore();
  const secrets = new RecordsSecretStore(store.records, { key: Buffer.alloc(32, 7) });
  aws = { ...store, secrets, logger: silentLogger };
});
afterEach(() => store.close());

describe('the collector of a function', () => {
  test('ends a pass, rests after it, and begins again when the rest is over', async () => {
    const collector = new AwsCollector(aws);
    expect(await collector.work(Infinity)).toBe('finished');
    expect(await collector.work(Infinity)).toBe('resting');
    expect(await new AwsCollector(aws).work(Infinity)).toBe('resting');
    expect(await new AwsCollector(aws, { pauseMs: -1 }).work(Infinity)).toBe('finished');
  });

  test('says that it is not done when its time is over, and does not rest then', async () => {
    const collector = new AwsCollector(aws);
    expect(await collector.work(0)).toBe('unfinished');
    expect(await collector.work(Infinity)).toBe('finished');
  });
});
