/** The collector function's part: as much of a pass as there is time for, then on from there, then rest. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { AwsCollector } from '../../lib/host/aws/collector.js';
import type { AwsStore } from '../../lib/host/aws/store.js';
import { Upstreams } from '../../lib/registry/cache/index.js';
import { Registry } from '../../lib/registry/index.js';
import { ContentStore, silentLogger } from '../../lib/store/index.js';
import { RecordsSecretStore } from '../../lib/store/records/secret-store-records.js';
import { createTestStore, type TestStore } from '../fakes/embedded-store.js';
import { failingRecords } from '../fakes/failing-records.js';
import { manualClock } from '../fakes/manual-clock.js';
import { imageSet } from '../protocol/registry/images.js';

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

  test('tells at the end of a pass what it took away', async () => {
    const told = new Map<string, number>();
    const metrics = { count: (name: string, value = 1) => void told.set(name, value), timing: () => {} };
    await new AwsCollector(aws, { metrics }).work(0);
    expect(told).toEqual(new Map());
    await store.content.putBytes(Buffer.alloc(4096, 1));
    const clock = manualClock(store.clock.nowMs());
    const later = { ...aws, clock, content: new ContentStore(store.blobs, store.records, clock) };
    for (let days = 0; days < 12; days += 1) {
      clock.advance(26 * 3_600_000);
      await new AwsCollector(later, { metrics, pauseMs: -1 }).work(Infinity);
      if ((told.get('BytesCollected') ?? 0) > 0) break;
    }
    expect(Object.fromEntries(told)).toEqual({
      ManifestsCollected: 0,
      BlobsCollected: 1,
      BytesCollected: 4096,
      UploadsCollected: 0,
    });
  });

  test('says that it is not done when its time is over, and does not rest then', async () => {
    const collector = new AwsCollector(aws);
    expect(await collector.work(0)).toBe('unfinished');
    expect(await collector.work(Infinity)).toBe('finished');
  });

  test('leaves a store alone that another call is at, until that has had its time', async () => {
    const clock = manualClock(store.clock.nowMs());
    const timed = { ...aws, clock };
    // As one that died: its time is given, and nobody gives it back.
    const records = failingRecords(aws.records);
    records.fail({ moment: 'before', times: 1, of: (op) => op === 'delete' });
    const dying = new AwsCollector({ ...timed, records });
    await expect(dying.work(clock.nowMs() + 60_000)).rejects.toThrow('cannot be reached');
    clock.advance(60_000);
    const next = new AwsCollector(timed, { pauseMs: -1 });
    expect(await next.work(clock.nowMs() + 60_000)).toBe('busy');
    clock.advance(60_000);
    expect(await next.work(clock.nowMs() + 60_000)).toBe('finished');
    expect(await next.work(clock.nowMs() + 60_000)).toBe('finished');
  });

  test('gives the claim back when it fails', async () => {
    const records = failingRecords(aws.records);
    records.fail({ moment: 'before', times: 1, of: (_, [key]) => key?.sort !== 'claim' });
    await expect(new AwsCollector({ ...aws, records }).work(Infinity)).rejects.toThrow('cannot be reached');
    expect(await new AwsCollector(aws).work(Infinity)).toBe('finished');
  });

  test('is one of two that are called at once', async () => {
    const both = [new AwsCollector(aws, { pauseMs: -1 }), new AwsCollector(aws, { pauseMs: -1 })];
    const done = await Promise.all(both.map((each) => each.work(Infinity)));
    expect(done.toSorted()).toEqual(['busy', 'finished']);
  });

  test('lets go of what nobody asked a cache for, and of nothing else that a tag holds', async () => {
    const clock = manualClock();
    const later = { ...aws, clock };
    const registry = new Registry(later);
    await new Upstreams(later).put({
      prefix: 'hub',
      registry: '127.0.0.1:5000',
      tagTtlSeconds: 300,
      keepSeconds: 3600,
    });
    const set = imageSet('an image');
    for (const [repository, isCached] of [
      ['hub/team/app', true],
      ['team/app', false],
    ] as const) {
      for (const { bytes } of set.blobs) {
        await registry.linkBlob(repository, (await store.content.putBytes(bytes)).digest);
      }
      for (const { bytes, mediaType } of set.manifests) {
        await registry.manifests.put(repository, bytes, mediaType, { tags: ['1'], isCached });
      }
    }
    for (let hours = 0; hours < 6; hours += 2) {
      clock.advance(2 * 3_600_000);
      await new AwsCollector(later, { pauseMs: -1 }).work(Infinity);
    }
    expect(await registry.manifest('hub/team/app', { tag: '1' })).toBeUndefined();
    expect((await registry.manifest('team/app', { tag: '1' }))?.mediaType).toBe(set.manifests.at(-1)?.mediaType);
  });
});
