/** Which repository of another registry got a blob from us, for ninety days: another one there can mount it. */
import type { Digest } from '../../oci/index.js';
import type { Clock, RecordKey, RecordStore } from '../../store/index.js';
import type { KnownBlobs } from './push-image.js';

interface KnownBlobRecord {
  readonly repository: string;
}

const KEPT_MS = 90 * 24 * 60 * 60 * 1000;

/** @param registry host and port, as in a reference */
export function knownBlobs(
  deps: { readonly records: RecordStore; readonly clock: Clock },
  registry: string,
): KnownBlobs {
  const key = (digest: Digest): RecordKey => ({ partition: `REMOTE#${registry}`, sort: digest });
  return {
    find: async (digest) => (await deps.records.get<KnownBlobRecord>(key(digest)))?.value.repository,
    async note(digest, repository) {
      const value: KnownBlobRecord = { repository };
      await deps.records.put(key(digest), value, { expiresAtMs: deps.clock.nowMs() + KEPT_MS });
    },
  };
}
