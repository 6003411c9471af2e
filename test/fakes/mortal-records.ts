/**
 * A record store as a process sees it that may be killed at any await: from that moment on nothing it asks for is ever
 * answered. The records themselves live on in the store underneath.
 */
import type { RecordStore } from '../../lib/store/index.js';

export interface MortalRecords extends RecordStore {
  /** Requests that are on their way to the store. */
  readonly inFlight: number;
  /** Nothing is answered from now on. */
  kill(): void;
  /**
   * Dies around this write (1 is the next one): `before` it is made, or `after` it was made but before anyone learns.
   */
  killAt(write: number, moment: 'before' | 'after', onDeath: () => void): void;
}

const never = <T>(): Promise<T> => new Promise<T>(() => undefined);

export function mortalRecords(store: RecordStore): MortalRecords {
  let dead = false;
  let inFlight = 0;
  const counted = async <T>(work: () => Promise<T>): Promise<T> => {
    inFlight += 1;
    try {
      return await work();
    } finally {
      inFlight -= 1;
    }
  };
  let doom: { left: number; readonly moment: 'before' | 'after'; readonly onDeath: () => void } | undefined;

  const read = async <T>(work: () => Promise<T>): Promise<T> => {
    if (dead) return never();
    const result = await counted(work);
    return dead ? never() : result;
  };
  const write = async <T>(work: () => Promise<T>): Promise<T> => {
    if (dead) return never();
    if (doom !== undefined) doom.left -= 1;
    const mine = doom?.left === 0 ? doom : undefined;
    if (mine?.moment === 'before') {
      dead = true;
      mine.onDeath();
      return never();
    }
    const result = await counted(work);
    if (mine !== undefined) {
      dead = true;
      mine.onDeath();
    }
    return dead ? never() : result;
  };

  return {
    get inFlight() {
      return inFlight;
    },
    get: (key) => read(() => store.get(key)),
    query: (partition, options) => read(() => store.query(partition, options)),
    put: (key, value, options) => write(() => store.put(key, value, options)),
    delete: (key, options) => write(() => store.delete(key, options)),
    transact: (writes) => write(() => store.transact(writes)),
    kill() {
      dead = true;
    },
    killAt(left, moment, onDeath) {
      doom = { left, moment, onDeath };
    },
  };
}
