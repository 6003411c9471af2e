/** The embedded store on a fresh temporary folder, for everyone's tests: the real adapters, nothing faked. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openFsBlobs, type FsBlobStore } from '../../lib/store/folder/blob-store-fs.js';
import { systemClock } from '../../lib/store/system/clock-system.js';
import { systemIds } from '../../lib/store/system/ids-system.js';
import { ContentStore, type Clock, type Ids } from '../../lib/store/index.js';
import { openLmdbRecords, type LmdbRecordStore } from '../../lib/store/folder/record-store-lmdb.js';

export interface TestStore {
  readonly records: LmdbRecordStore;
  readonly blobs: FsBlobStore;
  readonly content: ContentStore;
  readonly clock: Clock;
  readonly ids: Ids;
  /** A folder that is the test's own; the store lies in it under `store/`. */
  readonly directory: string;
  /** Closes the store and removes the folder. */
  close(): Promise<void>;
}

/** @example const store = await createTestStore(); … await store.close(); */
export async function createTestStore(options: { readonly clock?: Clock } = {}): Promise<TestStore> {
  const clock = options.clock ?? systemClock;
  const ids = systemIds;
  const directory = await mkdtemp(join(tmpdir(), 'wharf-test-'));
  const records = await openLmdbRecords(join(directory, 'store', 'records'), { clock });
  const blobs = await openFsBlobs(join(directory, 'store'), { clock, ids });
  return {
    records,
    blobs,
    content: new ContentStore(blobs, records, clock),
    clock,
    ids,
    directory,
    async close() {
      await records.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
