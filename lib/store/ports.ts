/**
 * The ports through which all state leaves the process. Domain code knows only these; adapters stand beside this
 * file (`<port>-<technology>.ts`) and are held to one contract suite each in `test/contract/`.
 */
import type { Readable } from 'node:stream';
import type { Digest, DigestAlgorithm } from '../oci/index.js';

declare const blobKeyBrand: unique symbol;
/** Where bytes lie. Made by the store that wrote them, opaque to everyone else, never reused. */
export type BlobKey = string & { readonly [blobKeyBrand]: true };

/** Bytes `start` to `end`, both inclusive, as in an HTTP Range that has been resolved against the size. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

export interface StoredBlob {
  readonly key: BlobKey;
  readonly digest: Digest;
  readonly sizeBytes: number;
}

export interface ListedBlob {
  readonly key: BlobKey;
  readonly sizeBytes: number;
  readonly modifiedMs: number;
  /** Where the store's keys tell it. */
  readonly digest?: Digest;
}

export type ByteSource = AsyncIterable<Uint8Array>;

export interface BlobReader {
  /** Size of the blob; undefined when absent. */
  stat(key: BlobKey): Promise<{ readonly sizeBytes: number } | undefined>;
  /**
   * The bytes, or a part of them; undefined when absent. The caller consumes or destroys the stream. A range that ends
   * past the last byte gives what there is. @throws AppError RANGE_INVALID when it starts there
   */
  open(key: BlobKey, range?: ByteRange): Promise<Readable | undefined>;
  /** Every committed blob, in no promised order: for sweeps and verification. */
  list(): AsyncIterable<ListedBlob>;
  /** A URL that allows just this read for so long; undefined where the store has none. */
  readUrl(key: BlobKey, seconds: number): Promise<string | undefined>;
}

export interface PutOptions {
  /** Refused with DIGEST_MISMATCH, and nothing kept, when the bytes hash to something else. */
  readonly expected?: Digest;
  readonly signal?: AbortSignal;
  /** Chunks belong to the store from when they are yielded, with the memory they lie in. */
  readonly handsOver?: boolean;
}

export interface BlobWriter {
  /**
   * Stores a stream under a fresh key, hashing while it passes. Atomic: a reader sees all of the blob or none,
   * also after kill -9. On disk the bytes are synced before this resolves.
   */
  put(source: ByteSource, options?: PutOptions): Promise<StoredBlob>;
  /** Idempotent: deleting what is absent is fine. */
  delete(key: BlobKey): Promise<void>;
}

export type AppendResult =
  | { readonly outcome: 'appended'; readonly offset: number }
  /** The upload stands at another offset; nothing was written. */
  | { readonly outcome: 'wrong-offset'; readonly offset: number }
  | { readonly outcome: 'absent' };

export type CommitResult =
  | { readonly outcome: 'committed'; readonly blob: StoredBlob }
  /** The upload is kept, so that the client may cancel or look at it. */
  | { readonly outcome: 'digest-mismatch'; readonly actual: Digest }
  | { readonly outcome: 'absent' };

export interface AppendOptions {
  /**
   * A commit follows at once, and nobody hears of the offset before. The bytes are as safe as ever when this resolves;
   * whether the upload has them may still be lost in a power failure.
   */
  readonly last?: boolean;
  /** Chunks belong to the store from when they are yielded, with the memory they lie in. */
  readonly handsOver?: boolean;
}

/**
 * Resumable uploads. An upload survives a restart of the process at the last offset that was acknowledged; one without
 * any byte may be gone after a power failure.
 */
export interface BlobUploads {
  start(algorithm?: DigestAlgorithm): Promise<string>;
  /**
   * Appends at `offset` (undefined: wherever the upload stands). If the source fails midway the upload stands at
   * some offset between, which `status` tells.
   */
  append(
    id: string,
    offset: number | undefined,
    source: ByteSource,
    signal?: AbortSignal,
    options?: AppendOptions,
  ): Promise<AppendResult>;
  status(id: string): Promise<{ readonly offset: number; readonly startedMs: number } | undefined>;
  /** Zero-copy: the bytes become a blob where they lie. */
  commit(id: string, expected: Digest): Promise<CommitResult>;
  /** Idempotent. */
  abort(id: string): Promise<void>;
  /** Ids of uploads that were started before this time: for the collector. */
  stale(beforeMs: number): AsyncIterable<string>;
}

export interface BlobStore extends BlobReader, BlobWriter {
  readonly uploads: BlobUploads;
}

export interface RecordKey {
  readonly partition: string;
  readonly sort: string;
}

/** A JSON value: what both lmdb and DynamoDB keep without loss. `undefined` members are dropped. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json | undefined };

export interface StoredRecord<T> extends RecordKey {
  readonly value: T;
  /** One more with every write. The first is drawn by lot, so no version of before a deletion comes again. */
  readonly version: number;
  /** Epoch milliseconds; after it the record reads as absent. */
  readonly expiresAtMs?: number;
}

/** What must be true of the record for a write to happen. */
export type Expect = 'any' | 'absent' | 'present' | { readonly version: number };

export type RecordWrite =
  | {
      readonly op: 'put';
      readonly key: RecordKey;
      readonly value: object;
      readonly expect?: Expect;
      readonly expiresAtMs?: number;
    }
  | { readonly op: 'delete'; readonly key: RecordKey; readonly expect?: Expect }
  | { readonly op: 'check'; readonly key: RecordKey; readonly expect: Expect };

export type WriteResult = { readonly outcome: 'written'; readonly version: number } | { readonly outcome: 'lost' };
export type TransactResult =
  | { readonly outcome: 'written' }
  /** Index of the first write whose expectation failed; nothing was written. */
  | { readonly outcome: 'lost'; readonly index: number };

export interface QueryOptions {
  /** Only sort keys that start so. */
  readonly prefix?: string;
  /** Only sort keys greater than this one. */
  readonly after?: string;
  /** Only sort keys less than this one. */
  readonly before?: string;
  readonly reverse?: boolean;
  /** At most so many records on this page, 1 to 1,000; 100 when absent. */
  readonly limit?: number;
  /** From an earlier page of the same query. */
  readonly cursor?: string;
}

/** A page may be shorter than its limit and still have a cursor: it ends after about 4 MiB. */
export interface RecordPage<T> {
  readonly records: readonly StoredRecord<T>[];
  /** Present when more may follow. */
  readonly cursor?: string;
}

/**
 * Records with conditional writes. All reads are strongly consistent. Sort order is by UTF-8 bytes. A lost race is a
 * return value, never an exception. Limits, the same on every adapter: partition and sort 1 to 950 bytes each, without
 * NUL and U+10FFFF (RECORD_KEY_INVALID), value 380 KiB as JSON and 3,840 KiB per transaction (RECORD_TOO_LARGE),
 * 100 writes in a transaction, no key twice in one transaction (RECORD_TRANSACTION_INVALID).
 */
export interface RecordStore {
  get<T extends object>(key: RecordKey): Promise<StoredRecord<T> | undefined>;
  put(
    key: RecordKey,
    value: object,
    options?: { readonly expect?: Expect; readonly expiresAtMs?: number },
  ): Promise<WriteResult>;
  /** Deleting what is absent is `written` under expect any. The version of a delete is 0. */
  delete(key: RecordKey, options?: { readonly expect?: Expect }): Promise<WriteResult>;
  query<T extends object>(partition: string, options?: QueryOptions): Promise<RecordPage<T>>;
  /** All or nothing. */
  transact(writes: readonly RecordWrite[]): Promise<TransactResult>;
}

export interface QueueMessage {
  readonly id: string;
  readonly body: string;
  /** Names this delivery; a later delivery of the same message has another. */
  readonly receipt: string;
  /** 1 at the first delivery. */
  readonly deliveries: number;
}

/**
 * At-least-once, unordered. A message that was received `maxDeliveries` times and not acknowledged goes to the dead
 * letters, from where an operator redrives it. Limits: a body of 256 KiB, a delay of 900 seconds.
 */
export interface Queue {
  /** For five minutes after a send with a `dedupeId`, another with the same id does nothing. */
  send(body: string, options?: { readonly delaySeconds?: number; readonly dedupeId?: string }): Promise<void>;
  /**
   * At most `max` messages, 1 to 10, 1 when absent; received messages are hidden for `visibilitySeconds`. Waits up to
   * `waitSeconds`, at most 20, for the first one. Rejects when the signal fires.
   */
  receive(options: {
    readonly max?: number;
    readonly visibilitySeconds: number;
    readonly waitSeconds?: number;
    readonly signal?: AbortSignal;
  }): Promise<readonly QueueMessage[]>;
  /** Done with it. A stale receipt is ignored. */
  acknowledge(receipt: string): Promise<void>;
  /** Hides the message for so many seconds from now; 0 hands it back at once. A stale receipt is ignored. */
  extend(receipt: string, visibilitySeconds: number): Promise<void>;
  /** Reads the dead letters without taking them; where there are very many, only some of them. */
  deadLetters(): Promise<readonly { readonly id: string; readonly body: string }[]>;
}

/** Small secret values by name, sealed at rest. Values never appear in an error or a log. */
export interface SecretStore {
  get(name: string): Promise<string | undefined>;
  put(name: string, value: string): Promise<void>;
  delete(name: string): Promise<void>;
  /** Names only, sorted. */
  list(prefix?: string): Promise<readonly string[]>;
}

export interface Clock {
  nowMs(): number;
  /** Resolves after so long, or rejects with the signal's reason. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export interface Ids {
  /** A ULID: 26 characters, sortable by time of making, unique. */
  ulid(): string;
  /** Lower-case hex of so many random bytes. */
  hex(bytes: number): string;
}

export type LogFields = Readonly<Record<string, unknown>>;

export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A logger that adds these fields to every line. */
  child(fields: LogFields): Logger;
}

export interface Metrics {
  count(name: string, value?: number, dimensions?: Readonly<Record<string, string>>): void;
  timing(name: string, milliseconds: number, dimensions?: Readonly<Record<string, string>>): void;
}
