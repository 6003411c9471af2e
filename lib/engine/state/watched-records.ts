/** A record store that tells of every write that came about, so that what is kept beside the records follows them. */
import type { RecordKey, RecordStore, RecordWrite } from '../../store/index.js';

/** @param value undefined when the record was deleted */
export type WriteListener = (key: RecordKey, value: object | undefined) => void;

export function watchedRecords(records: RecordStore, tell: WriteListener): RecordStore {
  const tellOf = (write: RecordWrite): void => {
    if (write.op === 'put') tell(write.key, write.value);
    if (write.op === 'delete') tell(write.key, undefined);
  };
  return {
    get: (key) => records.get(key),
    query: (partition, options) => records.query(partition, options),
    async put(key, value, options) {
      const result = await records.put(key, value, options);
      if (result.outcome === 'written') tell(key, value);
      return result;
    },
    async delete(key, options) {
      const result = await records.delete(key, options);
      if (result.outcome === 'written') tell(key, undefined);
      return result;
    },
    async transact(writes) {
      const result = await records.transact(writes);
      if (result.outcome === 'written') for (const write of writes) tellOf(write);
      return result;
    },
  };
}
