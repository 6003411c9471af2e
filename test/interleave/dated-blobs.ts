/**
 * Bytes dated by the schedule's clock. Real stores date them by the machine's, against which a schedule runs days ahead:
 * bytes that have just come would look as if everyone had forgotten them.
 */
import type { BlobKey, BlobStore, Clock } from '../../lib/store/index.js';

export function datedBy(clock: Clock, blobs: BlobStore): BlobStore {
  const writtenMs = new Map<BlobKey, number>();
  const dated = <T extends { readonly key: BlobKey }>(blob: T): T => {
    writtenMs.set(blob.key, clock.nowMs());
    return blob;
  };
  const { uploads } = blobs;
  return {
    stat: (key) => blobs.stat(key),
    open: (key, range) => blobs.open(key, range),
    readUrl: (key, seconds) => blobs.readUrl(key, seconds),
    delete: (key) => blobs.delete(key),
    put: async (source, options) => dated(await blobs.put(source, options)),
    async *list() {
      for await (const blob of blobs.list()) yield { ...blob, modifiedMs: writtenMs.get(blob.key) ?? clock.nowMs() };
    },
    uploads: {
      start: (algorithm) => uploads.start(algorithm),
      append: (id, offset, source, signal, options) => uploads.append(id, offset, source, signal, options),
      status: (id) => uploads.status(id),
      abort: (id) => uploads.abort(id),
      stale: (beforeMs) => uploads.stale(beforeMs),
      async commit(id, expected) {
        const result = await uploads.commit(id, expected);
        if (result.outcome === 'committed') dated(result.blob);
        return result;
      },
    },
  };
}
