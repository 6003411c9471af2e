/**
 * Answers, before one of the two transports writes them (`node-transport.ts`, `web-transport.ts`), and what most handlers
 * say alike.
 */
import type { Readable } from 'node:stream';
import { parseDigest, type Digest } from '../../oci/index.js';
import { checkTag } from '../index.js';
import type { Call } from './types.js';

export type Headers = Readonly<Record<string, string>>;

export interface Reply {
  readonly status: number;
  /** Names in lower case. The length of a body is always said. */
  readonly headers: Headers;
  /** Absent: none, as for HEAD. */
  readonly body?: string | Uint8Array | Readable;
}

/** No body; the length is said, since some clients wait for it. */
export function empty(status: number, headers: Headers = {}): Reply {
  return { status, headers: status === 204 ? headers : { 'content-length': '0', ...headers } };
}

export function json(body: object, headers: Headers = {}, status = 200): Reply {
  const text = JSON.stringify(body);
  return {
    status,
    headers: { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(text)), ...headers },
    body: text,
  };
}

export function blobPath(repository: string, digest: Digest): string {
  return `/v2/${repository}/blobs/${digest}`;
}

export function manifestPath(repository: string, reference: string): string {
  return `/v2/${repository}/manifests/${reference}`;
}

/** The reference of a manifest path. @throws AppError DIGEST_INVALID, MANIFEST_INVALID */
export function manifestReference(reference: string): { readonly digest: Digest } | { readonly tag: string } {
  if (reference.includes(':')) return { digest: parseDigest(reference) };
  checkTag(reference);
  return { tag: reference };
}

/** Whether the client has this content already (If-None-Match). */
export function isKnownToClient(call: Call, digest: Digest): boolean {
  const header = call.request.headers.get('if-none-match');
  return header !== null && header.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag(digest));
}

export function etag(digest: Digest): string {
  return `"${digest}"`;
}
