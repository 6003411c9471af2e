/** A store that tells of everything that is done with it, so that something may happen at any such point. */
import type { BlobStore, ByteSource, RecordStore } from '../../lib/store/index.js';

/** @param tell is called before each operation, and before each piece of a blob that is written */
export function countedRecords(records: RecordStore, tell: () => void): RecordStore {
  const told = <T>(work: () => Promise<T>): Promise<T> => {
    tell();
    return work();
  };
  return {
    get: (key) => told(() => records.get(key)),
    query: (partition, options) => told(() => records.query(partition, options)),
    put: (key, value, options) => told(() => records.put(key, value, options)),
    delete: (key, options) => told(() => records.delete(key, options)),
    transact: (writes) => told(() => records.transact(writes)),
  };
}

export function countedBlobs(blobs: BlobStore, tell: () => void): BlobStore {
  return {
    uploads: blobs.uploads,
    stat: (key) => blobs.stat(key),
    list: () => blobs.list(),
    readUrl: (key, seconds) => blobs.readUrl(key, seconds),
    delete: (key) => blobs.delete(key),
    open: (key, range) => {
      tell();
      return blobs.open(key, range);
    },
    put: async (source, options) => {
      const stored = await blobs.put(told(source, tell), options);
      tell();
      return stored;
    },
  };
}

async function* told(source: ByteSource, tell: () => void): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const piece of source) {
    tell();
    yield piece;
  }
}
