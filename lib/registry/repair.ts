/**
 * Damaged blobs are taken out of use: while a blob is known, whoever has it is told that it need not be sent, and its
 * damage would stay for ever. Afterwards a push, a build or a cache brings it anew.
 */
import type { Digest } from '../oci/index.js';
import { type BlobKey, blobKeyRecordKey, type BlobRecord, blobRecordKey } from '../store/index.js';
import type { VerifyDeps } from './verify.js';
import { recordKey } from './records.js';

/** The record first and the bytes last, as the collector does it. Does nothing when other bytes are the blob's by now. */
export async function forgetBlob({ records, content }: VerifyDeps, digest: Digest, key: BlobKey): Promise<void> {
  const record = await records.get<BlobRecord>(blobRecordKey(digest));
  if (record?.value.key !== key) return;
  if ((await records.delete(record, { expect: { version: record.version } })).outcome === 'lost') return;
  await records.delete(blobKeyRecordKey(key));
  await content.blobs.delete(key);
}

/** The link of a repository to a blob whose bytes are not there. */
export async function forgetLink(deps: VerifyDeps, repository: string, digest: Digest): Promise<void> {
  const blob = await deps.records.get<BlobRecord>(blobRecordKey(digest));
  if (blob !== undefined) await forgetBlob(deps, digest, blob.value.key);
  const link = await deps.records.get(recordKey.link(repository, digest));
  if (link !== undefined) await deps.records.delete(link, { expect: { version: link.version } });
}
