/** What the steps of one pass share: ports, ages, and what they have taken away. */
import type { Digest } from '../../oci/index.js';
import type { RecordStore, StoredRecord } from '../../store/index.js';
import type { Collected, CollectorDeps, CollectorOptions } from './types.js';

const HOUR_MS = 60 * 60 * 1000;
const DAY_MS = 24 * HOUR_MS;

/**
 * A manifest or link that was chosen waits so long before it is deleted. Whoever was told before that it is here, and
 * has written down no need yet, has this time to come and revive it.
 */
export const DOOMED_MS = HOUR_MS;
/** Edges and holders younger than this are believed without what they announce. See FRESH_MS of blobs.ts. */
export const SETTLED_MS = HOUR_MS;

export interface PassContext extends CollectorDeps {
  readonly ages: Required<CollectorOptions>;
  readonly collected: { -readonly [K in keyof Collected]: Collected[K] };
  /** Digests by repository. */
  readonly pinned: ReadonlyMap<string, ReadonlySet<Digest>>;
  /** Of caches, what is beyond the bytes that each may hold; digests by repository. */
  readonly beyondBounds: Map<string, Set<Digest>>;
}

export function agesOf(options: CollectorOptions): Required<CollectorOptions> {
  return { untaggedMs: 7 * DAY_MS, undeleteMs: 7 * DAY_MS, orphanMs: DAY_MS, uploadMs: 7 * DAY_MS, ...options };
}

export function nothingCollected(): PassContext['collected'] {
  return { manifests: 0, links: 0, blobs: 0, blobBytes: 0, orphans: 0, uploads: 0, notes: 0 };
}

const PAGE = 200;

/** All records of a partition under a prefix, a page at a time. */
export async function* scan<T extends object>(
  records: RecordStore,
  partition: string,
  prefix: string,
): AsyncGenerator<StoredRecord<T>> {
  let cursor: string | undefined;
  do {
    const from = cursor === undefined ? {} : { cursor };
    const page = await records.query<T>(partition, { prefix, limit: PAGE, ...from });
    yield* page.records;
    cursor = page.cursor;
  } while (cursor !== undefined);
}
