/** What the collector is given, and what it tells. */
import type { Digest } from '../../oci/index.js';
import type { Clock, ContentStore, RecordStore } from '../../store/index.js';

/** Images that must stay whatever their tags say: what services run, or could be rolled back to. */
export interface Pins {
  /** Read at the beginning of every pass. When it fails, nothing is collected. */
  list(): AsyncIterable<{ readonly repository: string; readonly digest: Digest }>;
}

/** Which repositories are caches of other registries, and what they may let go. */
export interface CacheRules {
  /** For so long what nobody asks for stays; undefined: as in any repository, where tags hold it. */
  keepMs(repository: string): Promise<number | undefined>;
  /** Which cache the repository belongs to, and how many bytes that may hold; undefined: as many as there are. */
  bound(repository: string): Promise<{ readonly cache: string; readonly maxBytes: number } | undefined>;
  /** Takes a manifest and its tags away, unless its record has another version by now. */
  evict(repository: string, digest: Digest, version: number): Promise<boolean>;
}

export interface CollectorDeps {
  readonly records: RecordStore;
  readonly content: ContentStore;
  readonly clock: Clock;
  readonly pins?: Pins;
  /** Absent: there are no caches. */
  readonly caches?: CacheRules;
}

/** All in milliseconds. */
export interface CollectorOptions {
  /** A manifest that no tag points at stays so long after its push, or after it was rescued; 7 days when absent. */
  readonly untaggedMs?: number;
  /** What a tag pointed at stays so long after the tag went elsewhere or away; 7 days when absent. */
  readonly undeleteMs?: number;
  /** Bytes that nobody adopted: their writer was killed; 24 hours when absent. */
  readonly orphanMs?: number;
  /** Uploads that were started so long ago are aborted; 7 days when absent. */
  readonly uploadMs?: number;
}

/** What was taken away. */
export interface Collected {
  readonly manifests: number;
  readonly links: number;
  readonly blobs: number;
  readonly blobBytes: number;
  /** Bytes that belonged to no blob. */
  readonly orphans: number;
  readonly uploads: number;
  /** Edges, holders and tag histories. */
  readonly notes: number;
}
