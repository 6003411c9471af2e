/** Blobs over HTTP: end-2 and end-10. Parts, conditions and, for large ones, a redirect to where the bytes lie. */
import { parseDigest } from '../../oci/index.js';
import type { ByteRange } from '../../store/index.js';
import { blobUnknown, type ReadableBlob } from '../index.js';
import { errorsResponse } from './errors.js';
import { parseRange } from './ranges.js';
import { empty, etag, type Headers, isKnownToClient, type Reply } from './replies.js';
import type { Call } from './types.js';

const REDIRECT_SECONDS = 1200;

export async function readBlob(call: Call): Promise<Reply> {
  const digest = parseDigest(call.reference);
  const { registry, cache } = call.deps;
  if (call.request.method === 'HEAD') {
    // Clients leave out an upload on the strength of this answer: it is a promise.
    const info = await registry.blobs.stat(call.repository, digest);
    const sizeBytes = info?.sizeBytes ?? (await cache?.blobSize(call.repository, digest));
    if (sizeBytes === undefined) throw blobUnknown(call.repository, digest);
    return { status: 200, headers: { ...blobHeaders({ digest }), 'content-length': String(sizeBytes) } };
  }
  const blob = (await registry.blobs.get(call.repository, digest)) ?? (await cache?.blob(call.repository, digest));
  if (blob === undefined) throw blobUnknown(call.repository, digest);
  if (isKnownToClient(call, digest)) return empty(304, { etag: etag(digest), 'docker-content-digest': digest });
  const elsewhere = await redirect(call, blob);
  if (elsewhere !== undefined) return elsewhere;
  const range = requestedRange(call, blob);
  if (range === 'unsatisfiable') {
    return errorsResponse(
      416,
      [{ code: 'SIZE_INVALID', message: `blob ${digest} has ${blob.sizeBytes} bytes; the range is outside of them` }],
      { 'content-range': `bytes */${blob.sizeBytes}` },
    );
  }
  return send(call, blob, range);
}

export async function deleteBlob(call: Call): Promise<Reply> {
  const digest = parseDigest(call.reference);
  if (!(await call.deps.registry.blobs.unlink(call.repository, digest))) throw blobUnknown(call.repository, digest);
  return empty(202);
}

async function send(call: Call, blob: ReadableBlob, range: ByteRange | undefined): Promise<Reply> {
  const stream = await blob.open(range);
  if (stream === undefined) throw blobUnknown(call.repository, blob.digest);
  const part: Headers =
    range === undefined
      ? { 'content-length': String(blob.sizeBytes) }
      : {
          'content-length': String(range.end - range.start + 1),
          'content-range': `bytes ${range.start}-${range.end}/${blob.sizeBytes}`,
        };
  return { status: range === undefined ? 200 : 206, headers: { ...blobHeaders(blob), ...part }, body: stream };
}

async function redirect(call: Call, blob: ReadableBlob): Promise<Reply | undefined> {
  const { redirectAboveBytes, redirectSeconds } = call.options;
  if (redirectAboveBytes === undefined || blob.sizeBytes <= redirectAboveBytes) return undefined;
  const url = await blob.readUrl(redirectSeconds ?? REDIRECT_SECONDS);
  if (url === undefined) return undefined;
  // The URL is a credential: it must not travel on in a Referer.
  return empty(307, { location: url, 'docker-content-digest': blob.digest, 'referrer-policy': 'no-referrer' });
}

/** A Range holds only for the content the client thinks of (If-Range). */
function requestedRange(call: Call, blob: ReadableBlob): ByteRange | 'unsatisfiable' | undefined {
  const condition = call.request.headers.get('if-range');
  if (condition !== null && condition !== etag(blob.digest)) return undefined;
  return parseRange(call.request.headers.get('range'), blob.sizeBytes);
}

function blobHeaders(blob: Pick<ReadableBlob, 'digest'>): Headers {
  return {
    'content-type': 'application/octet-stream',
    'docker-content-digest': blob.digest,
    'accept-ranges': 'bytes',
    etag: etag(blob.digest),
  };
}
