/**
 * BlobStore over an S3 bucket. A blob lies at `blobs/<2 hex>/<38 hex>`, a random key of its own; unfinished uploads
 * keep small leftovers under `uploads/`. The bucket should abort incomplete multipart uploads and expire `uploads/`
 * by lifecycle rules of a week: both only catch what a crash left behind.
 */
import type { Readable } from 'node:stream';
import { Digester, digestAlgorithm } from '../../oci/index.js';
import type { S3Client } from '@aws-sdk/client-s3';
import { checkRange, digestMismatch } from '../blob-rules.js';
import { S3BlobUploads } from './blob-uploads-s3.js';
import { S3Bucket, partBytes, type UploadedPart } from './bucket-s3.js';
import { abortable } from '../byte-source.js';
import { PartBuffer } from './part-buffer.js';
import type {
  BlobKey,
  BlobStore,
  BlobUploads,
  ByteRange,
  ByteSource,
  Clock,
  Ids,
  PutOptions,
  RecordStore,
  StoredBlob,
} from '../ports.js';

const KEY = /^blobs\/[0-9a-f]{2}\/[0-9a-f]{38}$/;

export interface S3BlobStoreDeps {
  /** Made by `s3Client`. */
  readonly client: S3Client;
  /** Where uploads keep their state. */
  readonly records: RecordStore;
  readonly clock: Clock;
  readonly ids: Ids;
}

export class S3BlobStore implements BlobStore {
  readonly uploads: BlobUploads;
  private readonly bucket: S3Bucket;

  constructor(
    private readonly deps: S3BlobStoreDeps,
    options: { readonly bucket: string },
  ) {
    this.bucket = new S3Bucket(deps.client, options.bucket);
    this.uploads = new S3BlobUploads(this.bucket, deps, () => this.freshKey());
  }

  async stat(key: BlobKey): Promise<{ readonly sizeBytes: number } | undefined> {
    const sizeBytes = KEY.test(key) ? await this.bucket.size(key) : undefined;
    return sizeBytes === undefined ? undefined : { sizeBytes };
  }

  async open(key: BlobKey, range?: ByteRange): Promise<Readable | undefined> {
    if (!KEY.test(key)) return undefined;
    if (range !== undefined) checkRange(range);
    return this.bucket.get(key, range);
  }

  async *list(): AsyncIterable<{ readonly key: BlobKey; readonly sizeBytes: number; readonly modifiedMs: number }> {
    for await (const object of this.bucket.list('blobs/')) yield { ...object, key: object.key as BlobKey };
  }

  async readUrl(key: BlobKey, seconds: number): Promise<string | undefined> {
    return KEY.test(key) ? this.bucket.readUrl(key, seconds) : undefined;
  }

  async put(source: ByteSource, options: PutOptions = {}): Promise<StoredBlob> {
    const { expected, signal } = options;
    const key = this.freshKey();
    const digester = new Digester(expected === undefined ? 'sha256' : digestAlgorithm(expected));
    const write = new ObjectWrite(this.bucket, key);
    try {
      for await (const chunk of abortable(source, signal)) {
        digester.update(chunk);
        await write.push(chunk);
      }
      const digest = digester.digest();
      if (expected !== undefined && expected !== digest) throw digestMismatch(expected, digest);
      await write.finish(digester.sizeBytes);
      return { key, digest, sizeBytes: digester.sizeBytes };
    } catch (error) {
      await write.abort();
      throw error;
    }
  }

  async delete(key: BlobKey): Promise<void> {
    if (KEY.test(key)) await this.bucket.delete(key);
  }

  private freshKey(): BlobKey {
    const hex = this.deps.ids.hex(20);
    return `blobs/${hex.slice(0, 2)}/${hex.slice(2)}` as BlobKey;
  }
}

/** One object from a stream of unknown length: a single put when it is small, else parts, one in flight while the next fills. */
class ObjectWrite {
  private readonly buffer = new PartBuffer();
  private readonly parts: UploadedPart[] = [];
  private uploadId: string | undefined;
  private started = 0;
  private inFlight: Promise<void> = Promise.resolve();

  constructor(
    private readonly bucket: S3Bucket,
    private readonly key: string,
  ) {}

  async push(chunk: Uint8Array): Promise<void> {
    this.buffer.push(chunk);
    // Above the size, not at it: the last part must not turn out empty.
    while (this.buffer.sizeBytes > this.nextSize()) await this.send(this.buffer.take(this.nextSize()));
  }

  async finish(sizeBytes: number): Promise<void> {
    const rest = this.buffer.take();
    if (this.uploadId === undefined) return this.bucket.put(this.key, rest);
    await this.send(rest);
    await this.inFlight;
    await this.bucket.completeMultipart(this.key, this.uploadId, this.parts, sizeBytes);
  }

  /** Never throws: the reason of the abort is the error that counts. Lifecycle rules take what stays. */
  async abort(): Promise<void> {
    await this.inFlight.catch(() => {});
    if (this.uploadId !== undefined) await this.bucket.abortMultipart(this.key, this.uploadId).catch(() => {});
  }

  private nextSize(): number {
    return partBytes(this.started + 1);
  }

  private async send(bytes: Buffer): Promise<void> {
    await this.inFlight;
    const uploadId = (this.uploadId ??= await this.bucket.startMultipart(this.key));
    const part = this.bucket.putPart(this.key, uploadId, ++this.started, bytes);
    this.inFlight = part.then((done) => void this.parts.push(done));
    // Seen at the next await; without this Node would call it unhandled until then.
    this.inFlight.catch(() => {});
  }
}
