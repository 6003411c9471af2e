/**
 * Blobs of a repository. The bytes are shared by the whole installation (ContentStore), the right to read them is
 * not: every access goes through the repository's link. To answer "it is here" is a promise that a client builds on
 * when it leaves out an upload, so it renews the link's lease.
 */
import type { Readable } from 'node:stream';
import type { Digest } from '../oci/index.js';
import {
  type ByteRange,
  type Clock,
  type ContentInfo,
  type ContentStore,
  holderWrite,
  type RecordStore,
  type StoredBlob,
  type StoredRecord,
} from '../store/index.js';
import { blobUnknown } from './errors.js';
import { HOLDER, holderOf, holders, type LinkRecord, recordKey } from './records.js';
import type { Repositories } from './repositories.js';

export interface BlobsDeps {
  readonly records: RecordStore;
  readonly content: ContentStore;
  readonly clock: Clock;
  readonly repositories: Repositories;
}

/** A blob that was found linked: what follows asks for the bytes only. */
export interface ReadableBlob extends ContentInfo {
  /** Undefined when the bytes went away meanwhile. */
  open(range?: ByteRange): Promise<Readable | undefined>;
  /** Undefined where the store has no such URLs. */
  readUrl(seconds: number): Promise<string | undefined>;
}

/** How long after "it is here" a blob cannot be collected from its repository. */
export const LEASE_MS = 2 * 60 * 60 * 1000;

/** A collector leaves a holder or an edge alone for an hour; what rests on one must be written sooner than this. */
export const FRESH_MS = 20 * 60 * 1000;

export class Blobs {
  constructor(private readonly deps: BlobsDeps) {}

  /** Whether the repository has the blob; renews the lease, so the answer holds for a push that follows. */
  async stat(repository: string, digest: Digest): Promise<ContentInfo | undefined> {
    const link = await this.renew(repository, digest);
    return link === undefined ? undefined : { digest, sizeBytes: link.sizeBytes };
  }

  /** A blob to read, without any promise; undefined when the repository has it not. */
  async get(repository: string, digest: Digest): Promise<ReadableBlob | undefined> {
    const link = await this.deps.records.get<LinkRecord>(recordKey.link(repository, digest));
    if (link === undefined) return undefined;
    const { content } = this.deps;
    return {
      digest,
      sizeBytes: link.value.sizeBytes,
      open: (range) => content.open(digest, range),
      readUrl: (seconds) => content.readUrl(digest, seconds),
    };
  }

  /** Stored bytes become a blob of the repository: blob, holder and link come in one step, so no order matters. */
  async adopt(repository: string, blob: StoredBlob): Promise<ContentInfo> {
    const { digest, sizeBytes } = blob;
    return this.deps.content.adopt(blob, async () => [
      ...(await this.deps.repositories.ensuring(repository)),
      holderWrite(digest, holderOf(repository), this.deps.clock.nowMs()),
      { op: 'put', key: recordKey.link(repository, digest), value: this.liveLink(sizeBytes) },
    ]);
  }

  /**
   * Makes a stored blob part of the repository: holder first, then a look whether the blob is (still) there, then the
   * link. Idempotent.
   * @throws AppError BLOB_UNKNOWN when the store has it not
   */
  async link(repository: string, digest: Digest): Promise<ContentInfo> {
    for (;;) {
      const atMs = this.deps.clock.nowMs();
      const [info] = await Promise.all([
        this.deps.content.hold(digest, holderOf(repository)),
        this.deps.repositories.ensure(repository),
      ]);
      if (info === undefined) throw blobUnknown(repository, digest);
      await this.deps.records.put(recordKey.link(repository, digest), this.liveLink(info.sizeBytes));
      if (this.deps.clock.nowMs() - atMs < FRESH_MS) return info;
    }
  }

  /** Links a blob of another repository here. False when that one has it not. The caller has checked both rights. */
  async mount(from: string, to: string, digest: Digest): Promise<boolean> {
    if ((await this.renew(from, digest)) === undefined) return false;
    try {
      await this.link(to, digest);
      return true;
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'BLOB_UNKNOWN') return false;
      throw error;
    }
  }

  /** Repositories that may have the blob: for a mount that names none. */
  async holdersOf(digest: Digest, limit = 100): Promise<readonly string[]> {
    const page = await this.deps.records.query(holders(digest), { prefix: HOLDER, limit });
    return page.records.map((record) => record.sort.slice(HOLDER.length));
  }

  /** @returns false when the repository has it not. Other repositories keep theirs; the bytes are the collector's. */
  async unlink(repository: string, digest: Digest): Promise<boolean> {
    const key = recordKey.link(repository, digest);
    return (await this.deps.records.delete(key, { expect: 'present' })).outcome === 'written';
  }

  /** The link, alive and under lease; undefined when there is none. A doomed link is revived, or lost to the collector. */
  async renew(repository: string, digest: Digest): Promise<LinkRecord | undefined> {
    const key = recordKey.link(repository, digest);
    for (;;) {
      const link: StoredRecord<LinkRecord> | undefined = await this.deps.records.get<LinkRecord>(key);
      if (link === undefined) return undefined;
      const left = link.value.leaseUntilMs - this.deps.clock.nowMs();
      if (link.value.state === 'live' && left > LEASE_MS / 2) return link.value;
      const renewed = this.liveLink(link.value.sizeBytes);
      const result = await this.deps.records.put(key, renewed, { expect: { version: link.version } });
      if (result.outcome === 'written') return renewed;
    }
  }

  private liveLink(sizeBytes: number): LinkRecord {
    return { sizeBytes, state: 'live', leaseUntilMs: this.deps.clock.nowMs() + LEASE_MS };
  }
}
