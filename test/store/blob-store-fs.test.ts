import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openFsBlobs } from '../../lib/store/folder/blob-store-fs.js';
import { systemClock } from '../../lib/store/system/clock-system.js';
import { systemIds } from '../../lib/store/system/ids-system.js';
import { blobStoreContract } from '../contract/blob-store.js';

const deps = { clock: systemClock, ids: systemIds };

blobStoreContract('a folder', { hasUrls: false }, async () => {
  const directory = await mkdtemp(join(tmpdir(), 'wharf-blobs-'));
  return {
    blobs: await openFsBlobs(directory, deps),
    reopen: () => openFsBlobs(directory, deps),
    close: () => rm(directory, { recursive: true, force: true }),
  };
});
