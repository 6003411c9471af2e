/** A RecordStore that tells of every call before it happens, so that a test can look at the order or step in between. */
import type { RecordStore } from '../../lib/store/index.js';

export interface RecordCall {
  readonly op: 'get' | 'put' | 'delete' | 'query' | 'transact';
  /** The sort keys touched; for a query the partition. */
  readonly keys: readonly string[];
}

export function watchedRecords(inner: RecordStore, before: (call: RecordCall) => Promise<void> | void): RecordStore {
  const tell = async (op: RecordCall['op'], keys: readonly string[]): Promise<void> => before({ op, keys });
  return {
    get: async (key) => {
      await tell('get', [key.sort]);
      return inner.get(key);
    },
    put: async (key, value, options) => {
      await tell('put', [key.sort]);
      return inner.put(key, value, options);
    },
    delete: async (key, options) => {
      await tell('delete', [key.sort]);
      return inner.delete(key, options);
    },
    query: async (partition, options) => {
      await tell('query', [partition]);
      return inner.query(partition, options);
    },
    transact: async (writes) => {
      await tell(
        'transact',
        writes.map(({ key }) => key.sort),
      );
      return inner.transact(writes);
    },
  };
}
