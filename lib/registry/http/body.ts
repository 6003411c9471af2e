/** Request bodies: as a stream into the store, or, for the few small ones, read whole under a limit. */
import { AppError } from '../../errors/index.js';
import type { ByteSource } from '../../store/index.js';

/** Bytes announced by Content-Length; undefined when there is none, `invalid` when it is no number. */
export function contentLength(request: Request): number | undefined {
  const header = request.headers.get('content-length');
  return header !== null && /^\d{1,15}$/.test(header) ? Number(header) : undefined;
}

export function hasBody(request: Request): boolean {
  return request.headers.has('transfer-encoding') || (contentLength(request) ?? (request.body === null ? 0 : 1)) > 0;
}

/**
 * The body as it arrives. A connection that breaks off is the client's failure, not ours.
 * @param expectedBytes the body must have so many
 * @throws AppError BLOB_UPLOAD_INVALID, SIZE_INVALID, while it is read
 */
export async function* bodyStream(request: Request, expectedBytes?: number): ByteSource {
  let seen = 0;
  for await (const chunk of chunksOf(request)) {
    seen += chunk.length;
    if (expectedBytes !== undefined && seen > expectedBytes) throw sizeInvalid(seen, expectedBytes);
    yield chunk;
  }
  if (expectedBytes !== undefined && seen < expectedBytes) throw sizeInvalid(seen, expectedBytes);
}

/** @throws AppError with this code when the body has more bytes */
export async function readBody(request: Request, maxBytes: number, code: string): Promise<Buffer> {
  const refuse = (): AppError =>
    new AppError(code, `the body has more than ${maxBytes} bytes`, { kind: 'too-large', hint: `at most ${maxBytes}` });
  if ((contentLength(request) ?? 0) > maxBytes) throw refuse();
  const chunks: Uint8Array[] = [];
  let seen = 0;
  for await (const chunk of chunksOf(request)) {
    seen += chunk.length;
    if (seen > maxBytes) throw refuse();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

async function* chunksOf(request: Request): ByteSource {
  if (request.body === null) return;
  const reader = request.body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((cause: unknown) => {
        throw new AppError('BLOB_UPLOAD_INVALID', 'the request body broke off', { cause });
      });
      if (done) return;
      yield value;
    }
  } finally {
    // Whoever stops reading early lets the rest go.
    await reader.cancel().catch(() => undefined);
  }
}

function sizeInvalid(seen: number, expected: number): AppError {
  return new AppError(
    'SIZE_INVALID',
    `the body has ${seen < expected ? 'only ' : ''}${seen} bytes, announced were ${expected}`,
  );
}
