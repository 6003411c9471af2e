/**
 * Resumable uploads on S3 that survive a change of process: bytes go straight into the parts of a multipart upload at
 * the blob's final key; what is too little for a part waits in a side object; where it stands, and the state of the
 * hash, is in records (see upload-records.ts). Commit completes the multipart upload: no byte is copied or read again,
 * unless the digest is of another algorithm than the upload was started with.
 */
import { createSHA256, createSHA512, type IHasher } from 'hash-wasm';
import { buffer } from 'node:stream/consumers';
import { AppError } from '../../errors/index.js';
import { Digester, digestAlgorithm, type Digest, type DigestAlgorithm } from '../../oci/index.js';
import { uploadAborted } from '../blob-rules.js';
import { MIN_PART_BYTES, partBytes, type S3Bucket } from './bucket-s3.js';
import { abortable } from '../byte-source.js';
import { PartBuffer } from './part-buffer.js';
import type {
  AppendResult,
  BlobKey,
  BlobUploads,
  ByteSource,
  Clock,
  CommitResult,
  Ids,
  RecordStore,
} from '../ports.js';
import { UploadRecords, type UploadClaim } from './upload-records.js';

export class S3BlobUploads implements BlobUploads {
  private readonly uploads: UploadRecords;
  /** Appends of this process, so that an abort need not wait for a slow client. */
  private readonly running = new Map<string, AbortController>();

  constructor(
    private readonly bucket: S3Bucket,
    private readonly deps: { readonly records: RecordStore; readonly clock: Clock; readonly ids: Ids },
    private readonly freshKey: () => BlobKey,
  ) {
    this.uploads = new UploadRecords(deps.records, deps);
  }

  async start(algorithm: DigestAlgorithm = 'sha256'): Promise<string> {
    return this.uploads.start(this.freshKey(), algorithm);
  }

  async append(
    id: string,
    offset: number | undefined,
    source: ByteSource,
    signal?: AbortSignal,
  ): Promise<AppendResult> {
    const claim = await this.uploads.claim(id, signal);
    if (claim === undefined) return { outcome: 'absent' };
    const { header } = claim;
    if (offset !== undefined && offset !== header.offset) {
      await claim.release();
      return { outcome: 'wrong-offset', offset: header.offset };
    }
    const stop = new AbortController();
    this.running.set(id, stop);
    try {
      if (header.isSealed === true) throw sealed(id);
      const either = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
      const append = new Append(this.bucket, claim, `uploads/${id}/${this.deps.ids.hex(8)}`);
      return { outcome: 'appended', offset: await append.run(source, either) };
    } catch (error) {
      // So that the next one need not wait for the lease; it goes on at the last saved offset.
      if (claim.header.writer !== undefined && !stop.signal.aborted) await claim.release().catch(() => {});
      throw error;
    } finally {
      this.running.delete(id);
    }
  }

  async status(id: string): Promise<{ readonly offset: number; readonly startedMs: number } | undefined> {
    const record = await this.uploads.read(id);
    return record === undefined ? undefined : { offset: record.value.offset, startedMs: record.value.startedMs };
  }

  async commit(id: string, expected: Digest): Promise<CommitResult> {
    const claim = await this.uploads.claim(id);
    if (claim === undefined) return { outcome: 'absent' };
    try {
      const actual = await this.digest(id, claim, digestAlgorithm(expected));
      if (actual !== expected) {
        await claim.release();
        return { outcome: 'digest-mismatch', actual };
      }
      await this.seal(id, claim);
    } catch (error) {
      await claim.release().catch(() => {});
      throw error;
    }
    const { header } = claim;
    if (header.tail !== undefined) await this.bucket.delete(header.tail.key);
    await this.uploads.remove(id, header);
    return { outcome: 'committed', blob: { key: header.key, digest: expected, sizeBytes: header.offset } };
  }

  async abort(id: string): Promise<void> {
    this.running.get(id)?.abort(uploadAborted(id));
    const record = await this.uploads.read(id);
    if (record === undefined) return;
    const { key, multipartId, tail, isSealed } = record.value;
    if (multipartId !== undefined) await this.bucket.abortMultipart(key, multipartId);
    if (tail !== undefined) await this.bucket.delete(tail.key);
    if (isSealed === true) await this.bucket.delete(key);
    await this.uploads.remove(id, record.value);
  }

  stale(beforeMs: number): AsyncIterable<string> {
    return this.uploads.stale(beforeMs);
  }

  private async digest(id: string, claim: UploadClaim, algorithm: DigestAlgorithm): Promise<Digest> {
    const { header } = claim;
    if (algorithm === header.algorithm) {
      const hasher = await loadHasher(algorithm, header.hash);
      return `${algorithm}:${hasher.digest('hex')}` as Digest;
    }
    // Parts cannot be read; the object can.
    await this.seal(id, claim);
    if (header.isSealed !== true) await claim.save({ isSealed: true });
    const digester = new Digester(algorithm);
    const stream = await this.bucket.get(header.key);
    for await (const chunk of stream ?? []) digester.update(chunk as Buffer);
    return digester.digest();
  }

  /** Makes the object of the parts and the tail. Done twice, it is done once. */
  private async seal(id: string, claim: UploadClaim): Promise<void> {
    const { key, multipartId, offset, tail, isSealed } = claim.header;
    if (isSealed === true) return;
    try {
      const rest = tail === undefined ? Buffer.alloc(0) : await readTail(this.bucket, tail.key);
      if (multipartId === undefined) return await this.bucket.put(key, rest);
      const parts = await this.uploads.parts(id);
      const last = rest.length === 0 ? [] : [await this.bucket.putPart(key, multipartId, parts.length + 1, rest)];
      await this.bucket.completeMultipart(key, multipartId, [...parts, ...last], offset);
    } catch (error) {
      // An earlier try may have come through and died before it could say so.
      if ((await this.bucket.size(key)) !== offset) throw error;
    }
  }
}

/** One append: fills parts, saves after each where the upload stands, and leaves the rest as the new tail. */
class Append {
  private readonly buffer = new PartBuffer();
  private inFlight: Promise<void> = Promise.resolve();
  private parts: number;
  private offset: number;

  constructor(
    private readonly bucket: S3Bucket,
    private readonly claim: UploadClaim,
    private readonly tailKey: string,
  ) {
    this.parts = claim.header.parts;
    this.offset = claim.header.offset;
  }

  /** Gives the new offset, which is saved. */
  async run(source: ByteSource, signal: AbortSignal): Promise<number> {
    const { algorithm, hash, tail } = this.claim.header;
    const hasher = await loadHasher(algorithm, hash);
    if (tail !== undefined) this.buffer.push(await readTail(this.bucket, tail.key));
    let failure: { readonly error: unknown } | undefined;
    try {
      for await (const chunk of abortable(source, signal)) {
        await this.take(chunk, hasher);
        await this.claim.renew();
      }
    } catch (error) {
      // What did arrive is kept, so that the client can go on from there.
      failure = { error };
    }
    const stored = await this.inFlight.catch((error: unknown) => ({ error }));
    if (failure?.error instanceof AppError) throw failure.error;
    if (stored !== undefined) throw stored.error;
    await this.finish(hasher);
    if (tail !== undefined) await this.bucket.delete(tail.key);
    if (failure !== undefined) throw failure.error;
    return this.offset;
  }

  private async take(chunk: Uint8Array, hasher: IHasher): Promise<void> {
    let rest = chunk;
    while (rest.length > 0) {
      const piece = rest.subarray(0, partBytes(this.parts + 1) - this.buffer.sizeBytes);
      hasher.update(piece);
      this.buffer.push(piece);
      this.offset += piece.length;
      rest = rest.subarray(piece.length);
      if (this.buffer.sizeBytes === partBytes(this.parts + 1)) await this.send(this.buffer.take(), hasher);
    }
  }

  /** One part is under way while the next fills. */
  private async send(bytes: Buffer, hasher: IHasher): Promise<void> {
    const state = saveHasher(hasher);
    const offset = this.offset;
    const number = ++this.parts;
    await this.inFlight;
    this.inFlight = this.store(bytes, number, offset, state);
    // Seen at the next await; without this Node would call it unhandled until then.
    this.inFlight.catch(() => {});
  }

  private async store(bytes: Buffer, number: number, offset: number, hash: string): Promise<void> {
    const { key, multipartId } = this.claim.header;
    const id = multipartId ?? (await this.bucket.startMultipart(key));
    if (multipartId === undefined) await this.claim.save({ multipartId: id });
    const part = await this.bucket.putPart(key, id, number, bytes);
    await this.claim.save({ parts: number, offset, hash, tail: undefined }, part);
  }

  private async finish(hasher: IHasher): Promise<void> {
    if (this.buffer.sizeBytes >= MIN_PART_BYTES) {
      await this.send(this.buffer.take(), hasher);
      await this.inFlight;
    }
    const rest = this.buffer.take();
    if (rest.length > 0) await this.bucket.put(this.tailKey, rest);
    const tail = rest.length === 0 ? undefined : { key: this.tailKey, sizeBytes: rest.length };
    await this.claim.release({ offset: this.offset, hash: saveHasher(hasher), tail });
  }
}

async function loadHasher(algorithm: DigestAlgorithm, state: string | undefined): Promise<IHasher> {
  const hasher = await (algorithm === 'sha256' ? createSHA256() : createSHA512());
  return state === undefined ? hasher.init() : hasher.load(Buffer.from(state, 'base64'));
}

function saveHasher(hasher: IHasher): string {
  return Buffer.from(hasher.save()).toString('base64');
}

async function readTail(bucket: S3Bucket, key: string): Promise<Buffer> {
  const stream = await bucket.get(key);
  if (stream === undefined) throw new AppError('STORE_INCOMPLETE', `side object ${key} is gone`, { kind: 'internal' });
  return buffer(stream);
}

function sealed(id: string): AppError {
  return new AppError('UPLOAD_SEALED', `upload ${id} was already closed by a commit with another digest algorithm`, {
    kind: 'conflict',
    hint: 'commit it with its digest, or abort it and start a new one',
  });
}
