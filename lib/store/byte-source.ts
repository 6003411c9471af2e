/** Reading a byte source so that an abort is seen even while the next chunk does not come. */
import type { ByteSource } from './ports.js';

export async function* abortable(source: ByteSource, signal?: AbortSignal): ByteSource {
  if (signal === undefined) {
    yield* source;
    return;
  }
  signal.throwIfAborted();
  const iterator = source[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await nextOrAbort(iterator, signal);
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    // Not awaited: a source that hangs would hold the abort up.
    void iterator.return?.()?.catch(() => {});
  }
}

/**
 * A promise of its own for each chunk: one long-lived promise in `Promise.race` would keep every chunk it was raced
 * with alive until the source ends.
 */
function nextOrAbort(iterator: AsyncIterator<Uint8Array>, signal: AbortSignal): Promise<IteratorResult<Uint8Array>> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
    iterator
      .next()
      .then(resolve, reject)
      .finally(() => signal.removeEventListener('abort', onAbort));
  });
}
