/** The collector function's part: as much of a pass as there is time for, then on from there, then rest. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { AwsCollector } from '../../lib/host/aws/collector.js';
import type { AwsStore } from '../../lib/host/aws/store.js';
import { Upstreams } from '../../lib/registry/cache/index.js';
import { Registry } from '../../lib/registry/index.js';
import { silentLogger } from '../../lib/store/index.js';
import { RecordsSecretStore } from '../../lib/store/secret-store-records.js';
import { createTestStore, type TestStore } from '../fakes/embedded-store.js';
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

  test('says that it is not done when its time is over, and does not rest then', async () => {
    const collector = new AwsCollector(aws);
    expect(await collector.work(0)).toBe('unfinished');
    expect(await collector.work(Infinity)).toBe('finished');
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
