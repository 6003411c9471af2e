/** Reading a byte source so that an abort is seen even while the next chunk does not come. */
import type { ByteSource } from './ports.js';

export async function* abortable(source: ByteSource, signal?: AbortSignal): ByteSource {
  if (signal === undefined) {
    yield* source;
    return;
  }
  signal.throwIfAborted();
  const iterator = source[Symbol.asyncIterator]();
  // One listener for all chunks, and a promise of its own for each: one long-lived promise in `Promise.race` would keep
  // every chunk it was raced with alive until the source ends.
  let refuse: (reason: unknown) => void = () => {};
  const onAbort = (): void => refuse(signal.reason);
  signal.addEventListener('abort', onAbort);
  try {
    for (;;) {
      signal.throwIfAborted();
      const next = await new Promise<IteratorResult<Uint8Array>>((resolve, reject) => {
        refuse = reject;
        iterator.next().then(resolve, reject);
      });
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    // Not awaited: a source that hangs would hold the abort up.
    void iterator.return?.()?.catch(() => {});
  }
}
