/** Rules that keep a push and the collector apart, broken one at a time: the oracle must notice each. */
import type { RecordKey, RecordStore } from '../../lib/store/index.js';
import type { ScheduleOptions } from './schedule.js';

const isLink = (key: RecordKey): boolean => key.sort.startsWith('LINK#');
const isHolder = (key: RecordKey): boolean => key.sort.startsWith('BY#REPO#');
const written = { outcome: 'written', version: 1 } as const;

/** Each breaks one rule of those that keep a push and the collector apart. */
export const SABOTAGES: Readonly<Record<string, NonNullable<ScheduleOptions['sabotage']>>> = {
  'a manifest does not say what it names': {
    registry: (store) => ({
      ...bound(store),
      put: async (key, value, options) => (key.sort.startsWith('EDGE#') ? written : store.put(key, value, options)),
    }),
  },
  'a link that is asked for is not revived': {
    registry: (store) => ({
      ...bound(store),
      put: async (key, value, options) =>
        isLink(key) && options?.expect !== undefined ? written : store.put(key, value, options),
    }),
  },
  'a repository does not say that it holds a blob': {
    registry: (store) => ({
      ...bound(store),
      put: async (key, value, options) => (isHolder(key) ? written : store.put(key, value, options)),
      transact: (writes) => store.transact(writes.filter(({ key }) => !isHolder(key))),
    }),
  },
  'the collector deletes whatever became of what it chose': {
    collector: (store) => ({ ...bound(store), delete: async (key) => store.delete(key) }),
  },
  'the collector marks links without a condition': {
    collector: (store) => ({
      ...bound(store),
      put: async (key, value, options) => (isLink(key) ? store.put(key, value) : store.put(key, value, options)),
      delete: async (key) => store.delete(key),
    }),
  },
  'the collector does not see edges': {
    collector: (store) => ({
      ...bound(store),
      query: async (partition, options) =>
        options?.prefix?.startsWith('EDGE#sha') === true ? { records: [] } : store.query(partition, options),
    }),
  },
};

function bound(store: RecordStore): RecordStore {
  return {
    get: (key) => store.get(key),
    put: (key, value, options) => store.put(key, value, options),
    delete: (key, options) => store.delete(key, options),
    query: (partition, options) => store.query(partition, options),
    transact: (writes) => store.transact(writes),
  };
}
