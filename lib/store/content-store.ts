/**
 * Blobs by digest: the blob record (`BLOB#<digest>`) maps a digest to the key where its bytes lie, so commit moves no
 * byte on any store. Registry, builder and engine read and write content through this; only this file and the
 * collector know blob keys.
 */
import type { Readable } from 'node:stream';
import { AppError } from '../errors/index.js';
import type { Digest } from '../oci/index.js';
import type { BlobKey, BlobStore, ByteRange, ByteSource, PutOptions, RecordStore, StoredBlob } from './ports.js';

/** The blob record. `doomed` means the collector has chosen it and a writer may still revive it. */
export interface BlobRecord {
  readonly key: BlobKey;
  readonly sizeBytes: number;
  readonly state: 'live' | 'doomed';
}

export interface ContentInfo {
  readonly digest: Digest;
  readonly sizeBytes: number;
}

export class ContentStore {
  constructor(
    readonly blobs: BlobStore,
    private readonly records: RecordStore,
  ) {}

  async stat(digest: Digest): Promise<ContentInfo | undefined> {
    const record = await this.records.get<BlobRecord>(blobRecordKey(digest));
    return record === undefined ? undefined : { digest, sizeBytes: record.value.sizeBytes };
  }

  async open(digest: Digest, range?: ByteRange): Promise<Readable | undefined> {
    const record = await this.records.get<BlobRecord>(blobRecordKey(digest));
    return record === undefined ? undefined : this.blobs.open(record.value.key, range);
  }

  /** All bytes of a small blob, for configs and manifests. @throws AppError BLOB_TOO_LARGE above `maxBytes` */
  async read(digest: Digest, maxBytes = 8 * 1024 * 1024): Promise<Buffer | undefined> {
    const info = await this.stat(digest);
    if (info === undefined) return undefined;
    if (info.sizeBytes > maxBytes) {
      throw new AppError('BLOB_TOO_LARGE', `blob ${digest} has ${info.sizeBytes} bytes, more than ${maxBytes}`, {
        kind: 'too-large',
      });
    }
    const stream = await this.open(digest);
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
   */
  async adopt(blob: StoredBlob): Promise<ContentInfo> {
    const key = blobRecordKey(blob.digest);
    const value: BlobRecord = { key: blob.key, sizeBytes: blob.sizeBytes, state: 'live' };
    for (;;) {
      const existing = await this.records.get<BlobRecord>(key);
      if (existing === undefined) {
        if ((await this.records.put(key, value, { expect: 'absent' })).outcome === 'written') break;
        continue;
      }
      if (existing.value.state === 'doomed') {
        // The collector may already be deleting the old bytes: take the new ones.
        if ((await this.records.put(key, value, { expect: { version: existing.version } })).outcome === 'written')
          break;
        continue;
      }
      // A repeated adopt finds its own first try.
      if (existing.value.key !== blob.key) await this.blobs.delete(blob.key);
      break;
    }
    return { digest: blob.digest, sizeBytes: blob.sizeBytes };
  }
}

export function blobRecordKey(digest: Digest): { partition: string; sort: string } {
  return { partition: `BLOB#${digest}`, sort: '-' };
}

async function* single(bytes: Uint8Array): ByteSource {
  yield bytes;
}
