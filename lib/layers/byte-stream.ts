/** Small turns of a byte stream, as async iterables. */
import { pipeline, type Duplex, type Writable } from 'node:stream';
import type { Digester } from '../oci/index.js';
import type { ByteSource } from '../store/index.js';

export type ByteTransform = (source: ByteSource) => ByteSource;

/** No bytes: the body of whatever has none. */
export async function* noBytes(): AsyncGenerator<Uint8Array, void, undefined> {}

/** Whether two streams have the same bytes; both are let go of. */
export async function sameBytes(a: ByteSource, b: ByteSource): Promise<boolean> {
  const size = 64 * 1024;
  const left = rechunk(a, size)[Symbol.asyncIterator]();
  const right = rechunk(b, size)[Symbol.asyncIterator]();
  try {
    for (;;) {
      const [x, y] = await Promise.all([left.next(), right.next()]);
      if (x.done === true || y.done === true) return x.done === y.done;
      if (Buffer.compare(x.value, y.value) !== 0) return false;
    }
  } finally {
    await Promise.all([left.return?.(), right.return?.()]);
  }
}

/** Writes all of a source and ends the sink. A sink that closes early is no failure: its owner tells why. */
export async function writeInto(sink: Writable, source: ByteSource): Promise<void> {
  let broken = false;
  let wake = (): void => {};
  const stop = (): void => {
    broken = true;
    wake();
  };
  sink.once('error', stop).once('close', stop);
  sink.on('drain', () => wake());
  for await (const chunk of source) {
    if (broken) return;
    if (!sink.write(chunk)) await new Promise<void>((resolve) => (wake = resolve));
  }
  sink.end();
}

/** Pipes a source through a Node transform. Leaving the loop early lets go of both. */
export async function* through(source: ByteSource, transform: Duplex): ByteSource {
  pipeline(source, transform, () => {
    // A failure of the source destroys the transform with the same error, which the loop below throws.
  });
  try {
    yield* transform as AsyncIterable<Uint8Array>;
  } finally {
    transform.destroy();
  }
}

/** Lets bytes pass and digests them. */
export async function* digesting(source: ByteSource, digester: Digester): ByteSource {
  for await (const chunk of source) {
    digester.update(chunk);
    yield chunk;
  }
}

/** The same bytes in chunks of exactly `size`, the last one shorter. */
export async function* rechunk(source: ByteSource, size: number): ByteSource {
  let parts: Uint8Array[] = [];
  let held = 0;
  for await (const chunk of source) {
    let rest = chunk;
    while (held + rest.length >= size) {
      parts.push(rest.subarray(0, size - held));
      rest = rest.subarray(size - held);
      yield parts.length === 1 ? (parts[0] ?? rest) : Buffer.concat(parts, size);
      parts = [];
      held = 0;
    }
    if (rest.length > 0) {
      parts.push(rest);
      held += rest.length;
    }
  }
  if (held > 0) yield Buffer.concat(parts, held);
}

/** The first bytes of a source (at least `length`, unless it ends before), and the whole source again. */
export async function peek(
  source: ByteSource,
  length: number,
): Promise<{ readonly head: Buffer; readonly source: ByteSource }> {
  const iterator = source[Symbol.asyncIterator]();
  const chunks: Uint8Array[] = [];
  let held = 0;
  while (held < length) {
    const next = await iterator.next();
    if (next.done === true) break;
    chunks.push(next.value);
    held += next.value.length;
  }
  const head = Buffer.concat(chunks, held);
  return { head, source: resume(head, iterator) };
}

async function* resume(head: Uint8Array, iterator: AsyncIterator<Uint8Array>): ByteSource {
  try {
    if (head.length > 0) yield head;
    for (;;) {
      const next = await iterator.next();
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    await iterator.return?.();
  }
}
