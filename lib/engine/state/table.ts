/**
 * A typed view of one kind of record. Every change is a conditional write that is tried again when another writer was
 * faster, so a change function may run more than once and must be pure.
 */
import type { RecordKey, RecordStore, RecordWrite, StoredRecord } from '../../store/index.js';
import { AppError } from '../../errors/index.js';

const PAGE = 1000;
const TRIES = 50;

export class Table<T extends object> {
  constructor(
    private readonly records: RecordStore,
    /** The partition of a scope, for instance of a cluster's name. */
    private readonly partition: (scope: string) => string,
  ) {}

  key(scope: string, sort: string): RecordKey {
    return { partition: this.partition(scope), sort };
  }

  async get(scope: string, sort: string): Promise<T | undefined> {
    return (await this.stored(scope, sort))?.value;
  }

  stored(scope: string, sort: string): Promise<StoredRecord<T> | undefined> {
    return this.records.get<T>(this.key(scope, sort));
  }

  /** All values of a scope in the order of their sort keys. */
  async all(scope: string, prefix?: string): Promise<readonly T[]> {
    const values: T[] = [];
    let cursor: string | undefined;
    do {
      const page = await this.records.query<T>(this.partition(scope), {
        limit: PAGE,
        ...(prefix === undefined ? {} : { prefix }),
        ...(cursor === undefined ? {} : { cursor }),
      });
      values.push(...page.records.map((record) => record.value));
      cursor = page.cursor;
    } while (cursor !== undefined);
    return values;
  }

  /** The newest `limit` values: those with the greatest sort keys, greatest first. */
  async newest(scope: string, limit: number): Promise<readonly T[]> {
    const page = await this.records.query<T>(this.partition(scope), { limit, reverse: true });
    return page.records.map((record) => record.value);
  }

  /** False when there is one already. */
  async create(scope: string, sort: string, value: T, expiresAtMs?: number): Promise<boolean> {
    const options = expiresAtMs === undefined ? {} : { expiresAtMs };
    const result = await this.records.put(this.key(scope, sort), value, { expect: 'absent', ...options });
    return result.outcome === 'written';
  }

  async put(scope: string, sort: string, value: T, expiresAtMs?: number): Promise<void> {
    await this.records.put(this.key(scope, sort), value, expiresAtMs === undefined ? {} : { expiresAtMs });
  }

  async delete(scope: string, sort: string): Promise<void> {
    await this.records.delete(this.key(scope, sort));
  }

  /**
   * Reads, changes and writes. A change that returns undefined writes nothing.
   * @returns the value that stands afterwards; undefined when there is no record
   */
  async update(
    scope: string,
    sort: string,
    change: (value: T) => T | undefined,
    expiresAtMs?: number,
  ): Promise<T | undefined> {
    for (let attempt = 0; attempt < TRIES; attempt += 1) {
      const stored = await this.stored(scope, sort);
      if (stored === undefined) return undefined;
      const next = change(stored.value);
      if (next === undefined) return stored.value;
      const expiry = expiresAtMs ?? stored.expiresAtMs;
      const result = await this.records.put(this.key(scope, sort), next, {
        expect: { version: stored.version },
        ...(expiry === undefined ? {} : { expiresAtMs: expiry }),
      });
      if (result.outcome === 'written') return next;
    }
    throw contention(this.key(scope, sort));
  }
}

/**
 * Builds a transaction from fresh reads until it wins. `build` returns undefined when there is nothing (more) to do.
 * @returns what `build` wanted to hand back with the writes that won
 */
export async function transactUntilWon<R>(
  records: RecordStore,
  build: () => Promise<{ readonly writes: readonly RecordWrite[]; readonly result: R } | undefined>,
): Promise<R | undefined> {
  for (let attempt = 0; attempt < TRIES; attempt += 1) {
    const plan = await build();
    if (plan === undefined) return undefined;
    if (plan.writes.length === 0) return plan.result;
    const outcome = await records.transact(plan.writes);
    if (outcome.outcome === 'written') return plan.result;
  }
  throw new AppError('ENGINE_CONTENTION', `a transaction lost its race ${String(TRIES)} times`, {
    kind: 'unavailable',
  });
}

function contention(key: RecordKey): AppError {
  return new AppError('ENGINE_CONTENTION', `record ${key.partition}/${key.sort} lost its race ${String(TRIES)} times`, {
    kind: 'unavailable',
  });
}
