/**
 * Request bodies: as a stream into the store, or, for the few small ones, read whole under a limit. On Node the
 * connection itself is read: the Web stream that the adapter would make of it counts chunks instead of bytes, and so
 * takes gigabytes into memory while the disk is slower than the client.
 */
import type { IncomingMessage } from 'node:http';
import { AppError } from '../../errors/index.js';
import type { ByteSource } from '../../store/index.js';
import type { RegistryRequest } from './types.js';

export interface RequestBody {
  /** Bytes announced by Content-Length; undefined when there is none. */
  readonly announcedBytes: number | undefined;
  readonly isEmpty: boolean;
  /**
   * The body as it arrives; to be taken once. Whoever stops reading early leaves the rest to the server.
   * @throws AppError BLOB_UPLOAD_INVALID while it is read, when the connection breaks off: that is the client's failure
   */
  chunks(): ByteSource;
}

/** @param source the connection's own request, or the body of a Web one */
export function requestBody(
  { headers }: Pick<RegistryRequest, 'headers'>,
  source: IncomingMessage | ReadableStream<Uint8Array> | null,
): RequestBody {
  const header = headers.get('content-length') ?? '';
  const announcedBytes = /^\d{1,15}$/.test(header) ? Number(header) : undefined;
  const isChunked = headers.has('transfer-encoding');
  // Without an announcement only a body that came in one piece, as from a function's event, can have bytes.
  const isEmpty = !isChunked && (announcedBytes ?? (source === null || 'iterator' in source ? 0 : 1)) === 0;
  return {
    announcedBytes,
    isEmpty,
    chunks: () =>
      guarded(source === null ? [] : 'iterator' in source ? source.iterator({ destroyOnReturn: false }) : source),
  };
}

/**
 * The body, held to its length.
 * @throws AppError SIZE_INVALID, while it is read
 */
export async function* exactly(source: ByteSource, expectedBytes: number | undefined): ByteSource {
  let seen = 0;
  for await (const chunk of source) {
    seen += chunk.length;
    if (expectedBytes !== undefined && seen > expectedBytes) throw sizeInvalid(seen, expectedBytes);
    yield chunk;
  }
  if (expectedBytes !== undefined && seen < expectedBytes) throw sizeInvalid(seen, expectedBytes);
}

/** The whole body. @throws AppError with this code, kind too-large, when it has more bytes */
export async function readBody(body: RequestBody, maxBytes: number, code: string): Promise<Buffer> {
  const refuse = (): AppError =>
    new AppError(code, `the body has more than ${maxBytes} bytes`, { kind: 'too-large', hint: `at most ${maxBytes}` });
  if ((body.announcedBytes ?? 0) > maxBytes) throw refuse();
  const chunks: Uint8Array[] = [];
  let seen = 0;
  for await (const chunk of body.chunks()) {
    seen += chunk.length;
    if (seen > maxBytes) throw refuse();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

async function* guarded(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): ByteSource {
  try {
    yield* source;
  } catch (cause) {
    throw new AppError('BLOB_UPLOAD_INVALID', 'the request body broke off', { cause });
  }
}

function sizeInvalid(seen: number, expected: number): AppError {
  return new AppError(
    'SIZE_INVALID',
    `the body has ${seen < expected ? 'only ' : ''}${seen} bytes, announced were ${expected}`,
  );
}
