/** The stores of the interleaving test keep the ports' contracts, so that what holds on them holds on the real ones. */
import { systemIds } from '../../lib/store/system/ids-system.js';
import { contentStoreContract } from '../contract/content-store.js';
import { recordStoreContract } from '../contract/record-store.js';
import { manualClock } from '../fakes/manual-clock.js';
import { MemoryBlobs, MemoryRecords } from './memory-stores.js';

contentStoreContract('memory', async () => {
  const clock = manualClock();
  const records = new MemoryRecords(clock);
  return { records, blobs: new MemoryBlobs({ clock, ids: systemIds }), close: async () => {} };
});

recordStoreContract('memory', async ({ clock }) => ({ records: new MemoryRecords(clock), close: async () => {} }));
