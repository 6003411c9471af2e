/** The store of one machine: blobs in a folder, everything else as records in lmdb, secrets sealed by a key file. */
import { join } from 'node:path';
import { openFsBlobs } from '../../store/folder/blob-store-fs.js';
import { systemClock } from '../../store/system/clock-system.js';
import { systemIds } from '../../store/system/ids-system.js';
import {
  ContentStore,
  type Clock,
  type Ids,
  openSchema,
  type Queue,
  type RecordStore,
  type SecretStore,
} from '../../store/index.js';
import { openKeyFile } from '../../store/folder/key-file-fs.js';
import { RecordsQueue } from '../../store/records/queue-records.js';
import { openLmdbRecords } from '../../store/folder/record-store-lmdb.js';
import { RecordsSecretStore } from '../../store/records/secret-store-records.js';
import type { DataFolder } from './data-folder.js';

export interface EmbeddedStore {
  readonly clock: Clock;
  readonly ids: Ids;
  readonly records: RecordStore;
  readonly content: ContentStore;
  readonly secrets: SecretStore;
  readonly buildQueue: Queue;
  /** Removes some of the records that have expired; gives how many. */
  sweepExpired(): Promise<number>;
  close(): Promise<void>;
}

export async function openEmbeddedStore(folder: DataFolder): Promise<EmbeddedStore> {
  const clock = systemClock;
  const ids = systemIds;
  const key = await openKeyFile(folder.paths.sealingKey);
  const records = await openLmdbRecords(join(folder.paths.records), { clock });
  try {
    await openSchema(records);
  } catch (error) {
    await records.close();
    throw error;
  }
  const blobs = await openFsBlobs(folder.paths.store, { clock, ids });
  return {
    clock,
    ids,
    records,
    content: new ContentStore(blobs, records, clock),
    secrets: new RecordsSecretStore(records, { key }),
    buildQueue: new RecordsQueue(records, { clock, ids }, { name: 'builds' }),
    sweepExpired: () => records.sweepExpired(),
    close: () => records.close(),
  };
}
