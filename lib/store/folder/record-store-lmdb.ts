/**
 * RecordStore over lmdb, for embedded mode. Several processes may open the same folder. A write is resolved when it is
 * synced to disk. Key: partition, NUL, sort; a second table indexes records by expiry, so that
 * expired ones are found without a scan.
 */
import { statfs } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { open, type Database, type RootDatabase } from 'lmdb';
import { AppError, toAppError } from '../../errors/index.js';
import { makeDirectory, syncDirectory } from './durable-file-fs.js';
import type {
  Clock,
  Expect,
  QueryOptions,
  RecordKey,
  RecordPage,
  RecordStore,
  RecordWrite,
  StoredRecord,
  TransactResult,
  WriteResult,
} from '../ports.js';
import {
  LAST,
  MAX_PAGE_BYTES,
  checkKey,
  checkTransaction,
  encodeCursor,
  firstVersion,
  meets,
  sortWindow,
} from '../record-rules.js';

/** What lies under a key, as JSON: version, expiry in epoch milliseconds, value. */
interface Row {
  readonly n: number;
  readonly x?: number;
  readonly v: object;
}

/**
 * Commit and sync are one step, so a resolved write is on disk; with the library's overlapping sync a failed sync is
 * never heard of. Its batching by event turn leaves a promise unhandled when a commit fails, which ends the process.
 */
const SAFE_COMMITS = { overlappingSync: false, eventTurnBatching: false };
/** Bytes free below which an I/O error means a full disk: lmdb reports a write that was cut short as one. */
const FULL_BELOW_BYTES = 4 * 1024 * 1024;
const ENOSPC = 28;
const EIO = 5;
const REASON_MS = 1_000;

/** Expired records that one write takes away beside its own work: keeps the table bounded without a timer. */
const LAZY_REMOVALS = 2;

export class LmdbRecordStore implements RecordStore {
  constructor(
    private readonly root: RootDatabase<string, Buffer>,
    private readonly rows: Database<string, Buffer>,
    private readonly expiries: Database<string, Buffer>,
    private readonly clock: Clock,
    private readonly directory: string,
  ) {}

  async get<T extends object>(key: RecordKey): Promise<StoredRecord<T> | undefined> {
    checkKey(key);
    this.root.resetReadTxn();
    const row = this.live(encodeKey(key));
    return row === undefined ? undefined : toRecord<T>(key, row);
  }

  async put(
    key: RecordKey,
    value: object,
    options: { readonly expect?: Expect; readonly expiresAtMs?: number } = {},
  ): Promise<WriteResult> {
    return this.single({ op: 'put', key, value, ...options });
  }

  async delete(key: RecordKey, options: { readonly expect?: Expect } = {}): Promise<WriteResult> {
    return this.single({ op: 'delete', key, ...options });
  }

  async transact(writes: readonly RecordWrite[]): Promise<TransactResult> {
    const result = await this.write(writes);
    return result.outcome === 'lost' ? result : { outcome: 'written' };
  }

  async query<T extends object>(partition: string, options: QueryOptions = {}): Promise<RecordPage<T>> {
    checkKey({ partition, sort: '-' });
    const window = sortWindow(options);
    if (window === undefined) return { records: [] };
    this.root.resetReadTxn();
    const low = encodeKey({ partition, sort: window.low ?? '' });
    const high = encodeKey({ partition, sort: window.high ?? LAST });
    // The upper bound is inclusive: a key plus NUL is the next possible one.
    const past = Buffer.concat([high, Buffer.of(0)]);
    const range = window.reverse
      ? this.rows.getRange({ start: high, end: low, reverse: true, inclusiveEnd: true })
      : this.rows.getRange({ start: low, end: past });
    const now = this.clock.nowMs();
    const records: StoredRecord<T>[] = [];
    let bytes = 0;
    for (const { key, value } of range) {
      const sort = key.subarray(Buffer.byteLength(partition) + 1).toString();
      if (!window.accepts(sort)) continue;
      const row = JSON.parse(value) as Row;
      if (isExpired(row, now)) continue;
      const last = records.at(-1);
      if (last !== undefined && (records.length === window.limit || bytes >= MAX_PAGE_BYTES)) {
        return { records, cursor: encodeCursor(last.sort) };
      }
      bytes += value.length;
      records.push(toRecord<T>({ partition, sort }, row));
    }
    return { records };
  }

  /** Removes up to `limit` records that have expired; says how many it removed. */
  async sweepExpired(limit = 1000): Promise<number> {
    return this.commit(() => this.removeExpired(limit));
  }

  async close(): Promise<void> {
    await this.root.close();
  }

  private async single(write: RecordWrite): Promise<WriteResult> {
    const result = await this.write([write]);
    return result.outcome === 'lost' ? { outcome: 'lost' } : result;
  }

  private async write(
    writes: readonly RecordWrite[],
  ): Promise<{ outcome: 'written'; version: number } | { outcome: 'lost'; index: number }> {
    checkTransaction(writes);
    if (writes.length === 0) return { outcome: 'written', version: 0 };
    return this.commit(() => {
      const lost = writes.findIndex((write) => !meets(write.expect, this.live(encodeKey(write.key))?.n));
      if (lost >= 0) return { outcome: 'lost', index: lost };
      let version = 0;
      for (const write of writes) version = this.apply(write);
      this.removeExpired(LAZY_REMOVALS);
      return { outcome: 'written', version };
    });
  }

  /** Runs synchronously inside one transaction that rolls back if it throws, and waits until that is on disk. */
  private async commit<R>(action: () => R): Promise<R> {
    try {
      return await this.root.childTransaction(action);
    } catch (error) {
      throw await storeFailure(this.directory, error);
    }
  }

  /** Gives the version that the record has now. */
  private apply(write: RecordWrite): number {
    const key = encodeKey(write.key);
    const before = this.live(key)?.n;
    if (write.op === 'check') return before ?? 0;
    this.remove(key);
    if (write.op === 'delete') return 0;
    const expires = write.expiresAtMs;
    const n = before === undefined ? firstVersion() : before + 1;
    const row: Row = { n, ...(expires === undefined ? {} : { x: expires }), v: write.value };
    this.rows.putSync(key, JSON.stringify(row));
    if (expires !== undefined) this.expiries.putSync(expiryKey(expires, key), '');
    return row.n;
  }

  private remove(key: Buffer): void {
    const row = this.row(key);
    if (row === undefined) return;
    if (row.x !== undefined) this.expiries.removeSync(expiryKey(row.x, key));
    this.rows.removeSync(key);
  }

  private removeExpired(limit: number): number {
    const due = [...this.expiries.getKeys({ end: expiryKey(this.clock.nowMs() + 1, Buffer.alloc(0)), limit })];
    for (const key of due) this.remove(Buffer.from(key.subarray(8)));
    return due.length;
  }

  private row(key: Buffer): Row | undefined {
    const text = this.rows.get(key);
    return text === undefined ? undefined : (JSON.parse(text) as Row);
  }

  private live(key: Buffer): Row | undefined {
    const row = this.row(key);
    return row === undefined || isExpired(row, this.clock.nowMs()) ? undefined : row;
  }
}

/**
 * Opens, and makes if need be, the record store of a folder.
 * @throws AppError STORE_FULL or STORE_UNAVAILABLE
 */
export async function openLmdbRecords(directory: string, deps: { readonly clock: Clock }): Promise<LmdbRecordStore> {
  try {
    await makeDirectory(directory);
    const options = { keyEncoding: 'binary', encoding: 'string' } as const;
    const root = open<string, Buffer>({ path: directory, noSubdir: false, maxDbs: 4, ...SAFE_COMMITS, ...options });
    const rows = root.openDB<string, Buffer>({ name: 'records', ...options });
    const expiries = root.openDB<string, Buffer>({ name: 'expiries', ...options });
    await syncDirectory(directory);
    return new LmdbRecordStore(root, rows, expiries, deps.clock, directory);
  } catch (error) {
    throw await storeFailure(directory, error);
  }
}

function encodeKey(key: RecordKey): Buffer {
  return Buffer.from(`${key.partition}\0${key.sort}`);
}

function expiryKey(expiresAtMs: number, key: Buffer): Buffer {
  const time = Buffer.alloc(8);
  time.writeBigUInt64BE(BigInt(Math.max(0, Math.floor(expiresAtMs))));
  return Buffer.concat([time, key]);
}

function isExpired(row: Row, nowMs: number): boolean {
  return row.x !== undefined && row.x <= nowMs;
}

function toRecord<T extends object>(key: RecordKey, row: Row): StoredRecord<T> {
  const base = { partition: key.partition, sort: key.sort, value: row.v as T, version: row.n };
  return row.x === undefined ? base : { ...base, expiresAtMs: row.x };
}

/** lmdb hides the reason of a failed commit in `commitError`, and gives errno as a number. */
async function storeFailure(directory: string, error: unknown): Promise<AppError> {
  if (error instanceof AppError) return error;
  let cause: unknown = error;
  if (typeof error === 'object' && error !== null && 'commitError' in error) {
    const reason = Promise.resolve(error.commitError).catch((hidden: unknown) => hidden);
    // Not for ever: the library rejects it only once it hears from its writing thread.
    cause = (await Promise.race([reason, delay(REASON_MS, undefined, { ref: false })])) ?? error;
  }
  const code = typeof cause === 'object' && cause !== null && 'code' in cause ? cause.code : undefined;
  if (code === ENOSPC || ((code === EIO || cause === error) && (await isFull(directory)))) {
    return toAppError(Object.assign(new Error('no space left', { cause: error }), { code: 'ENOSPC' }));
  }
  const known = toAppError(cause);
  if (known.code === 'STORE_FULL') return known;
  return new AppError('STORE_UNAVAILABLE', `the record store failed: ${known.message}`, {
    kind: 'unavailable',
    cause: error,
  });
}

async function isFull(directory: string): Promise<boolean> {
  const { bavail, bsize } = await statfs(directory);
  return bavail * bsize < FULL_BELOW_BYTES;
}
