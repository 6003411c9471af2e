/** The registry as a Web fetch handler, as functions call it: bodies come whole, and go out as Web streams. */
import type { Readable } from 'node:stream';
import type { Reply } from './replies.js';

export function toResponse({ status, headers, body }: Reply, method: string): Response {
  const isStream = body !== undefined && typeof body !== 'string' && !(body instanceof Uint8Array);
  if (isStream) return new Response(webStream(body), { status, headers });
  return new Response(method === 'HEAD' ? null : (body ?? null), { status, headers });
}

/** Chunk by chunk as the client takes them; Readable.toWeb would count chunks as bytes and read far ahead. */
function webStream(stream: Readable): ReadableStream<Uint8Array> {
  const chunks = stream[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const next = await chunks.next();
        if (next.done === true) controller.close();
        else controller.enqueue(next.value);
      },
      cancel() {
        stream.destroy();
      },
    },
    { highWaterMark: 0 },
  );
}
