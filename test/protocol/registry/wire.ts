/** A client that speaks the protocol by hand, so that tests say exactly what goes over the wire. */
import { type Digest, digestOf } from '../../../lib/oci/index.js';
import type { RunningRegistry } from './registry-server.js';

export interface WireRequest {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string;
  /** Instead of the admin token; null: none. */
  readonly authorization?: string | null;
}

export interface WireResponse {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Buffer;
  /** The code of the first error, if the body is an error document. */
  readonly code: string | undefined;
}

export type UploadStyle = 'post-put' | 'single-post' | 'stream' | 'chunks' | 'chunks-put-last';
export const UPLOAD_STYLES: readonly UploadStyle[] = ['post-put', 'single-post', 'stream', 'chunks', 'chunks-put-last'];

export class Wire {
  constructor(private readonly registry: Pick<RunningRegistry, 'url' | 'tokens'>) {}

  async send(method: string, path: string, request: WireRequest = {}): Promise<WireResponse> {
    const authorization =
      request.authorization === undefined ? `Bearer ${this.registry.tokens.admin}` : request.authorization;
    const response = await fetch(new URL(path, this.registry.url), {
      method,
      redirect: 'manual',
      headers: {
        'accept-encoding': 'identity',
        ...(authorization === null ? {} : { authorization }),
        ...request.headers,
      },
      ...(request.body === undefined ? {} : { body: request.body }),
    });
    const bytes = Buffer.from(await response.arrayBuffer());
    return { status: response.status, headers: response.headers, bytes, code: errorCode(bytes) };
  }

  /** A new upload session; its path. */
  async start(repository: string, query = ''): Promise<string> {
    const response = await this.send('POST', `/v2/${repository}/blobs/uploads/${query}`);
    if (response.status !== 202) throw new Error(`no session: ${response.status} ${response.bytes.toString()}`);
    return location(response);
  }

  /** Uploads in the given style; the response to the last request. */
  async push(
    repository: string,
    bytes: Buffer,
    style: UploadStyle = 'post-put',
    digest: Digest = digestOf(bytes),
  ): Promise<WireResponse> {
    if (style === 'single-post') {
      return this.send('POST', `/v2/${repository}/blobs/uploads/?digest=${digest}`, { body: bytes });
    }
    let at = await this.start(repository);
    if (style === 'post-put') return this.send('PUT', withDigest(at, digest), { body: bytes });
    if (style === 'stream') {
      at = location(await this.send('PATCH', at, { body: bytes }));
      return this.send('PUT', withDigest(at, digest));
    }
    const size = Math.max(1, Math.ceil(bytes.length / 3));
    for (let start = 0; start < bytes.length; start += size) {
      const chunk = bytes.subarray(start, start + size);
      const headers = { 'content-range': `${start}-${start + chunk.length - 1}` };
      const isLast = start + size >= bytes.length;
      if (isLast && style === 'chunks-put-last')
        return this.send('PUT', withDigest(at, digest), { headers, body: chunk });
      at = location(await this.send('PATCH', at, { headers, body: chunk }));
    }
    return this.send('PUT', withDigest(at, digest));
  }

  put(
    repository: string,
    reference: string,
    manifest: { readonly bytes: Buffer; readonly mediaType: string },
    query = '',
  ): Promise<WireResponse> {
    const headers = { 'content-type': manifest.mediaType };
    return this.send('PUT', `/v2/${repository}/manifests/${reference}${query}`, { headers, body: manifest.bytes });
  }
}

export function location(response: WireResponse): string {
  const value = response.headers.get('location');
  if (value === null) throw new Error(`no Location in a ${response.status}`);
  return value;
}

export function withDigest(path: string, digest: string): string {
  return `${path}${path.includes('?') ? '&' : '?'}digest=${encodeURIComponent(digest)}`;
}

function errorCode(bytes: Buffer): string | undefined {
  try {
    return (JSON.parse(bytes.toString()) as { errors?: { code: string }[] }).errors?.[0]?.code;
  } catch {
    return undefined;
  }
}
