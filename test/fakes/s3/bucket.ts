/** One bucket in memory: objects, multipart uploads, and the conditions under which they may be written. */
import { createHash, randomBytes } from 'node:crypto';
import type { Body } from './body.js';
import { S3Failure } from './failure.js';

export interface S3Object {
  readonly bytes: Buffer;
  /** Without quotes. */
  readonly etag: string;
  readonly modified: Date;
  readonly contentType: string;
  readonly checksums: ReadonlyMap<string, string>;
}

export interface Conditions {
  readonly ifMatch?: string | undefined;
  readonly ifNoneMatch?: string | undefined;
}

interface Part {
  readonly bytes: Buffer;
  readonly etag: string;
}

export interface Multipart {
  readonly key: string;
  readonly contentType: string;
  readonly started: Date;
  readonly parts: Map<number, Part>;
}

const MIN_PART_BYTES = 5 * 1024 * 1024;
const MAX_PART_NUMBER = 10_000;

export class Bucket {
  readonly objects = new Map<string, S3Object>();
  readonly multiparts = new Map<string, Multipart>();

  put(key: string, body: Body, contentType: string, conditions: Conditions): S3Object {
    this.check(key, conditions);
    const etag = md5(body.bytes).toString('hex');
    return this.keep(key, { bytes: body.bytes, etag, modified: new Date(), contentType, checksums: body.checksums });
  }

  get(key: string): S3Object {
    const object = this.objects.get(key);
    if (object === undefined) throw new S3Failure(404, 'NoSuchKey', 'The specified key does not exist.');
    return object;
  }

  start(key: string, contentType: string): string {
    const id = randomBytes(24).toString('base64url');
    this.multiparts.set(id, { key, contentType, started: new Date(), parts: new Map() });
    return id;
  }

  multipart(key: string, id: string): Multipart {
    const multipart = this.multiparts.get(id);
    if (multipart?.key !== key)
      throw new S3Failure(404, 'NoSuchUpload', 'The specified multipart upload does not exist.');
    return multipart;
  }

  putPart(key: string, id: string, number: number, body: Body): Part {
    const multipart = this.multipart(key, id);
    if (!Number.isInteger(number) || number < 1 || number > MAX_PART_NUMBER)
      throw new S3Failure(400, 'InvalidArgument');
    const part = { bytes: body.bytes, etag: md5(body.bytes).toString('hex') };
    multipart.parts.set(number, part);
    return part;
  }

  complete(
    key: string,
    id: string,
    named: readonly { readonly number: number; readonly etag: string }[],
    conditions: Conditions,
  ): S3Object {
    const multipart = this.multipart(key, id);
    if (named.length === 0) throw new S3Failure(400, 'MalformedXML', 'at least one part');
    const isOrdered = named.every(({ number }, at) => number > (named[at - 1]?.number ?? 0));
    if (!isOrdered) throw new S3Failure(400, 'InvalidPartOrder');
    const parts = named.map(({ number, etag }, at) => {
      const part = multipart.parts.get(number);
      if (part === undefined || part.etag !== etag) throw new S3Failure(400, 'InvalidPart', `part ${number}`);
      if (at < named.length - 1 && part.bytes.length < MIN_PART_BYTES) throw new S3Failure(400, 'EntityTooSmall');
      return part;
    });
    this.check(key, conditions);
    this.multiparts.delete(id);
    const etag = `${md5(Buffer.concat(parts.map((part) => Buffer.from(part.etag, 'hex')))).toString('hex')}-${parts.length}`;
    const bytes = Buffer.concat(parts.map((part) => part.bytes));
    const { contentType } = multipart;
    return this.keep(key, { bytes, etag, modified: new Date(), contentType, checksums: new Map() });
  }

  private keep(key: string, object: S3Object): S3Object {
    this.objects.set(key, object);
    return object;
  }

  private check(key: string, conditions: Conditions): void {
    const object = this.objects.get(key);
    if (conditions.ifNoneMatch !== undefined && conditions.ifNoneMatch !== '*')
      throw new S3Failure(501, 'NotImplemented');
    if (conditions.ifNoneMatch === '*' && object !== undefined) throw new S3Failure(412, 'PreconditionFailed');
    if (conditions.ifMatch === undefined) return;
    if (object === undefined) throw new S3Failure(404, 'NoSuchKey');
    if (unquoted(conditions.ifMatch) !== object.etag) throw new S3Failure(412, 'PreconditionFailed');
  }
}

export function unquoted(etag: string): string {
  return etag.replace(/^"|"$/g, '');
}

function md5(bytes: Buffer): Buffer {
  return createHash('md5').update(bytes).digest();
}
