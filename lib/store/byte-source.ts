/** Reading a byte source so that an abort is seen even while the next chunk does not come. */
import type { ByteSource } from './ports.js';

export async function* abortable(source: ByteSource, signal?: AbortSignal): ByteSource {
  if (signal === undefined) {
    yield* source;
    return;
  }
  signal.throwIfAborted();
  let onAbort = (): void => {};
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = () => reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
  });
  aborted.catch(() => {});
  const iterator = source[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await Promise.race([iterator.next(), aborted]);
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    // Not awaited: a source that hangs would hold the abort up.
    void iterator.return?.()?.catch(() => {});
  }
}
