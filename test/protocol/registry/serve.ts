/**
 * A registry as a process of its own, for tests that kill it or put it into a network namespace.
 * `tsx serve.ts <folder> <admin token>`; prints `{"host": "127.0.0.1:<port>"}` when it is ready.
 */
import { join } from 'node:path';
import { openFsBlobs } from '../../../lib/store/folder/blob-store-fs.js';
import { systemClock } from '../../../lib/store/system/clock-system.js';
import { systemIds } from '../../../lib/store/system/ids-system.js';
import { ContentStore } from '../../../lib/store/index.js';
import { openLmdbRecords } from '../../../lib/store/folder/record-store-lmdb.js';
import { startTestRegistry } from './registry-server.js';

const [folder = '', token = ''] = process.argv.slice(2);
const clock = systemClock;
const ids = systemIds;
const records = await openLmdbRecords(join(folder, 'records'), { clock });
const blobs = await openFsBlobs(folder, { clock, ids });
const registry = await startTestRegistry(
  { records, content: new ContentStore(blobs, records), clock, ids },
  { publicRepositories: ['open/*'] },
);
await registry.apiTokens.ensureToken(token, 'admin');
process.stdout.write(`${JSON.stringify({ host: registry.host })}\n`);
