/** Stores that earlier versions left behind are read, and everything in them goes on. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { digestOf } from '../../lib/oci/index.js';
import { openSchema, SCHEMA_VERSION } from '../../lib/store/index.js';
import { createTestStore, type TestStore } from '../fakes/embedded-store.js';
import { withDigest } from '../protocol/registry/wire.js';
import { readFixture, storeOf, type StoreFixture } from './fixture.js';
import { LAYER, MANIFEST, openWorld, type World } from './world.js';

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

describe('the version of the records', () => {
  const fresh = async (): Promise<TestStore> => {
    const store = await createTestStore();
    closing.push(() => store.close());
    return store;
  };

  test('is written once, and raised by a newer version', async () => {
    const { records } = await fresh();
    await openSchema(records, 1);
    await openSchema(records, 1);
    await openSchema(records, 2);
    expect(await records.get({ partition: 'SCHEMA', sort: '-' })).toMatchObject({ value: { version: 2 } });
  });

  test('that is newer is refused, and left as it is', async () => {
    const { records } = await fresh();
    await openSchema(records, SCHEMA_VERSION + 1);
    await expect(openSchema(records)).rejects.toMatchObject({
      code: 'SCHEMA_NEWER',
      message: `the records are of version ${SCHEMA_VERSION + 1}, and this Wharf knows versions up to ${SCHEMA_VERSION}`,
      details: { version: SCHEMA_VERSION + 1, known: SCHEMA_VERSION },
    });
    await openSchema(records, SCHEMA_VERSION + 1);
  });
});

describe.each(Array.from({ length: SCHEMA_VERSION }, (_, index) => index + 1))('records of version %i', (schema) => {
  const open = async (): Promise<{ world: World; told: StoreFixture['told']; store: TestStore }> => {
    const fixture = await readFixture(schema);
    const store = await storeOf(fixture);
    await openSchema(store.records);
    const world = await openWorld(store, ['hello:1', 'hello:2', 'hello:3']);
    closing.push(() => world.close());
    return { world, told: fixture.told, store };
  };

  test('services keep their releases, and are deployed, rolled back and deleted further', async () => {
    const { world } = await open();
    const { platform, until } = world.platform;
    const isComplete = (name: string, release: number) => async (): Promise<boolean> => {
      const service = await platform.services.get('main', name);
      return service?.currentRelease === release && service.deployment?.status === 'completed';
    };
    expect(await platform.services.get('main', 'web')).toMatchObject({ release: 3, currentRelease: 3 });
    expect((await platform.services.release('main', 'web', 3)).rollbackOf).toBe(1);
    await until('what was under way is complete', isComplete('half', 1));
    await platform.services.put('main', 'web', { image: 'hello:3', count: 2 });
    await until('a new release', isComplete('web', 4));
    const back = await platform.services.rollback('main', 'web', { to: 2 });
    expect(back.release).toMatchObject({ number: 5, rollbackOf: 2, image: { tag: '2' } });
    await until('an old release', isComplete('web', 5));
    // The number of a release that was deleted is not used again.
    expect((await platform.services.put('main', 'gone', { image: 'hello:1', count: 1 })).release.number).toBe(2);
    await platform.services.remove('main', 'web');
    await until('web is gone', async () => (await platform.services.get('main', 'web')) === undefined);
  });

  test('tasks are known, and can be stopped', async () => {
    const { world, told } = await open();
    const { platform, until } = world.platform;
    const task = told['task'] ?? '';
    expect(await platform.tasks.get('main', task)).toMatchObject({ cluster: 'main', desiredStatus: 'RUNNING' });
    await platform.tasks.stop('main', task);
    await until('it has stopped', async () => (await platform.tasks.get('main', task))?.status === 'STOPPED');
  });

  test('images are pulled by the tokens of before, pushed over, and undeleted', async () => {
    const { world, told } = await open();
    const wire = world.wire(told['admin'] ?? '');
    expect((await wire.send('GET', '/v2/team/app/manifests/1')).bytes).toEqual(MANIFEST);
    expect((await wire.send('GET', `/v2/team/app/blobs/${told['layer']}`)).bytes).toEqual(LAYER);
    expect((await wire.send('GET', '/v2/team/app/manifests/old')).status).toBe(404);
    const path = told['upload'] ?? '';
    const rest = await wire.send('PUT', withDigest(path, digestOf(LAYER)), { body: LAYER.subarray(10) });
    expect(rest.status).toBe(201);
    const pushed = await wire.put('team/app', '2', {
      bytes: MANIFEST,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
    });
    expect(pushed.status).toBe(201);
    expect(await world.registry.robots.list()).toMatchObject([{ name: 'ci' }]);
  });

  test('builds are known with their logs, and one that waited is built', async () => {
    const { world, told } = await open();
    const [done = '', waiting = ''] = [told['done'], told['waiting']];
    expect(await world.builds.get(done)).toMatchObject({ status: 'succeeded' });
    const events: string[] = [];
    for await (const { event } of world.builds.follow(done, 0)) events.push(event.type);
    expect(events.at(-1)).toBe('finished');
    expect(await world.builds.get(waiting)).toMatchObject({ status: 'queued' });
    await world.buildAll();
    expect(await world.builds.get(waiting)).toMatchObject({ status: 'succeeded' });
  });
});
