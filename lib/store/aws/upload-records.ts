/**
 * What is known of resumable uploads that live outside this process, as records: `UPLOAD#<id>` / `-` the header,
 * `P#<number>` a finished part, and `UPLOADS` / `<started>#<id>` for the collector. One writer at a time holds an
 * upload by a lease in the header; every change names the version it was made on, so a writer that was taken over
 * notices and stops.
 */
import { AppError } from '../../errors/index.js';
import type { DigestAlgorithm } from '../../oci/index.js';
import { uploadAborted } from '../blob-rules.js';
import type { BlobKey, Clock, Ids, RecordKey, RecordStore, RecordWrite, StoredRecord } from '../ports.js';

export interface UploadHeader {
  /** Where the blob will lie. */
  readonly key: BlobKey;
  readonly algorithm: DigestAlgorithm;
  readonly startedMs: number;
  /** Acknowledged bytes: all parts and the tail. */
  readonly offset: number;
  readonly multipartId?: string | undefined;
  readonly parts: number;
  /** The bytes after the last part, too few for one. */
  readonly tail?: { readonly key: string; readonly sizeBytes: number } | undefined;
  /** Saved state of the hash over all acknowledged bytes, base64. */
  readonly hash?: string | undefined;
  /** The bytes are an object already, because only so they could be hashed again. Nothing can be appended. */
  readonly isSealed?: boolean;
  readonly writer?: { readonly id: string; readonly untilMs: number } | undefined;
}

export interface UploadPart {
  readonly number: number;
  readonly etag: string;
}

/** Milliseconds that a writer may be silent before another takes over. */
const LEASE_MS = 15_000;
const RENEW_MS = 5_000;
const POLL_MS = 100;
const INDEX = 'UPLOADS';
const ID = /^[0-9a-f]{40}$/;

export class UploadRecords {
  constructor(
    private readonly records: RecordStore,
    private readonly deps: { readonly clock: Clock; readonly ids: Ids },
  ) {}

  async start(key: BlobKey, algorithm: DigestAlgorithm): Promise<string> {
    const id = this.deps.ids.hex(20);
    const header: UploadHeader = { key, algorithm, startedMs: this.deps.clock.nowMs(), offset: 0, parts: 0 };
    await this.records.transact([
      { op: 'put', key: headerKey(id), value: header, expect: 'absent' },
      { op: 'put', key: indexKey(id, header.startedMs), value: {} },
    ]);
    return id;
  }

  async read(id: string): Promise<StoredRecord<UploadHeader> | undefined> {
    return ID.test(id) ? this.records.get<UploadHeader>(headerKey(id)) : undefined;
  }

  /** Becomes the one writer; waits while there is another. Undefined when the upload is absent. */
  async claim(id: string, signal?: AbortSignal): Promise<UploadClaim | undefined> {
    for (;;) {
      const record = await this.read(id);
      if (record === undefined) return undefined;
      const nowMs = this.deps.clock.nowMs();
      if (record.value.writer !== undefined && record.value.writer.untilMs > nowMs) {
        await this.deps.clock.sleep(POLL_MS, signal);
        continue;
      }
      const value = { ...record.value, writer: { id: this.deps.ids.hex(8), untilMs: nowMs + LEASE_MS } };
      const result = await this.records.put(headerKey(id), value, { expect: { version: record.version } });
      if (result.outcome === 'written')
        return new UploadClaim(this.records, this.deps.clock, id, value, result.version);
    }
  }

  async parts(id: string): Promise<readonly UploadPart[]> {
    const parts: UploadPart[] = [];
    let cursor: string | undefined;
    do {
      const from = cursor === undefined ? {} : { cursor };
      const page = await this.records.query<UploadPart>(partition(id), { prefix: 'P#', limit: 1000, ...from });
      parts.push(...page.records.map((record) => record.value));
      cursor = page.cursor;
    } while (cursor !== undefined);
    return parts;
  }

  /** The header goes last: whoever is interrupted finds the upload again. */
  async remove(id: string, header: UploadHeader): Promise<void> {
    const parts = await this.parts(id);
    for (let at = 0; at < parts.length; at += 100) {
      const some = parts.slice(at, at + 100);
      await this.records.transact(some.map(({ number }) => ({ op: 'delete', key: partKey(id, number) })));
    }
    await this.records.transact([
      { op: 'delete', key: headerKey(id) },
      { op: 'delete', key: indexKey(id, header.startedMs) },
    ]);
  }

  async *stale(beforeMs: number): AsyncIterable<string> {
    let cursor: string | undefined;
    do {
      const from = cursor === undefined ? {} : { cursor };
      const page = await this.records.query(INDEX, { before: digits(beforeMs), ...from });
      for (const { sort } of page.records) yield sort.slice(sort.indexOf('#') + 1);
      cursor = page.cursor;
    } while (cursor !== undefined);
  }
}

/** The right to change one upload, until it is released or the lease runs out. */
export class UploadClaim {
  private renewedMs: number;
  private turn: Promise<void> = Promise.resolve();

  constructor(
    private readonly records: RecordStore,
    private readonly clock: Clock,
    private readonly id: string,
    private current: UploadHeader,
    private version: number,
  ) {
    this.renewedMs = clock.nowMs();
  }

  get header(): UploadHeader {
    return this.current;
  }

  /** @throws AppError UPLOAD_ABORTED, or UPLOAD_TAKEN_OVER when the lease ran out and another writer came */
  async save(changes: Partial<UploadHeader>, part?: UploadPart): Promise<void> {
    return this.inTurn(async () => {
      const nowMs = this.clock.nowMs();
      const writer = { id: this.current.writer?.id ?? '', untilMs: nowMs + LEASE_MS };
      await this.write({ ...this.current, ...changes, writer }, part);
      this.renewedMs = nowMs;
    });
  }

  /** Cheap: writes only now and then. */
  async renew(): Promise<void> {
    if (this.clock.nowMs() - this.renewedMs >= RENEW_MS) await this.save({});
  }

  async release(changes: Partial<UploadHeader> = {}): Promise<void> {
    return this.inTurn(() => this.write({ ...this.current, ...changes, writer: undefined }));
  }

  /** A part that ends and a renewal may come together; each builds on the version before it. */
  private async inTurn(work: () => Promise<void>): Promise<void> {
    const mine = this.turn.then(work);
    this.turn = mine.catch(() => {});
    return mine;
  }

  private async write(value: UploadHeader, part?: UploadPart): Promise<void> {
    const writes: RecordWrite[] = [{ op: 'put', key: headerKey(this.id), value, expect: { version: this.version } }];
    if (part !== undefined) writes.push({ op: 'put', key: partKey(this.id, part.number), value: part });
    if ((await this.records.transact(writes)).outcome === 'lost') throw await this.lost();
    this.current = value;
    this.version += 1;
  }

  private async lost(): Promise<AppError> {
    if ((await this.records.get(headerKey(this.id))) === undefined) return uploadAborted(this.id);
    return new AppError('UPLOAD_TAKEN_OVER', `upload ${this.id} was taken over by another request`, {
      kind: 'conflict',
      hint: 'ask where the upload stands and go on from there',
    });
  }
}

function partition(id: string): string {
  return `UPLOAD#${id}`;
}

function headerKey(id: string): RecordKey {
  return { partition: partition(id), sort: '-' };
}

function partKey(id: string, number: number): RecordKey {
  return { partition: partition(id), sort: `P#${String(number).padStart(5, '0')}` };
}

function indexKey(id: string, startedMs: number): RecordKey {
  return { partition: INDEX, sort: `${digits(startedMs)}#${id}` };
}

function digits(ms: number): string {
  return String(Math.floor(ms)).padStart(15, '0');
}
