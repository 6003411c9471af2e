/**
 * One S3 bucket, as far as the blob store needs it: absent is a value, a dead S3 is STORE_UNAVAILABLE, and an object
 * is only ever created, never overwritten. Keys are made here or above and never used twice, so an object that is
 * already there can only be our own earlier try whose answer was lost.
 */
import type { Readable } from 'node:stream';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
  type S3ClientConfig,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { awsErrorName, awsFailure } from './aws-failure.js';
import { rangeInvalid } from '../blob-rules.js';
import type { ByteRange } from '../ports.js';

/** Parts may be smaller only at the end of an object. */
export const MIN_PART_BYTES = 5 * 1024 * 1024;
const FIRST_PART_BYTES = 8 * 1024 * 1024;
const PARTS_PER_SIZE = 1000;

export interface UploadedPart {
  readonly number: number;
  readonly etag: string;
}

/**
 * An S3 client as the adapters need it. Checksums only where a command asks for them: by default the SDK signs the
 * checksum of an empty body into presigned URLs, and hashes every byte read once more.
 */
export function s3Client(config: S3ClientConfig): S3Client {
  return new S3Client({
    maxAttempts: 4,
    requestHandler: { connectionTimeout: 5_000, socketTimeout: 120_000 },
    ...config,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
}

/** Grows so that an object of 5 TiB still has fewer than 10,000 parts. */
export function partBytes(number: number): number {
  return FIRST_PART_BYTES * 2 ** Math.floor((number - 1) / PARTS_PER_SIZE);
}

export class S3Bucket {
  constructor(
    private readonly client: S3Client,
    private readonly bucket: string,
  ) {}

  async put(key: string, bytes: Uint8Array): Promise<void> {
    const command = new PutObjectCommand({
      ...this.at(key),
      Body: bytes,
      IfNoneMatch: '*',
      ChecksumAlgorithm: 'CRC32',
    });
    await this.create(key, bytes.length, () => this.client.send(command));
  }

  async size(key: string): Promise<number | undefined> {
    const head = await this.orAbsent(() => this.client.send(new HeadObjectCommand(this.at(key))));
    return head === undefined ? undefined : (head.ContentLength ?? 0);
  }

  /** @throws AppError RANGE_INVALID */
  async get(key: string, range?: ByteRange): Promise<Readable | undefined> {
    const input = range === undefined ? {} : { Range: `bytes=${range.start}-${range.end}` };
    try {
      const object = await this.client.send(new GetObjectCommand({ ...this.at(key), ...input }));
      return object.Body as Readable;
    } catch (error) {
      if (isAbsent(error)) return undefined;
      if (range !== undefined && awsErrorName(error) === 'InvalidRange') throw rangeInvalid(range);
      throw awsFailure('S3', error);
    }
  }

  async delete(key: string): Promise<void> {
    await this.orAbsent(() => this.client.send(new DeleteObjectCommand(this.at(key))));
  }

  async *list(
    prefix: string,
  ): AsyncIterable<{ readonly key: string; readonly sizeBytes: number; readonly modifiedMs: number }> {
    let token: string | undefined;
    do {
      const input = {
        Bucket: this.bucket,
        Prefix: prefix,
        ...(token === undefined ? {} : { ContinuationToken: token }),
      };
      const page = await this.call(() => this.client.send(new ListObjectsV2Command(input)));
      for (const { Key, Size, LastModified } of page.Contents ?? []) {
        if (Key !== undefined) yield { key: Key, sizeBytes: Size ?? 0, modifiedMs: LastModified?.getTime() ?? 0 };
      }
      token = page.NextContinuationToken;
    } while (token !== undefined);
  }

  async readUrl(key: string, seconds: number): Promise<string> {
    return this.call(() => getSignedUrl(this.client, new GetObjectCommand(this.at(key)), { expiresIn: seconds }));
  }

  async startMultipart(key: string): Promise<string> {
    const input = { ...this.at(key), ContentType: 'application/octet-stream', ChecksumAlgorithm: 'CRC32' } as const;
    const made = await this.call(() => this.client.send(new CreateMultipartUploadCommand(input)));
    if (made.UploadId === undefined) throw awsFailure('S3', new Error('a multipart upload without an id'));
    return made.UploadId;
  }

  async putPart(key: string, uploadId: string, number: number, bytes: Uint8Array): Promise<UploadedPart> {
    const input = {
      ...this.at(key),
      UploadId: uploadId,
      PartNumber: number,
      Body: bytes,
      ChecksumAlgorithm: 'CRC32',
    } as const;
    const part = await this.call(() => this.client.send(new UploadPartCommand(input)));
    if (part.ETag === undefined) throw awsFailure('S3', new Error('a part without an ETag'));
    return { number, etag: part.ETag };
  }

  async completeMultipart(
    key: string,
    uploadId: string,
    parts: readonly UploadedPart[],
    sizeBytes: number,
  ): Promise<void> {
    const Parts = parts.map(({ number, etag }) => ({ PartNumber: number, ETag: etag }));
    const input = { ...this.at(key), UploadId: uploadId, IfNoneMatch: '*', MultipartUpload: { Parts } };
    await this.create(key, sizeBytes, () => this.client.send(new CompleteMultipartUploadCommand(input)));
  }

  async abortMultipart(key: string, uploadId: string): Promise<void> {
    await this.orAbsent(() =>
      this.client.send(new AbortMultipartUploadCommand({ ...this.at(key), UploadId: uploadId })),
    );
  }

  private at(key: string): { Bucket: string; Key: string } {
    return { Bucket: this.bucket, Key: key };
  }

  private async create(key: string, sizeBytes: number, send: () => Promise<unknown>): Promise<void> {
    try {
      await send();
    } catch (error) {
      const isRepeat = ['PreconditionFailed', 'NoSuchUpload', 'ConditionalRequestConflict'].includes(
        awsErrorName(error),
      );
      if (isRepeat && (await this.size(key)) === sizeBytes) return;
      throw awsFailure('S3', error);
    }
  }

  private async call<T>(send: () => Promise<T>): Promise<T> {
    try {
      return await send();
    } catch (error) {
      throw awsFailure('S3', error);
    }
  }

  private async orAbsent<T>(send: () => Promise<T>): Promise<T | undefined> {
    try {
      return await send();
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw awsFailure('S3', error);
    }
  }
}

function isAbsent(error: unknown): boolean {
  return ['NoSuchKey', 'NotFound', 'NoSuchUpload'].includes(awsErrorName(error));
}
