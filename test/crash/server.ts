/**
 * The victim: a registry with a collector that never rests, on a clock that is ahead by so much. Bundled before it is
 * run. `server.mjs <folder> <token> <ahead in ms>`; prints its host when it is ready, and then how many things each pass
 * took away.
 */
import { join } from 'node:path';
import { Collector } from '../../lib/registry/collector/index.js';
import { openFsBlobs } from '../../lib/store/folder/blob-store-fs.js';
import { systemIds } from '../../lib/store/system/ids-system.js';
import { ContentStore } from '../../lib/store/index.js';
import { openLmdbRecords } from '../../lib/store/folder/record-store-lmdb.js';
import { startTestRegistry } from '../protocol/registry/registry-server.js';
import { clockAhead } from './clock-ahead.js';

/** Longer than anything lies between a commit and its record. Files are dated by the machine's own clock. */
const ORPHAN_MS = 5_000;

const [folder = '', token = '', ahead = '0'] = process.argv.slice(2);
const clock = clockAhead(Number(ahead));
const ids = systemIds;
const records = await openLmdbRecords(join(folder, 'records'), { clock });
const blobs = await openFsBlobs(folder, { clock, ids });
const content = new ContentStore(blobs, records, clock);
const registry = await startTestRegistry({ records, content, clock, ids });
await registry.apiTokens.ensureToken(token, 'admin');
process.stdout.write(`${registry.host}\n`);

const collector = new Collector({ records, content, clock }, { orphanMs: Number(ahead) + ORPHAN_MS });
for (;;) {
  const { finished, collected } = await collector.round(20);
  const { manifests, links, blobs: taken, orphans, uploads } = collected;
  if (finished) process.stdout.write(`${manifests + links + taken + orphans + uploads}\n`);
  await clock.sleep(1);
}
