/** Ports that are opened by their first use keep the contracts of what they open, and try again when it failed. */
import { randomBytes } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { AppError } from '../../lib/errors/index.js';
import { late, LateBlobStore, LateQueue, LateRecordStore, LateSecretStore } from '../../lib/store/index.js';
import { RecordsQueue } from '../../lib/store/records/queue-records.js';
import { RecordsSecretStore } from '../../lib/store/records/secret-store-records.js';
import { openFsBlobs } from '../../lib/store/folder/blob-store-fs.js';
import { blobStoreContract } from '../contract/blob-store.js';
import { MAX_DELIVERIES, queueContract } from '../contract/queue.js';
import { recordStoreContract } from '../contract/record-store.js';
import { secretStoreContract } from '../contract/secret-store.js';
import { createTestStore } from '../fakes/embedded-store.js';

recordStoreContract('a late record store', async ({ clock }) => {
  const store = await createTestStore({ clock });
  return { records: new LateRecordStore(() => Promise.resolve(store.records)), close: () => store.close() };
});

blobStoreContract('a late blob store', { hasUrls: false }, async () => {
  const store = await createTestStore();
  const open = () => openFsBlobs(`${store.directory}/late`, store);
  return {
    blobs: new LateBlobStore(open),
    reopen: () => Promise.resolve(new LateBlobStore(open)),
    close: () => store.close(),
  };
});

queueContract('a late queue', async () => {
  const store = await createTestStore();
  const options = { name: 'late', maxDeliveries: MAX_DELIVERIES };
  const open = () => Promise.resolve(new RecordsQueue(store.records, store, options));
  return { queue: new LateQueue(open), close: () => store.close() };
});

secretStoreContract('a late secret store', async () => {
  const store = await createTestStore();
  const open = () => Promise.resolve(new RecordsSecretStore(store.records, { key: randomBytes(32) }));
  return { secrets: new LateSecretStore(open), close: () => store.close() };
});

test('nothing is opened before it is used; it is opened once, and again after it failed', async () => {
  let tries = 0;
  const opened = late(() => {
    tries += 1;
    return tries === 1 ? Promise.reject(new AppError('STORE_UNAVAILABLE', 'down')) : Promise.resolve('open');
  });
  expect(tries).toBe(0);
  const both = await Promise.allSettled([opened(), opened()]);
  expect([both.map(({ status }) => status), tries]).toEqual([['rejected', 'rejected'], 1]);
  expect([await opened(), await opened(), tries]).toEqual(['open', 'open', 2]);
});
