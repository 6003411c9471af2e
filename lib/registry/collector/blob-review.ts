/**
 * Stored bytes: which of them no blob record leads to, and which blobs nobody holds. A blob record is chosen first and
 * its holders are read again afterwards; then the record goes, and only after it the bytes, at the key it named. Bytes
 * without a record that were never adopted are barred from adoption before they are taken.
 */
import type { Digest } from '../../oci/index.js';
import {
  BLOB_HOLDER,
  blobKeyRecordKey,
  blobRecordKey,
  type BlobKeyRecord,
  type BlobRecord,
  type HolderRecord,
  type ListedBlob,
  type StoredRecord,
} from '../../store/index.js';
import { HOLDER, holders, recordKey } from '../records.js';
import { type PassContext, scan, SETTLED_MS } from './context.js';

/** Long after any writer of the bytes has given up. */
const BARRED_MS = 30 * 24 * 60 * 60 * 1000;

/** Yields after every stored object. */
export async function* reviewBlobs(pass: PassContext): AsyncGenerator<void> {
  for await (const object of pass.content.blobs.list()) {
    await reviewObject(pass, object);
    yield;
  }
}

async function reviewObject(pass: PassContext, object: ListedBlob): Promise<void> {
  const { records, content } = pass;
  const key = blobKeyRecordKey(object.key);
  const named = await records.get<BlobKeyRecord>(key);
  const digest = named === undefined ? await olderDigest(pass, object) : named.value.digest;
  if (digest === undefined) {
    if (named === undefined && !(await bar(pass, object))) return;
    await content.blobs.delete(object.key);
    pass.collected.orphans += 1;
    return;
  }
  const record = await records.get<BlobRecord>(blobRecordKey(digest));
  if (record?.value.key === object.key) return reviewBlob(pass, digest, record);
  // It was the blob's once; nothing leads back to it.
  await records.delete(key);
  await content.blobs.delete(object.key);
  pass.collected.orphans += 1;
}

async function reviewBlob(pass: PassContext, digest: Digest, record: StoredRecord<BlobRecord>): Promise<void> {
  const { records, content, clock } = pass;
  const { key, sizeBytes, state, leaseUntilMs = 0 } = record.value;
  if (state === 'live' && (leaseUntilMs > clock.nowMs() || (await isHeld(pass, digest)))) return;
  const doomed: BlobRecord = { ...record.value, state: 'doomed' };
  const chosen = await records.put(record, doomed, { expect: { version: record.version } });
  if (chosen.outcome === 'lost') return;
  const unchanged = { expect: { version: chosen.version } };
  if (await isHeld(pass, digest)) {
    const live: BlobRecord = { ...record.value, state: 'live' };
    await records.put(record, live, unchanged);
    return;
  }
  if ((await records.delete(record, unchanged)).outcome === 'lost') return;
  await records.delete(blobKeyRecordKey(key));
  await content.blobs.delete(key);
  pass.collected.blobs += 1;
  pass.collected.blobBytes += sizeBytes;
}

/** A repository that holds the blob must link it, or be about to; holders that do not are taken away. */
async function isHeld(pass: PassContext, digest: Digest): Promise<boolean> {
  const { records, clock } = pass;
  for await (const holder of scan<HolderRecord>(records, holders(digest), BLOB_HOLDER)) {
    if (!holder.sort.startsWith(HOLDER)) return true;
    if (clock.nowMs() - holder.value.atMs < SETTLED_MS) return true;
    const link = recordKey.link(holder.sort.slice(HOLDER.length), digest);
    if ((await records.get(link)) !== undefined) return true;
    const result = await records.delete(holder, { expect: { version: holder.version } });
    if (result.outcome === 'written') pass.collected.notes += 1;
  }
  return false;
}

/** Of a blob from before keys were recorded, where the store can tell. */
async function olderDigest({ records }: PassContext, { key, digest }: ListedBlob): Promise<Digest | undefined> {
  if (digest === undefined) return undefined;
  const record = await records.get<BlobRecord>(blobRecordKey(digest));
  if (record?.value.key !== key) return undefined;
  const value: BlobKeyRecord = { digest };
  await records.put(blobKeyRecordKey(key), value, { expect: 'absent' });
  return digest;
}

/** False when the bytes are young, or someone adopted them just now. */
async function bar({ records, clock, ages }: PassContext, { key, modifiedMs }: ListedBlob): Promise<boolean> {
  const nowMs = clock.nowMs();
  if (nowMs - modifiedMs < ages.orphanMs) return false;
  const barred: BlobKeyRecord = {};
  const options = { expect: 'absent', expiresAtMs: nowMs + BARRED_MS } as const;
  return (await records.put(blobKeyRecordKey(key), barred, options)).outcome === 'written';
}
