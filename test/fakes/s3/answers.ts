/** What the S3 fake answers per operation, over buckets in memory. Path-style addresses only. */
import type { IncomingMessage } from 'node:http';
import { readBody } from './body.js';
import { Bucket, unquoted, type S3Object } from './bucket.js';
import { S3Failure } from './failure.js';
import { elements, text, toXml } from './xml.js';

export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | string;
}

interface Call {
  readonly request: IncomingMessage;
  readonly bucket: Bucket;
  readonly bucketName: string;
  readonly key: string;
  readonly query: URLSearchParams;
}

const LIST_LIMIT = 1000;

export async function answer(request: IncomingMessage, buckets: Map<string, Bucket>): Promise<Answer> {
  const url = new URL(request.url ?? '/', 'http://s3');
  const [, bucketName = '', ...rest] = url.pathname.split('/');
  const key = rest.map(decodeURIComponent).join('/');
  if (bucketName === '') throw new S3Failure(501, 'NotImplemented');
  if (key === '' && request.method === 'PUT') {
    buckets.set(bucketName, buckets.get(bucketName) ?? new Bucket());
    return { status: 200, headers: { location: `/${bucketName}` } };
  }
  const bucket = buckets.get(bucketName);
  if (bucket === undefined) throw new S3Failure(404, 'NoSuchBucket');
  if (key === '' && request.method === 'DELETE') {
    // Uploads under way go with it.
    if (bucket.objects.size > 0) throw new S3Failure(409, 'BucketNotEmpty');
    buckets.delete(bucketName);
    return { status: 204 };
  }
  const call = { request, bucket, bucketName, key, query: url.searchParams };
  return key === '' ? answerBucket(call) : answerObject(call);
}

async function answerBucket(call: Call): Promise<Answer> {
  switch (call.request.method ?? '') {
    case 'HEAD':
      return { status: 200 };
    case 'GET':
      if (call.query.has('uploads')) return listMultiparts(call);
      if (call.query.get('list-type') === '2') return listObjects(call);
      break;
    case 'POST':
      if (call.query.has('delete')) return deleteMany(call);
      break;
    default:
  }
  throw new S3Failure(501, 'NotImplemented');
}

async function answerObject(call: Call): Promise<Answer> {
  const { request, bucket, key, query } = call;
  const uploadId = query.get('uploadId');
  switch (request.method ?? '') {
    case 'GET':
      return uploadId === null ? readObject(call) : listParts(call, uploadId);
    case 'HEAD':
      return readObject(call);
    case 'PUT':
      if (request.headers['x-amz-copy-source'] !== undefined) throw new S3Failure(501, 'NotImplemented', 'copy');
      return uploadId === null ? putObject(call) : putPart(call, uploadId);
    case 'POST':
      if (query.has('uploads')) return startMultipart(call);
      if (uploadId !== null) return completeMultipart(call, uploadId);
      break;
    case 'DELETE':
      if (uploadId === null) bucket.objects.delete(key);
      else bucket.multiparts.delete((bucket.multipart(key, uploadId), uploadId));
      return { status: 204 };
    default:
  }
  throw new S3Failure(501, 'NotImplemented');
}

function readObject({ request, bucket, key }: Call): Answer {
  const object = bucket.get(key);
  const { 'if-match': ifMatch, 'if-none-match': ifNoneMatch } = request.headers;
  if (ifMatch !== undefined && unquoted(ifMatch) !== object.etag) throw new S3Failure(412, 'PreconditionFailed');
  if (ifNoneMatch !== undefined && unquoted(ifNoneMatch) === object.etag) return { status: 304 };
  const headers = {
    'accept-ranges': 'bytes',
    'content-type': object.contentType,
    ...objectHeaders(object),
    'last-modified': object.modified.toUTCString(),
  };
  const size = object.bytes.length;
  const range = /^bytes=(\d*)-(\d*)$/.exec(request.headers.range ?? '');
  if (range === null || (range[1] === '' && range[2] === '')) {
    const isAsked = request.headers['x-amz-checksum-mode'] === 'ENABLED';
    const checksums = isAsked ? Object.fromEntries(object.checksums) : {};
    return { status: 200, headers: { ...headers, ...checksums, 'content-length': String(size) }, body: object.bytes };
  }
  const start = range[1] === '' ? Math.max(0, size - Number(range[2])) : Number(range[1]);
  const end = range[1] === '' || range[2] === '' ? size - 1 : Math.min(Number(range[2]), size - 1);
  if (start >= size || start > end) throw new S3Failure(416, 'InvalidRange', 'The requested range is not satisfiable');
  const part = object.bytes.subarray(start, end + 1);
  const partHeaders = { 'content-range': `bytes ${start}-${end}/${size}`, 'content-length': String(part.length) };
  return { status: 206, headers: { ...headers, ...partHeaders }, body: part };
}

async function putObject(call: Call): Promise<Answer> {
  const body = await readBody(call.request);
  const object = call.bucket.put(call.key, body, contentType(call), conditions(call));
  return { status: 200, headers: { ...objectHeaders(object), ...Object.fromEntries(object.checksums) } };
}

function startMultipart(call: Call): Answer {
  const UploadId = call.bucket.start(call.key, contentType(call));
  return xml('InitiateMultipartUploadResult', { Bucket: call.bucketName, Key: call.key, UploadId });
}

async function putPart(call: Call, uploadId: string): Promise<Answer> {
  const body = await readBody(call.request);
  const part = call.bucket.putPart(call.key, uploadId, Number(call.query.get('partNumber')), body);
  return { status: 200, headers: { etag: `"${part.etag}"`, ...Object.fromEntries(body.checksums) } };
}

async function completeMultipart(call: Call, uploadId: string): Promise<Answer> {
  const request = (await readBody(call.request)).bytes.toString();
  const parts = elements(request, 'Part').map((part) => ({
    number: Number(text(part, 'PartNumber')),
    etag: unquoted(text(part, 'ETag') ?? ''),
  }));
  const object = call.bucket.complete(call.key, uploadId, parts, conditions(call));
  return xml('CompleteMultipartUploadResult', { Bucket: call.bucketName, Key: call.key, ETag: `"${object.etag}"` });
}

function listParts({ bucket, bucketName, key, query }: Call, uploadId: string): Answer {
  const marker = Number(query.get('part-number-marker') ?? 0);
  const limit = Math.min(Number(query.get('max-parts') ?? LIST_LIMIT), LIST_LIMIT);
  const all = [...bucket.multipart(key, uploadId).parts]
    .filter(([number]) => number > marker)
    .toSorted(([a], [b]) => a - b);
  const page = all.slice(0, limit);
  return xml('ListPartsResult', {
    Bucket: bucketName,
    Key: key,
    UploadId: uploadId,
    IsTruncated: all.length > page.length,
    NextPartNumberMarker: page.at(-1)?.[0],
    Part: page.map(([PartNumber, part]) => ({ PartNumber, ETag: `"${part.etag}"`, Size: part.bytes.length })),
  });
}

function listMultiparts({ bucket, bucketName, query }: Call): Answer {
  const prefix = query.get('prefix') ?? '';
  const found = [...bucket.multiparts].filter(([, multipart]) => multipart.key.startsWith(prefix));
  return xml('ListMultipartUploadsResult', {
    Bucket: bucketName,
    IsTruncated: false,
    Upload: found.map(([UploadId, { key, started }]) => ({ Key: key, UploadId, Initiated: started.toISOString() })),
  });
}

function listObjects({ bucket, bucketName, query }: Call): Answer {
  if (query.has('delimiter')) throw new S3Failure(501, 'NotImplemented', 'delimiter');
  const prefix = query.get('prefix') ?? '';
  const token = query.get('continuation-token');
  const after = token === null ? (query.get('start-after') ?? '') : Buffer.from(token, 'base64url').toString();
  const limit = Math.min(Number(query.get('max-keys') ?? LIST_LIMIT), LIST_LIMIT);
  const order = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));
  const keys = [...bucket.objects.keys()]
    .filter((key) => key.startsWith(prefix) && order(key, after) > 0)
    .toSorted(order);
  const page = keys.slice(0, limit);
  const isUrl = query.get('encoding-type') === 'url';
  return xml('ListBucketResult', {
    Name: bucketName,
    Prefix: prefix,
    KeyCount: page.length,
    MaxKeys: limit,
    EncodingType: isUrl ? 'url' : undefined,
    IsTruncated: keys.length > page.length,
    NextContinuationToken: keys.length > page.length ? Buffer.from(page.at(-1) ?? '').toString('base64url') : undefined,
    Contents: page.map((key) => {
      const object = bucket.get(key);
      return {
        Key: isUrl ? encodeURIComponent(key) : key,
        LastModified: object.modified.toISOString(),
        ETag: `"${object.etag}"`,
        Size: object.bytes.length,
        StorageClass: 'STANDARD',
      };
    }),
  });
}

async function deleteMany({ request, bucket }: Call): Promise<Answer> {
  const body = (await readBody(request)).bytes.toString();
  const keys = elements(body, 'Object').map((object) => text(object, 'Key') ?? '');
  for (const key of keys) bucket.objects.delete(key);
  const isQuiet = text(body, 'Quiet') === 'true';
  return xml('DeleteResult', { Deleted: isQuiet ? undefined : keys.map((Key) => ({ Key })) });
}

function conditions({ request }: Call): { ifMatch: string | undefined; ifNoneMatch: string | undefined } {
  return { ifMatch: request.headers['if-match'], ifNoneMatch: request.headers['if-none-match'] };
}

function contentType({ request }: Call): string {
  return request.headers['content-type'] ?? 'binary/octet-stream';
}

function objectHeaders(object: S3Object): Record<string, string> {
  return { etag: `"${object.etag}"` };
}

function xml(root: string, value: Parameters<typeof toXml>[1]): Answer {
  return { status: 200, headers: { 'content-type': 'application/xml' }, body: toXml(root, value) };
}
