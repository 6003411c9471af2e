import { openLmdbRecords } from '../../lib/store/folder/record-store-lmdb.js';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { recordStoreContract } from '../contract/record-store.js';

recordStoreContract('lmdb', async ({ clock }) => {
  const directory = await mkdtemp(join(tmpdir(), 'wharf-lmdb-'));
  const records = await openLmdbRecords(directory, { clock });
  return {
    records,
    async close() {
      await records.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
});
