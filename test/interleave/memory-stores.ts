/**
 * The two ports in memory, for hundreds of thousands of runs. They pass the same contract suites as the real stores
 * (memory-stores.test.ts).
 */
import { Readable } from 'node:stream';
import { Digester, digestAlgorithm, digestOf, type Digest } from '../../lib/oci/index.js';
import { checkRange, digestMismatch } from '../../lib/store/blob-rules.js';
import type {
  AppendResult,
  BlobKey,
  BlobStore,
  BlobUploads,
  ByteRange,
  ByteSource,
  Clock,
  CommitResult,
  Ids,
  ListedBlob,
  PutOptions,
  QueryOptions,
  RecordKey,
  RecordPage,
  RecordStore,
  RecordWrite,
  StoredBlob,
  StoredRecord,
  TransactResult,
  WriteResult,
} from '../../lib/store/index.js';
import {
  checkKey,
  checkTransaction,
  encodeCursor,
  meets,
  type SortWindow,
  sortWindow,
} from '../../lib/store/record-rules.js';

interface Row {
  readonly version: number;
  readonly text: string;
  readonly expiresAtMs: number | undefined;
}

export class MemoryRecords implements RecordStore {
  private readonly partitions = new Map<string, Map<string, Row>>();
  /** First versions in turn, not by lot: a schedule is the same whenever it is run. */
  private lives = 0;

  constructor(private readonly clock: Clock) {}

  async get<T extends object>(key: RecordKey): Promise<StoredRecord<T> | undefined> {
    checkKey(key);
    const row = this.live(key);
    return row === undefined ? undefined : toRecord<T>(key, row);
  }

  async put(
    key: RecordKey,
    value: object,
    options: Pick<Extract<RecordWrite, { op: 'put' }>, 'expect' | 'expiresAtMs'> = {},
  ): Promise<WriteResult> {
    const { partition, sort } = key;
    const result = await this.transact([{ op: 'put', key: { partition, sort }, value, ...options }]);
    return result.outcome === 'lost'
      ? { outcome: 'lost' }
      : { outcome: 'written', version: this.live(key)?.version ?? 0 };
  }

  async delete(key: RecordKey, options: Pick<RecordWrite, 'expect'> = {}): Promise<WriteResult> {
    const { expect = 'any' } = options;
    const result = await this.transact([{ op: 'delete', key, expect }]);
    return result.outcome === 'lost' ? { outcome: 'lost' } : { outcome: 'written', version: 0 };
  }

  async query<T extends object>(partition: string, options: QueryOptions = {}): Promise<RecordPage<T>> {
    checkKey({ partition, sort: '-' });
    const window = sortWindowOf(options);
    if (window === undefined) return { records: [] };
    const found: StoredRecord<T>[] = [];
    const rows = this.partitions.get(partition) ?? new Map<string, Row>();
    const sorts = [...rows.keys()].filter(window.accepts).sort(compareUtf8);
    if (window.reverse) sorts.reverse();
    for (const sort of sorts) {
      const row = this.live({ partition, sort });
      if (row === undefined) continue;
      const last = found.at(-1);
      if (found.length === window.limit && last !== undefined) {
        return { records: found, cursor: encodeCursor(last.sort) };
      }
      found.push(toRecord<T>({ partition, sort }, row));
    }
    return { records: found };
  }

  async transact(writes: readonly RecordWrite[]): Promise<TransactResult> {
    checkTransaction(writes);
    const index = writes.findIndex(({ key, expect }) => !meets(expect, this.live(key)?.version));
    if (index >= 0) return { outcome: 'lost', index };
    for (const write of writes) this.apply(write);
    return { outcome: 'written' };
  }

  /** Everything that has not expired. */
  all(): readonly StoredRecord<object>[] {
    return [...this.partitions].flatMap(([partition, rows]) =>
      [...rows.keys()].flatMap((sort) => {
        const row = this.live({ partition, sort });
        return row === undefined ? [] : [toRecord<object>({ partition, sort }, row)];
      }),
    );
  }

  private live({ partition, sort }: RecordKey): Row | undefined {
    const row = this.partitions.get(partition)?.get(sort);
    return row?.expiresAtMs !== undefined && row.expiresAtMs <= this.clock.nowMs() ? undefined : row;
  }

  private apply(write: RecordWrite): void {
    const { partition, sort } = write.key;
    if (write.op === 'check') return;
    if (write.op === 'delete') return void this.partitions.get(partition)?.delete(sort);
    const rows = this.partitions.get(partition) ?? new Map<string, Row>();
    this.partitions.set(partition, rows);
    const version = (this.live(write.key)?.version ?? ++this.lives * 1e6) + 1;
    rows.set(sort, { version, text: JSON.stringify(write.value), expiresAtMs: write.expiresAtMs });
  }
}

/** UTF-16 units are in the order of UTF-8 bytes where there are no surrogates. */
function compareUtf8(a: string, b: string): number {
  if (/[\uD800-\uFFFF]/.test(a + b)) return Buffer.compare(Buffer.from(a), Buffer.from(b));
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Most queries are a prefix and nothing else; the general case is as slow as it is exact. */
function sortWindowOf(options: QueryOptions): Pick<SortWindow, 'accepts' | 'limit' | 'reverse'> | undefined {
  const { prefix = '', limit = 100, after, before, cursor, reverse = false } = options;
  const isPlain = [after, before, cursor].every((each) => each === undefined) && [100, 200, 1000].includes(limit);
  if (isPlain) return { limit, reverse, accepts: (sort) => sort.startsWith(prefix) };
  const window = sortWindow(options);
  if (window === undefined) return undefined;
  const { low = '', high } = window;
  const accepts = (sort: string): boolean =>
    compareUtf8(sort, low) >= 0 && (high === undefined || compareUtf8(sort, high) <= 0) && window.accepts(sort);
  return { limit: window.limit, reverse: window.reverse, accepts };
}

function toRecord<T extends object>({ partition, sort }: RecordKey, row: Row): StoredRecord<T> {
  const { version, expiresAtMs } = row;
  const base = { partition, sort, version, value: JSON.parse(row.text) as T };
  return expiresAtMs === undefined ? base : { ...base, expiresAtMs };
}

/** Keys do not tell the digest, as on S3. */
export class MemoryBlobs implements BlobStore {
  readonly uploads: BlobUploads;
  private readonly blobs = new Map<BlobKey, { readonly bytes: Buffer; readonly modifiedMs: number }>();

  constructor(private readonly deps: { readonly clock: Clock; readonly ids: Ids }) {
    this.uploads = new MemoryUploads(deps, (bytes, digest) => this.keep(bytes, digest));
  }

  async stat(key: BlobKey): Promise<{ readonly sizeBytes: number } | undefined> {
    const blob = this.blobs.get(key);
    return blob === undefined ? undefined : { sizeBytes: blob.bytes.length };
  }

  async open(key: BlobKey, range?: ByteRange): Promise<Readable | undefined> {
    const bytes = this.blobs.get(key)?.bytes;
    if (bytes === undefined) return undefined;
    if (range !== undefined) checkRange(range, bytes.length);
    return Readable.from([range === undefined ? bytes : bytes.subarray(range.start, range.end + 1)]);
  }

  async *list(): AsyncIterable<ListedBlob> {
    for (const [key, { bytes, modifiedMs }] of [...this.blobs]) {
      if (this.blobs.has(key)) yield { key, sizeBytes: bytes.length, modifiedMs };
    }
  }

  async readUrl(): Promise<undefined> {
    return undefined;
  }

  async put(source: ByteSource, options: PutOptions = {}): Promise<StoredBlob> {
    const { expected, signal } = options;
    const digester = new Digester(expected === undefined ? 'sha256' : digestAlgorithm(expected));
    const bytes = await collect(source, signal);
    digester.update(bytes);
    const digest = digester.digest();
    if (expected !== undefined && expected !== digest) throw digestMismatch(expected, digest);
    return this.keep(bytes, digest);
  }

  async delete(key: BlobKey): Promise<void> {
    this.blobs.delete(key);
  }

  /** Without the walk of `open`, for oracles. */
  bytes(key: BlobKey): Buffer | undefined {
    return this.blobs.get(key)?.bytes;
  }

  private keep(bytes: Buffer, digest: Digest): StoredBlob {
    const key = `memory/${this.deps.ids.hex(20)}` as BlobKey;
    this.blobs.set(key, { bytes, modifiedMs: this.deps.clock.nowMs() });
    return { key, digest, sizeBytes: bytes.length };
  }
}

class MemoryUploads implements BlobUploads {
  private readonly open = new Map<string, { bytes: Buffer; readonly startedMs: number }>();

  constructor(
    private readonly deps: { readonly clock: Clock; readonly ids: Ids },
    private readonly keep: (bytes: Buffer, digest: Digest) => StoredBlob,
  ) {}

  async start(): Promise<string> {
    const id = this.deps.ids.hex(20);
    this.open.set(id, { bytes: Buffer.alloc(0), startedMs: this.deps.clock.nowMs() });
    return id;
  }

  async append(id: string, offset: number | undefined, source: ByteSource): Promise<AppendResult> {
    const upload = this.open.get(id);
    if (upload === undefined) return { outcome: 'absent' };
    const at = upload.bytes.length;
    if (offset !== undefined && offset !== at) return { outcome: 'wrong-offset', offset: at };
    upload.bytes = Buffer.concat([upload.bytes, await collect(source)]);
    return { outcome: 'appended', offset: upload.bytes.length };
  }

  async status(id: string): Promise<{ readonly offset: number; readonly startedMs: number } | undefined> {
    const upload = this.open.get(id);
    return upload === undefined ? undefined : { offset: upload.bytes.length, startedMs: upload.startedMs };
  }

  async commit(id: string, expected: Digest): Promise<CommitResult> {
    const upload = this.open.get(id);
    if (upload === undefined) return { outcome: 'absent' };
    const actual = digestOf(upload.bytes, digestAlgorithm(expected));
    if (actual !== expected) return { outcome: 'digest-mismatch', actual };
    this.open.delete(id);
    return { outcome: 'committed', blob: this.keep(upload.bytes, expected) };
  }

  async abort(id: string): Promise<void> {
    this.open.delete(id);
  }

  async *stale(beforeMs: number): AsyncIterable<string> {
    for (const [id, { startedMs }] of [...this.open]) if (startedMs < beforeMs) yield id;
  }
}

async function collect(source: ByteSource, signal?: AbortSignal): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) {
    signal?.throwIfAborted();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
