/**
 * What every RecordStore refuses, and how it reads a query: one place, so that lmdb and DynamoDB cannot drift apart.
 * Keys leave out the two code points that the adapters use as bounds, so a byte range is always exact.
 */
import { randomBytes } from 'node:crypto';
import { AppError } from '../errors/index.js';
import type { Expect, QueryOptions, RecordKey, RecordWrite } from './ports.js';

/** Of the partition, and of the sort key, in UTF-8. */
const MAX_KEY_BYTES = 950;
const MAX_VALUE_BYTES = 380 * 1024;
const MAX_TRANSACTION_WRITES = 100;
const MAX_TRANSACTION_BYTES = 3840 * 1024;
const MAX_PAGE = 1000;
/** A page ends here even below its limit, so that no caller holds hundreds of megabytes. */
export const MAX_PAGE_BYTES = 4 * 1024 * 1024;

/** Sorts after every allowed key. */
export const LAST = '\u{10FFFF}';
const FORBIDDEN = /[\0\u{10FFFF}\p{Surrogate}]/u;

/** @throws AppError RECORD_KEY_INVALID */
export function checkKey(key: RecordKey): void {
  for (const part of ['partition', 'sort'] as const) {
    const bytes = Buffer.byteLength(key[part]);
    if (bytes >= 1 && bytes <= MAX_KEY_BYTES && !FORBIDDEN.test(key[part])) continue;
    throw new AppError('RECORD_KEY_INVALID', `${part} key ${JSON.stringify(key[part].slice(0, 80))} (${bytes} bytes)`, {
      hint: `1 to ${MAX_KEY_BYTES} bytes of well-formed text without NUL and without U+10FFFF`,
    });
  }
}

/** The value as JSON text. @throws AppError RECORD_TOO_LARGE */
export function encodeValue(key: RecordKey, value: object): string {
  const text = JSON.stringify(value);
  const bytes = Buffer.byteLength(text);
  if (bytes > MAX_VALUE_BYTES) {
    throw new AppError('RECORD_TOO_LARGE', `record ${key.partition} ${key.sort} has ${bytes} bytes`, {
      kind: 'too-large',
      hint: `at most ${MAX_VALUE_BYTES} bytes of JSON; larger values belong in a blob`,
    });
  }
  return text;
}

/** @throws AppError RECORD_TRANSACTION_INVALID, RECORD_KEY_INVALID or RECORD_TOO_LARGE */
export function checkTransaction(writes: readonly RecordWrite[]): void {
  if (writes.length > MAX_TRANSACTION_WRITES) {
    throw new AppError('RECORD_TRANSACTION_INVALID', `a transaction of ${writes.length} writes`, {
      hint: `at most ${MAX_TRANSACTION_WRITES}`,
    });
  }
  const seen = new Set<string>();
  let bytes = 0;
  for (const write of writes) {
    checkKey(write.key);
    const name = `${write.key.partition}\0${write.key.sort}`;
    if (seen.has(name)) {
      throw new AppError(
        'RECORD_TRANSACTION_INVALID',
        `${write.key.partition} ${write.key.sort} is twice in one transaction`,
        { hint: 'one write per key' },
      );
    }
    seen.add(name);
    bytes += name.length + (write.op === 'put' ? encodeValue(write.key, write.value).length : 0);
  }
  if (bytes > MAX_TRANSACTION_BYTES) {
    throw new AppError('RECORD_TOO_LARGE', `a transaction of ${bytes} bytes`, {
      kind: 'too-large',
      hint: `at most ${MAX_TRANSACTION_BYTES} bytes`,
    });
  }
}

/**
 * The version of a record that was absent. Nothing remembers what a deleted record's version was, so it is drawn by lot:
 * whoever expects a version from before the deletion must not take the new record for the old one.
 */
export function firstVersion(): number {
  return randomBytes(6).readUIntBE(0, 6) + 1;
}

/** Does a record at this version (undefined: absent) meet the expectation? */
export function meets(expect: Expect | undefined, version: number | undefined): boolean {
  if (expect === undefined || expect === 'any') return true;
  if (expect === 'absent') return version === undefined;
  if (expect === 'present') return version !== undefined;
  return version === expect.version;
}

/** A query as a byte range of sort keys, both ends inclusive, with a last filter for what a range cannot say. */
export interface SortWindow {
  /** Undefined: from the first. */
  readonly low: string | undefined;
  /** Undefined: to the last. */
  readonly high: string | undefined;
  readonly reverse: boolean;
  readonly limit: number;
  accepts(sort: string): boolean;
}

/** Undefined when the query can match nothing. @throws AppError RECORD_QUERY_INVALID */
export function sortWindow(options: QueryOptions): SortWindow | undefined {
  const limit = options.limit ?? 100;
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_PAGE) {
    throw new AppError('RECORD_QUERY_INVALID', `limit ${limit}`, { hint: `a whole number from 1 to ${MAX_PAGE}` });
  }
  const reverse = options.reverse ?? false;
  const prefix = options.prefix ?? '';
  const passed = options.cursor === undefined ? undefined : decodeCursor(options.cursor);
  const lows = [prefix, options.after, reverse ? undefined : passed];
  const highs = [prefix + LAST, options.before, reverse ? passed : undefined];
  const low = lows.filter(isGiven).reduce((a, b) => (compareUtf8(a, b) > 0 ? a : b));
  const high = highs.filter(isGiven).reduce((a, b) => (compareUtf8(a, b) < 0 ? a : b));
  if (compareUtf8(low, high) > 0 || high === '') return undefined;
  const accepts = (sort: string): boolean =>
    sort.startsWith(prefix) && sort !== options.after && sort !== options.before && sort !== passed;
  const bounds = { low: low === '' ? undefined : low, high: high === LAST ? undefined : high };
  return { ...bounds, reverse, limit, accepts };
}

export function encodeCursor(lastSort: string): string {
  return Buffer.from(`1${lastSort}`).toString('base64url');
}

function decodeCursor(cursor: string): string {
  const text = Buffer.from(cursor, 'base64url').toString();
  if (!text.startsWith('1') || text.length < 2 || FORBIDDEN.test(text)) {
    throw new AppError('RECORD_QUERY_INVALID', `cursor ${JSON.stringify(cursor.slice(0, 80))} is not one of ours`, {
      hint: 'the cursor of an earlier page, unchanged',
    });
  }
  return text.slice(1);
}

function isGiven(text: string | undefined): text is string {
  return text !== undefined;
}

/** JavaScript compares UTF-16 units, which differs from UTF-8 order above U+FFFF. */
function compareUtf8(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
