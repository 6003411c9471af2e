/** A record store with outages: chosen writes fail, before they are made or after, when they are there and nobody hears of it. */
import { AppError } from '../../lib/errors/index.js';
import type { RecordKey, RecordStore } from '../../lib/store/index.js';

export interface Outage {
  readonly moment: 'before' | 'after';
  /** Writes that fail. */
  readonly times: number;
  /** Which; all when absent. */
  readonly of?: (op: 'put' | 'delete' | 'transact', keys: readonly RecordKey[]) => boolean;
}

export interface FailingRecords extends RecordStore {
  /** From now on. */
  fail(outage: Outage): void;
  /** Writes that have failed. */
  readonly failed: number;
}

export function outageError(): AppError {
  return new AppError('STORE_UNAVAILABLE', 'the store cannot be reached', { kind: 'unavailable' });
}

export function failingRecords(store: RecordStore): FailingRecords {
  let outage: Outage | undefined;
  let failed = 0;
  const write = async <T>(
    op: 'put' | 'delete' | 'transact',
    keys: readonly RecordKey[],
    work: () => Promise<T>,
  ): Promise<T> => {
    const mine = outage !== undefined && (outage.of?.(op, keys) ?? true) ? outage : undefined;
    if (mine === undefined) return work();
    outage = mine.times > 1 ? { ...mine, times: mine.times - 1 } : undefined;
    failed += 1;
    if (mine.moment === 'after') await work();
    throw outageError();
  };
  return {
    get: (key) => store.get(key),
    query: (partition, options) => store.query(partition, options),
    put: (key, value, options) => write('put', [key], () => store.put(key, value, options)),
    delete: (key, options) => write('delete', [key], () => store.delete(key, options)),
    transact: (writes) =>
      write(
        'transact',
        writes.map(({ key }) => key),
        () => store.transact(writes),
      ),
    fail(next) {
      outage = next;
    },
    get failed() {
      return failed;
    },
  };
}
