/** Request bodies as S3 takes them: plain or aws-chunked with a trailer, and every checksum that is named is verified. */
import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { crc32 } from 'node:zlib';
import { S3Failure } from './failure.js';

export interface Body {
  readonly bytes: Buffer;
  /** Verified checksums by header name. */
  readonly checksums: ReadonlyMap<string, string>;
}

const CHECKSUM = /^x-amz-checksum-(crc32|sha256)$/;

export async function readBody(request: IncomingMessage): Promise<Body> {
  const raw = await buffer(request);
  const isChunked = /aws-chunked/.test(request.headers['content-encoding'] ?? '');
  const { bytes, trailers } = isChunked ? dechunk(raw) : { bytes: raw, trailers: new Map<string, string>() };
  const declared = request.headers['x-amz-decoded-content-length'] ?? request.headers['content-length'];
  if (declared !== undefined && Number(declared) !== bytes.length) {
    throw new S3Failure(400, 'IncompleteBody', `${bytes.length} bytes came, ${String(declared)} were announced`);
  }
  const sha256 = String(request.headers['x-amz-content-sha256'] ?? '');
  if (/^[0-9a-f]{64}$/.test(sha256) && sha256 !== createHash('sha256').update(bytes).digest('hex')) {
    throw new S3Failure(400, 'XAmzContentSHA256Mismatch');
  }
  const named = new Map(
    [...Object.entries(request.headers), ...trailers].map(([name, value]) => [name, String(value)]),
  );
  // A presigned URL may carry the checksum of an empty body: S3 then refuses every other.
  const hoisted = new URL(request.url ?? '/', 'http://s3').searchParams.get('x-amz-checksum-crc32');
  if (hoisted !== null) named.set('x-amz-checksum-crc32', hoisted);
  const announced = named.get('x-amz-trailer');
  if (announced !== undefined && !trailers.has(announced)) throw new S3Failure(400, 'MalformedTrailerError');
  return { bytes, checksums: verify(bytes, named) };
}

function verify(bytes: Buffer, named: ReadonlyMap<string, string>): Map<string, string> {
  const checksums = new Map<string, string>();
  for (const [name, value] of named) {
    const algorithm = CHECKSUM.exec(name)?.[1];
    if (algorithm === undefined) {
      if (name.startsWith('x-amz-checksum-') && name !== 'x-amz-checksum-mode' && name !== 'x-amz-checksum-type') {
        throw new S3Failure(501, 'NotImplemented', `the fake knows no ${name}`);
      }
      continue;
    }
    if (value !== checksum(bytes, algorithm)) throw new S3Failure(400, 'BadDigest', `${name} does not match the body`);
    checksums.set(name, value);
  }
  const md5 = named.get('content-md5');
  if (md5 !== undefined && md5 !== createHash('md5').update(bytes).digest('base64'))
    throw new S3Failure(400, 'BadDigest');
  return checksums;
}

function checksum(bytes: Buffer, algorithm: string): string {
  if (algorithm === 'sha256') return createHash('sha256').update(bytes).digest('base64');
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(bytes));
  return sum.toString('base64');
}

/** `<hex size>[;chunk-signature=…]\r\n<bytes>\r\n` … `0\r\n<trailer lines>\r\n` */
function dechunk(raw: Buffer): { bytes: Buffer; trailers: Map<string, string> } {
  const chunks: Buffer[] = [];
  let at = 0;
  const line = (): string => {
    const end = raw.indexOf('\r\n', at);
    if (end < 0) throw new S3Failure(400, 'IncompleteBody', 'an aws-chunked body ends inside a line');
    const found = raw.toString('latin1', at, end);
    at = end + 2;
    return found;
  };
  for (;;) {
    const size = Number.parseInt(line(), 16);
    if (!Number.isInteger(size)) throw new S3Failure(400, 'InvalidRequest', 'a chunk without a size');
    if (size === 0) break;
    chunks.push(raw.subarray(at, at + size));
    at += size;
    if (line() !== '') throw new S3Failure(400, 'InvalidRequest', 'a chunk is longer than its size');
  }
  const trailers = new Map<string, string>();
  while (at < raw.length) {
    const text = line();
    const colon = text.indexOf(':');
    if (colon > 0) trailers.set(text.slice(0, colon).toLowerCase(), text.slice(colon + 1).trim());
  }
  return { bytes: Buffer.concat(chunks), trailers };
}
