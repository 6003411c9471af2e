/**
 * One repository: which manifests, edges and links nobody needs any more. A manifest stays while a tag points at it, or
 * did in the last days; while it is young, pinned, named by an index, or has its subject here. A link stays while it is
 * under lease or a manifest names it. What a chain held together goes link by link, one pass after the other.
 */
import type { Digest } from '../../oci/index.js';
import type { StoredRecord } from '../../store/index.js';
import {
  type EdgeRecord,
  type LinkRecord,
  type ManifestRecord,
  recordKey,
  repo,
  type TagHistoryRecord,
  type TagRecord,
} from '../records.js';
import { HISTORY_MS } from '../tags.js';
import { DOOMED_MS, type PassContext, scan, SETTLED_MS } from './context.js';

/** Yields after every record, so that the caller can stop for a while. */
export async function* reviewRepository(pass: PassContext, repository: string): AsyncGenerator<void> {
  const { records, clock } = pass;
  const partition = repo(repository);
  const sinceMs = clock.nowMs();
  const roots = new Set<Digest>(pass.pinned.get(repository));
  for await (const tag of scan<TagRecord>(records, partition, 'TAG#')) {
    roots.add(tag.value.digest);
    yield;
  }
  for await (const digest of recentTargets(pass, partition)) {
    if (digest !== undefined) roots.add(digest);
    yield;
  }
  const keepMs = await pass.caches?.keepMs(repository);
  for await (const manifest of scan<ManifestRecord>(records, partition, 'MAN#')) {
    const isBeyond = pass.beyondBounds.get(repository)?.has(manifest.sort.slice('MAN#'.length) as Digest) === true;
    if (manifest.value.isCached === true && (isBeyond || keepMs !== undefined))
      await reviewCached(pass, repository, isBeyond ? 0 : (keepMs ?? 0), manifest);
    else await reviewManifest(pass, { repository, roots, sinceMs }, manifest);
    yield;
  }
  for await (const edge of scan<EdgeRecord>(records, partition, 'EDGE#')) {
    await reviewEdge(pass, repository, edge);
    yield;
  }
  for await (const link of scan<LinkRecord>(records, partition, 'LINK#')) {
    await reviewLink(pass, repository, link);
    yield;
  }
}

/** Where tags pointed lately; undefined for what is over. */
async function* recentTargets(pass: PassContext, partition: string): AsyncGenerator<Digest | undefined> {
  const tagOf = ({ sort }: StoredRecord<TagHistoryRecord>): string => sort.slice(0, sort.lastIndexOf('#'));
  let entry: StoredRecord<TagHistoryRecord> | undefined;
  for await (const next of scan<TagHistoryRecord>(pass.records, partition, 'TAGLOG#')) {
    if (entry !== undefined) {
      yield await recentTarget(pass, entry, tagOf(entry) === tagOf(next) ? next.value.atMs : undefined);
    }
    entry = next;
  }
  if (entry !== undefined) yield await recentTarget(pass, entry, undefined);
}

/**
 * What an entry of a tag's history holds; one that ended long ago is removed. The newest holds as long as nothing newer
 * comes, a deletion nothing.
 */
async function recentTarget(
  pass: PassContext,
  entry: StoredRecord<TagHistoryRecord>,
  newerMs: number | undefined,
): Promise<Digest | undefined> {
  const { digest, atMs } = entry.value;
  if (newerMs === undefined && digest !== undefined) return digest;
  const ageMs = pass.clock.nowMs() - (newerMs ?? atMs);
  if (ageMs > HISTORY_MS) {
    await pass.records.delete(entry, { expect: { version: entry.version } });
    pass.collected.notes += 1;
  }
  return ageMs < pass.ages.undeleteMs ? digest : undefined;
}

interface Review {
  readonly repository: string;
  readonly roots: ReadonlySet<Digest>;
  /** Tags were read after this moment. */
  readonly sinceMs: number;
}

async function reviewManifest(
  pass: PassContext,
  { repository, roots, sinceMs }: Review,
  record: StoredRecord<ManifestRecord>,
): Promise<void> {
  const { records, clock, ages } = pass;
  const digest = record.sort.slice('MAN#'.length) as Digest;
  const { doomedMs, ...value } = record.value;
  const nowMs = clock.nowMs();
  const unchanged = { version: record.version };
  const isYoung = nowMs - Math.max(value.pushedMs, value.usedMs ?? 0) < ages.untaggedMs;
  const isNeeded =
    isYoung ||
    roots.has(digest) ||
    (await isNamed(pass, repository, digest, 'by others')) ||
    (value.subject !== undefined && (await isStored(pass, repository, value.subject)));
  if (isNeeded) {
    if (doomedMs !== undefined) await records.put(record, value, { expect: unchanged });
  } else if (doomedMs === undefined) {
    await records.put(record, { ...value, doomedMs: nowMs }, { expect: unchanged });
  } else if (nowMs - doomedMs >= DOOMED_MS && doomedMs < sinceMs) {
    // Chosen before the tags were read. A tag given since came with a new version of this record.
    const { subject } = value;
    const result = await records.transact([
      { op: 'delete', key: record, expect: unchanged },
      ...(subject === undefined
        ? []
        : [{ op: 'delete', key: recordKey.referrer(repository, subject, digest) } as const]),
    ]);
    if (result.outcome === 'written') pass.collected.manifests += 1;
  }
}

/**
 * No tag holds what came from an upstream. A manifest that nobody asked for in so long is chosen, and goes when nobody
 * does in as long again: asking for a chosen one is what writes a use down. What is beyond the bytes that the cache may
 * hold is chosen at once.
 */
async function reviewCached(
  pass: PassContext,
  repository: string,
  keepMs: number,
  record: StoredRecord<ManifestRecord>,
): Promise<void> {
  const { records, clock, caches } = pass;
  const { doomedMs, pushedMs, usedMs = 0, subject } = record.value;
  const nowMs = clock.nowMs();
  if (doomedMs === undefined) {
    if (nowMs - Math.max(pushedMs, usedMs) < keepMs) return;
    await records.put(record, { ...record.value, doomedMs: nowMs }, { expect: { version: record.version } });
    return;
  }
  if (nowMs - doomedMs < Math.max(keepMs, DOOMED_MS)) return;
  const digest = record.sort.slice('MAN#'.length) as Digest;
  const isNeeded =
    pass.pinned.get(repository)?.has(digest) === true ||
    (await isNamed(pass, repository, digest, 'by others')) ||
    (subject !== undefined && (await isStored(pass, repository, subject)));
  if (isNeeded) return;
  if ((await caches?.evict(repository, digest, record.version)) === true) pass.collected.manifests += 1;
}

async function reviewEdge(pass: PassContext, repository: string, edge: StoredRecord<EdgeRecord>): Promise<void> {
  if (pass.clock.nowMs() - edge.value.atMs < SETTLED_MS) return;
  if (await isStored(pass, repository, edgeOwner(edge))) return;
  const result = await pass.records.delete(edge, { expect: { version: edge.version } });
  if (result.outcome === 'written') pass.collected.notes += 1;
}

async function reviewLink(pass: PassContext, repository: string, record: StoredRecord<LinkRecord>): Promise<void> {
  const { records, clock } = pass;
  const nowMs = clock.nowMs();
  const { sizeBytes, state, leaseUntilMs, doomedMs = 0 } = record.value;
  if (state === 'live' && leaseUntilMs > nowMs) return;
  const digest = record.sort.slice('LINK#'.length) as Digest;
  const unchanged = { version: record.version };
  if (await isNamed(pass, repository, digest)) {
    const value: LinkRecord = { sizeBytes, state: 'live', leaseUntilMs };
    if (state === 'doomed') await records.put(record, value, { expect: unchanged });
  } else if (state === 'live') {
    const value: LinkRecord = { sizeBytes, state: 'doomed', leaseUntilMs, doomedMs: nowMs };
    await records.put(record, value, { expect: unchanged });
  } else if (nowMs - doomedMs >= DOOMED_MS) {
    const result = await records.delete(record, { expect: unchanged });
    if (result.outcome === 'written') pass.collected.links += 1;
  }
}

/** Whether a stored manifest names the target, or one that may be about to be stored. */
async function isNamed(pass: PassContext, repository: string, target: Digest, by?: 'by others'): Promise<boolean> {
  for await (const edge of scan<EdgeRecord>(pass.records, repo(repository), `EDGE#${target}#`)) {
    const owner = edgeOwner(edge);
    if (by === 'by others' && owner === target) continue;
    if (pass.clock.nowMs() - edge.value.atMs < SETTLED_MS) return true;
    if (await isStored(pass, repository, owner)) return true;
  }
  return false;
}

/** Stored, or deleted so lately that it can be brought back. */
async function isStored({ records }: PassContext, repository: string, manifest: Digest): Promise<boolean> {
  if ((await records.get(recordKey.manifest(repository, manifest))) !== undefined) return true;
  return (await records.get(recordKey.trash(repository, manifest))) !== undefined;
}

function edgeOwner({ sort }: { readonly sort: string }): Digest {
  return sort.slice(sort.lastIndexOf('#') + 1) as Digest;
}
