/**
 * The registry's records: their keys and values. Everything of one repository lies in one partition, so that reading
 * it needs no second index; the two other partitions exist for the catalogue and for "which repositories hold this
 * blob". The layout is made for a collector that never stops pushes: whoever needs content writes that first (an edge,
 * a holder) and looks at the content afterwards; a collector marks first (`doomed`) and looks for needs afterwards.
 * Whichever comes second sees the other.
 */
import type { Digest } from '../oci/index.js';
import type { RecordKey } from '../store/index.js';

/** The catalogue: one record per repository. */
export const CATALOG = 'REPOS';

export const recordKey = {
  repository: (name: string): RecordKey => ({ partition: CATALOG, sort: name }),
  link: (name: string, digest: Digest): RecordKey => ({ partition: repo(name), sort: `LINK#${digest}` }),
  manifest: (name: string, digest: Digest): RecordKey => ({ partition: repo(name), sort: `MAN#${digest}` }),
  tag: (name: string, tag: string): RecordKey => ({ partition: repo(name), sort: `TAG#${tag}` }),
  tagHistory: (name: string, tag: string, id: string): RecordKey => ({
    partition: repo(name),
    sort: `TAGLOG#${tag}#${id}`,
  }),
  referrer: (name: string, subject: Digest, digest: Digest): RecordKey => ({
    partition: repo(name),
    sort: `REF#${subject}#${digest}`,
  }),
  edge: (name: string, target: Digest, manifest: Digest): RecordKey => ({
    partition: repo(name),
    sort: `EDGE#${target}#${manifest}`,
  }),
  /** A deleted manifest, kept for undelete. */
  trash: (name: string, digest: Digest): RecordKey => ({ partition: repo(name), sort: `TRASH#${digest}` }),
} as const;

/** The holder of a repository (`ContentStore.hold`) says that it may link the blob; written before the link. */
export function holderOf(name: string): string {
  return `REPO#${name}`;
}

export const HOLDER = 'BY#REPO#';

export function repo(name: string): string {
  return `REPO#${name}`;
}

export function holders(digest: Digest): string {
  return `BLOB#${digest}`;
}

export interface RepositoryRecord {
  readonly createdMs: number;
}

/**
 * A blob may be read through a repository only if it is linked there. `doomed`: the collector has chosen the link and
 * a writer may still revive it. Until `leaseUntilMs` it may not choose it: someone was told that the blob is here.
 */
export interface LinkRecord {
  readonly sizeBytes: number;
  readonly state: 'live' | 'doomed';
  readonly leaseUntilMs: number;
  /** Since when it is doomed. */
  readonly doomedMs?: number;
}

/** Says that a manifest names the target; written before the manifest. One without a manifest only delays collection. */
export interface EdgeRecord {
  readonly kind: 'blob' | 'manifest';
  readonly atMs: number;
}

export interface ManifestRecord {
  readonly kind: 'manifest' | 'index';
  readonly mediaType: string;
  readonly sizeBytes: number;
  /** The exact bytes in base64; absent when they are too many for a record and lie in a linked blob. */
  readonly body?: string;
  readonly subject?: Digest;
  readonly pushedMs: number;
  /** It came from an upstream, and what it names may still be there only. */
  readonly isCached?: true;
  /** It was taken without all that it names. */
  readonly isSparse?: true;
  /** When it was last rescued from the collector by someone who asked for it. */
  readonly usedMs?: number;
  /** Since when the collector has chosen it. It waits an hour; whoever reads the manifest meanwhile takes this away. */
  readonly doomedMs?: number;
}

export interface TagRecord {
  readonly digest: Digest;
  readonly updatedMs: number;
}

/** One entry of a tag's history; no digest: the tag was deleted. */
export interface TagHistoryRecord {
  readonly digest?: Digest;
  readonly atMs: number;
}

/** What a referrers listing shows of one manifest, kept ready. */
export interface ReferrerRecord {
  readonly mediaType: string;
  readonly sizeBytes: number;
  readonly artifactType?: string;
  /** Absent when there are none. */
  readonly annotations?: Readonly<Record<string, string>>;
  /** The annotations are too large for this record and are read from the manifest. */
  readonly annotationsInManifest?: true;
}
