import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { imagesInUse } from '../../lib/platform/index.js';
import { createTestStore, type TestStore } from '../fakes/embedded-store.js';

let store: TestStore;
beforeAll(async () => {
  store = await createTestStore();
});
afterAll(() => store.close());

const digest = (n: number) => `sha256:${String(n).padStart(64, '0')}`;

test('are those of the newest releases of every service, and of the one that runs', async () => {
  const { records } = store;
  await records.put({ partition: 'CLUSTERS', sort: 'main' }, {});
  await records.put({ partition: 'CLUSTER#main', sort: 'SERVICE#web' }, { name: 'web' });
  await records.put({ partition: 'SERVICE#main/web', sort: 'META' }, { currentRelease: 2 });
  for (let number = 1; number <= 9; number++) {
    const value = { number, image: { repository: 'app', digest: digest(number) } };
    await records.put({ partition: 'SERVICE#main/web', sort: `R#${String(number).padStart(6, '0')}` }, value);
  }
  const found: string[] = [];
  for await (const image of imagesInUse(records, 3)) found.push(`${image.repository}@${image.digest}`);
  expect(found).toEqual([9, 8, 7, 2].map((number) => `app@${digest(number)}`));
});
