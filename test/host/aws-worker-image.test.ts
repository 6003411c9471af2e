/** Which image of the registry workers of builds run. */
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { findWorkerImage } from '../../lib/host/aws/worker-image.js';
import { type Digest, digestOf, MediaType } from '../../lib/oci/index.js';
import { Registry } from '../../lib/registry/index.js';
import { RecordsSecretStore } from '../../lib/store/records/secret-store-records.js';
import { createTestStore, type TestStore } from '../fakes/embedded-store.js';
import { manualClock, type ManualClock } from '../fakes/manual-clock.js';

let clock: ManualClock;
let store: TestStore;
let registry: Registry;
beforeEach(async () => {
  clock = manualClock();
  store = await createTestStore({ clock });
  registry = new Registry({ ...store, secrets: new RecordsSecretStore(store.records, { key: Buffer.alloc(32, 3) }) });
});
afterEach(() => store.close());

async function pushed(repository: string, tag: string): Promise<Digest> {
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MediaType.ociIndex,
      manifests: [],
      annotations: { made: `${repository}:${tag}` },
    }),
  );
  await registry.putManifest(repository, bytes, MediaType.ociIndex, [tag]);
  clock.advance(1000);
  return digestOf(bytes);
}

test('is the one of its tag, or of latest where none is said, whatever is newer', async () => {
  const [one, latest] = [await pushed('team/worker', '1'), await pushed('team/worker', 'latest')];
  await pushed('team/worker', '2');
  expect(await findWorkerImage(registry, 'team/worker:1')).toEqual({ repository: 'team/worker', digest: one });
  expect(await findWorkerImage(registry, 'team/worker')).toEqual({ repository: 'team/worker', digest: latest });
});

test('is the newest where any tag will do, also when that is gone back to, and the one before once it is deleted', async () => {
  const newest = async (): Promise<Digest> => (await findWorkerImage(registry, 'cdk/worker:*')).digest;
  const first = await pushed('cdk/worker', 'f'.repeat(40));
  const second = await pushed('cdk/worker', '0'.repeat(40));
  expect(await newest()).toBe(second);
  await registry.deleteTag('cdk/worker', '0'.repeat(40));
  expect(await newest()).toBe(first);
});

test('is missed with what makes it: a person, or the deployment', async () => {
  const refusal = { code: 'BUILD_RUN_UNAVAILABLE', kind: 'unsupported' };
  await expect(findWorkerImage(registry, 'build-worker')).rejects.toMatchObject({
    ...refusal,
    message: expect.stringContaining('build-worker:latest'),
    hint: expect.stringContaining('npm run worker-image'),
  });
  await pushed('cdk/worker', 'a');
  await registry.deleteTag('cdk/worker', 'a');
  for (const name of ['cdk/worker:*', 'cdk/never:*']) {
    await expect(findWorkerImage(registry, name)).rejects.toMatchObject({
      ...refusal,
      hint: expect.stringContaining('while the stack is deployed'),
    });
  }
});
