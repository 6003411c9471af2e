/**
 * Writes the fixture of the records as this version makes them: `npx tsx test/upgrade/record.ts`. To be run once, when
 * SCHEMA_VERSION was raised; the fixtures of before stay as they are.
 */
import { writeFile } from 'node:fs/promises';
import { digestOf } from '../../lib/oci/index.js';
import { openSchema, SCHEMA_VERSION } from '../../lib/store/index.js';
import { location } from '../protocol/registry/wire.js';
import { fixturePath, recordedStore } from './fixture.js';
import { CONFIG, LAYER, MANIFEST, openWorld } from './world.js';

const { store, dump } = await recordedStore();
await openSchema(store.records);
const world = await openWorld(store, ['hello:1', 'hello:2']);
const { platform, agent, until } = world.platform;
const { tokens, robots } = world.registry;
const wire = world.wire(tokens.admin);

await wire.push('team/app', CONFIG);
await wire.push('team/app', LAYER, 'chunks');
const mediaType = 'application/vnd.oci.image.manifest.v1+json';
for (const tag of ['1', 'old']) await wire.put('team/app', tag, { bytes: MANIFEST, mediaType });
await wire.send('DELETE', '/v2/team/app/manifests/old');
const upload = location(await wire.send('PATCH', await wire.start('team/app'), { body: LAYER.subarray(0, 10) }));
const robot = await robots.create('ci', { grants: [{ repositories: 'team/*', actions: ['pull'] }] });

const context = (await store.content.putBytes(Buffer.from('context'))).digest;
const done = await world.builds.submit({ context, tags: ['team/app:built'] });
await world.buildAll();
const waiting = await world.builds.submit({ context, tags: ['team/app:later'] });

await platform.clusters.put('main', { instances: 2 });
const ended = (name: string) => async (): Promise<boolean> =>
  (await platform.services.get('main', name))?.deployment?.status === 'completed';
for (const image of ['hello:1', 'hello:2']) {
  await platform.services.put('main', 'web', { image, count: 1, ports: [{ container: 8080 }] });
  await until(image, ended('web'));
}
await platform.services.rollback('main', 'web', { intent: 'recorded' });
await until('the rollback', ended('web'));
const task = await platform.tasks.run('main', { image: 'hello:1' });
await platform.services.put('main', 'gone', { image: 'hello:1', count: 1 });
await until('gone', ended('gone'));
await platform.services.remove('main', 'gone');
await until('gone is gone', async () => (await platform.services.get('main', 'gone')) === undefined);
// From here on containers do not start: this deployment is under way when the version ends.
agent.auto = false;
await platform.services.put('main', 'half', { image: 'hello:2', count: 1 });

const told = {
  ...{ admin: tokens.admin, robot: robot.secret, upload: new URL(upload, world.registry.url).pathname },
  ...{ layer: digestOf(LAYER), done: done.id, waiting: waiting.id, task: task.id },
};
await writeFile(fixturePath(SCHEMA_VERSION), `${JSON.stringify(await dump(SCHEMA_VERSION, told), null, 1)}\n`);
agent.auto = true;
await world.close();
