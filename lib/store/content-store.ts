/**
 * Blobs by digest: the blob record (`BLOB#<digest>`) maps a digest to the key where its bytes lie, so commit moves no
 * byte on any store. Registry, builder and engine read and write content through this; only this file and the
 * collector know blob keys. A blob stays while someone holds it (`BY#…` beside the record), and for a lease after it
 * was put or asked for; the collector deletes the record first and the bytes afterwards, so that whoever revives a
 * doomed record still has its bytes.
 */
import type { Readable } from 'node:stream';
import { AppError } from '../errors/index.js';
import type { Digest } from '../oci/index.js';
import { systemClock } from './system/clock-system.js';
import type {
  BlobKey,
  BlobStore,
  ByteRange,
  ByteSource,
  Clock,
  PutOptions,
  RecordKey,
  RecordStore,
  RecordWrite,
  StoredBlob,
  StoredRecord,
} from './ports.js';

/** The blob record. `doomed` means the collector has chosen it and a writer may still revive it. */
export interface BlobRecord {
  readonly key: BlobKey;
  readonly sizeBytes: number;
  readonly state: 'live' | 'doomed';
  /** Until then the collector may not choose it; absent: no lease. */
  readonly leaseUntilMs?: number;
}

/** From a blob key back to its digest: written together with the blob record, so that bytes nobody adopted are known. */
export interface BlobKeyRecord {
  /** Absent: the collector took the bytes before anyone adopted them, and nobody may any more. */
  readonly digest?: Digest;
}

/** Someone needs the blob. Written before they look whether it is there. */
export interface HolderRecord {
  readonly atMs: number;
}

export interface ContentInfo {
  readonly digest: Digest;
  readonly sizeBytes: number;
}

/** How long after a blob was put or asked for nobody needs to hold it: longer than a build takes. */
export const BLOB_LEASE_MS = 24 * 60 * 60 * 1000;

export class ContentStore {
  constructor(
    readonly blobs: BlobStore,
    private readonly records: RecordStore,
    private readonly clock: Clock = systemClock,
  ) {}

  /** Whether the blob is here: a promise that the caller may build on, so it renews the lease and revives. */
  async stat(digest: Digest): Promise<ContentInfo | undefined> {
    for (;;) {
      const record = await this.records.get<BlobRecord>(blobRecordKey(digest));
      if (record === undefined) return undefined;
      if (await this.renew(record)) return { digest, sizeBytes: record.value.sizeBytes };
    }
  }

  /**
   * Says that `by` needs the blob, then looks whether it is here: from then on it stays until the holder is removed or
   * has expired. Undefined when it is not here.
   * @param by unique to the reason, e.g. `STEP#<key>`
   * @param options.forMs how long; renewed when under half of it is left. Without it until someone removes the holder
   */
  async hold(digest: Digest, by: string, options: { readonly forMs?: number } = {}): Promise<ContentInfo | undefined> {
    const key = blobHolderKey(digest, by);
    const { forMs } = options;
    const atMs = this.clock.nowMs();
    const value: HolderRecord = { atMs };
    if (forMs !== undefined) {
      const held = await this.records.get<HolderRecord>(key);
      if (held?.expiresAtMs !== undefined && held.expiresAtMs - atMs > forMs / 2) return this.stat(digest);
    }
    await this.records.put(key, value, forMs === undefined ? {} : { expiresAtMs: atMs + forMs });
    return this.stat(digest);
  }

  /** The reason `by` is gone. What nobody else holds may be collected when its lease ends. */
  async release(digest: Digest, by: string): Promise<void> {
    await this.records.delete(blobHolderKey(digest, by));
  }

  async open(digest: Digest, range?: ByteRange): Promise<Readable | undefined> {
    const record = await this.records.get<BlobRecord>(blobRecordKey(digest));
    return record === undefined ? undefined : this.blobs.open(record.value.key, range);
  }

  /** All bytes of a small blob, for configs and manifests. @throws AppError BLOB_TOO_LARGE above `maxBytes` */
  async read(digest: Digest, maxBytes = 8 * 1024 * 1024): Promise<Buffer | undefined> {
    const record = await this.records.get<BlobRecord>(blobRecordKey(digest));
    if (record === undefined) return undefined;
    const { key, sizeBytes } = record.value;
    if (sizeBytes > maxBytes) {
      throw new AppError('BLOB_TOO_LARGE', `blob ${digest} has ${sizeBytes} bytes, more than ${maxBytes}`, {
        kind: 'too-large',
      });
    }
    const stream = await this.blobs.open(key);
    if (stream === undefined) return undefined;
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    return Buffer.concat(chunks);
  }

  async readUrl(digest: Digest, seconds: number): Promise<string | undefined> {
    const record = await this.records.get<BlobRecord>(blobRecordKey(digest));
    return record === undefined ? undefined : this.blobs.readUrl(record.value.key, seconds);
  }

  async put(source: ByteSource, options?: PutOptions): Promise<ContentInfo> {
    return this.adopt(await this.blobs.put(source, options));
  }

  async putBytes(bytes: Uint8Array, options?: PutOptions): Promise<ContentInfo> {
    return this.put(single(bytes), options);
  }

  /**
   * Makes a stored blob findable by its digest. When the digest is already there, the new copy is dropped and the
   * old one stays: whoever reads the digest meanwhile is not disturbed.
   * @param alongside what to write in the same transaction, so that nobody sees one without the other; asked for again
   * when someone was faster
   */
  async adopt(blob: StoredBlob, alongside: () => Promise<readonly RecordWrite[]> = none): Promise<ContentInfo> {
    const { key, digest, sizeBytes } = blob;
    for (;;) {
      const others = await alongside();
      const existing = await this.records.get<BlobRecord>(blobRecordKey(digest));
      if (existing !== undefined && (existing.value.state === 'live' || existing.value.key === key)) {
        if (!(await this.renew(existing, others))) continue;
        // A repeated adopt finds its own first try.
        if (existing.value.key !== key) await this.blobs.delete(key);
        break;
      }
      const value: BlobRecord = { key, sizeBytes, state: 'live', leaseUntilMs: this.clock.nowMs() + BLOB_LEASE_MS };
      const expect = existing === undefined ? 'absent' : { version: existing.version };
      const named: BlobKeyRecord = { digest };
      const result = await this.records.transact([
        // Where it was doomed, the new bytes count; the old ones are the collector's.
        { op: 'put', key: blobRecordKey(digest), value, expect },
        { op: 'put', key: blobKeyRecordKey(key), value: named, expect: 'absent' },
        ...others,
      ]);
      if (result.outcome === 'written') break;
      if (result.index === 1) await this.checkNotSwept(blob);
    }
    return { digest, sizeBytes };
  }

  /**
   * Alive and under lease, which is written only when under half of it is left, and with it the others. False: someone
   * changed the blob meanwhile, and nothing was written.
   */
  private async renew(record: StoredRecord<BlobRecord>, others: readonly RecordWrite[] = []): Promise<boolean> {
    const nowMs = this.clock.nowMs();
    const { state, leaseUntilMs = 0 } = record.value;
    const expect = { version: record.version };
    const isFresh = state === 'live' && leaseUntilMs - nowMs > BLOB_LEASE_MS / 2;
    if (isFresh && others.length === 0) return true;
    const value: BlobRecord = { ...record.value, state: 'live', leaseUntilMs: nowMs + BLOB_LEASE_MS };
    const own: RecordWrite = isFresh ? { op: 'check', key: record, expect } : { op: 'put', key: record, value, expect };
    const result =
      others.length === 0
        ? await this.records.put(record, value, { expect })
        : await this.records.transact([own, ...others]);
    return result.outcome === 'written';
  }

  private async checkNotSwept({ key, digest }: StoredBlob): Promise<void> {
    const named = await this.records.get<BlobKeyRecord>(blobKeyRecordKey(key));
    if (named === undefined || named.value.digest !== undefined) return;
    throw new AppError('BLOB_SWEPT', `the bytes of ${digest} waited so long to be adopted that they were taken away`, {
      kind: 'unavailable',
      hint: 'send them again',
    });
  }
}

export function blobRecordKey(digest: Digest): RecordKey {
  return { partition: `BLOB#${digest}`, sort: '-' };
}

export function blobKeyRecordKey(key: BlobKey): RecordKey {
  return { partition: `BLOBKEY#${key}`, sort: '-' };
}

/** For `adopt`, where the holder need not be written before anyone looks: both come at once. */
export function holderWrite(digest: Digest, by: string, atMs: number): RecordWrite {
  const value: HolderRecord = { atMs };
  return { op: 'put', key: blobHolderKey(digest, by), value };
}

/** Holders stand beside the blob record. */
export const BLOB_HOLDER = 'BY#';

export function blobHolderKey(digest: Digest, by: string): RecordKey {
  return { partition: `BLOB#${digest}`, sort: `${BLOB_HOLDER}${by}` };
}

const none = (): Promise<readonly RecordWrite[]> => Promise.resolve([]);

async function* single(bytes: Uint8Array): ByteSource {
  yield bytes;
}
