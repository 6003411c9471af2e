/**
 * A deterministic scheduler: every call to a store waits until it is chosen, and only one is on its way at a time. Which
 * one is a matter of the seed; how eager an actor is changes now and then, so that one may do a hundred calls while
 * another stands between two.
 */
import { setImmediate } from 'node:timers/promises';
import type { BlobStore, RecordStore } from '../../lib/store/index.js';
import type { Random } from './random.js';

interface Operation {
  readonly actor: number;
  readonly run: () => Promise<void>;
}

const EAGERNESS = [0.01, 0.2, 1, 1, 5, 50];
const CHANGE_OF_MIND = 0.03;

export class Scheduler {
  private pending: Operation[] = [];
  private readonly eagerness = new Map<number, number>();
  private readonly doomed = new Map<number, number>();
  calls = 0;

  constructor(
    private readonly random: Random,
    /** Before each call: time may pass. */
    private readonly beforeCall: () => void,
  ) {}

  /** Runs the actors to their ends. One that is killed never gets an answer again. */
  async drive(actors: ReadonlyMap<number, Promise<void>>): Promise<void> {
    const open = new Set(actors.keys());
    const failures: unknown[] = [];
    for (const [actor, work] of actors) {
      work.catch((error: unknown) => failures.push(error)).finally(() => open.delete(actor));
    }
    for (;;) {
      await setImmediate();
      if (failures.length > 0) throw failures[0];
      for (const [actor, call] of this.doomed) {
        if (call > this.calls) continue;
        open.delete(actor);
        this.pending = this.pending.filter((operation) => operation.actor !== actor);
      }
      if (this.pending.length === 0 && open.size === 0) return;
      if (this.pending.length === 0) throw new Error('the actors wait for something that is not a store');
      this.beforeCall();
      this.calls += 1;
      const operation = this.choose();
      this.pending.splice(this.pending.indexOf(operation), 1);
      await operation.run();
    }
  }

  /** The actor dies at this call: no answer reaches it any more. */
  killAt(actor: number, call: number): void {
    this.doomed.set(actor, call);
  }

  records(actor: number, store: RecordStore): RecordStore {
    const turn = this.turnOf(actor);
    return {
      get: (key) => turn(() => store.get(key)),
      query: (partition, options) => turn(() => store.query(partition, options)),
      put: (key, value, options) => turn(() => store.put(key, value, options)),
      delete: (key, options) => turn(() => store.delete(key, options)),
      transact: (writes) => turn(() => store.transact(writes)),
    };
  }

  blobs(actor: number, store: BlobStore): BlobStore {
    const turn = this.turnOf(actor);
    const { uploads } = store;
    async function* each<T>(items: AsyncIterable<T>): AsyncGenerator<T> {
      const iterator = items[Symbol.asyncIterator]();
      for (;;) {
        const next = await turn(() => iterator.next());
        if (next.done === true) return;
        yield next.value;
      }
    }
    return {
      stat: (key) => turn(() => store.stat(key)),
      open: (key, range) => turn(() => store.open(key, range)),
      readUrl: (key, seconds) => turn(() => store.readUrl(key, seconds)),
      put: (source, options) => turn(() => store.put(source, options)),
      delete: (key) => turn(() => store.delete(key)),
      list: () => each(store.list()),
      uploads: {
        start: (algorithm) => turn(() => uploads.start(algorithm)),
        append: (id, offset, source, signal) => turn(() => uploads.append(id, offset, source, signal)),
        status: (id) => turn(() => uploads.status(id)),
        commit: (id, expected) => turn(() => uploads.commit(id, expected)),
        abort: (id) => turn(() => uploads.abort(id)),
        stale: (beforeMs) => each(uploads.stale(beforeMs)),
      },
    };
  }

  private turnOf(actor: number): <T>(call: () => Promise<T>) => Promise<T> {
    return (call) =>
      new Promise((resolve, reject) => {
        this.pending.push({
          actor,
          run: async () => {
            try {
              resolve(await call());
            } catch (error) {
              reject(error);
            }
          },
        });
      });
  }

  private choose(): Operation {
    if (this.random.chance(CHANGE_OF_MIND)) this.eagerness.clear();
    const weights = this.pending.map(({ actor }) => {
      const known = this.eagerness.get(actor) ?? this.random.pick(EAGERNESS);
      this.eagerness.set(actor, known);
      return known;
    });
    let at = this.random.next() * weights.reduce((sum, weight) => sum + weight, 0);
    const index = weights.findIndex((weight) => (at -= weight) < 0);
    const chosen = this.pending[index] ?? this.pending[0];
    if (chosen === undefined) throw new Error('nothing to choose from');
    return chosen;
  }
}
