/** What must be true whenever nobody is in the midst of anything. */
import { type Digest, digestOf, parseManifestDocument } from '../../lib/oci/index.js';
import { type LinkRecord, type ManifestRecord, recordKey, repo, type TagRecord } from '../../lib/registry/records.js';
import { referencesOf } from '../../lib/registry/references.js';
import { type BlobRecord, blobRecordKey, type BlobStore, type RecordStore } from '../../lib/store/index.js';
import { REPOSITORIES } from './clients.js';

export interface Stores {
  readonly records: RecordStore;
  readonly blobs: BlobStore;
}

/** Sentences about what is wrong; none when all is well. Every stored manifest is fully pullable, and tags lead somewhere. */
export async function violations(stores: Stores, repositories: readonly string[] = REPOSITORIES): Promise<string[]> {
  const wrong: string[] = [];
  for (const repository of repositories) {
    for (const { sort, value } of await all<TagRecord>(stores, repo(repository), 'TAG#')) {
      const found = await stores.records.get(recordKey.manifest(repository, value.digest));
      if (found === undefined) wrong.push(`${repository}:${sort} points at ${value.digest}, which is not stored`);
    }
    for (const { sort, value } of await all<ManifestRecord>(stores, repo(repository), 'MAN#')) {
      wrong.push(...(await unpullable(stores, repository, sort.slice('MAN#'.length) as Digest, value)));
    }
  }
  return wrong;
}

async function unpullable(
  stores: Stores,
  repository: string,
  digest: Digest,
  record: ManifestRecord,
): Promise<string[]> {
  const bytes = Buffer.from(record.body ?? '', 'base64');
  if (digestOf(bytes) !== digest) return [`${repository}@${digest} has another body`];
  const wrong: string[] = [];
  for (const { descriptor, kind } of referencesOf(parseManifestDocument(bytes, record.mediaType))) {
    const what = `${repository}@${digest} names ${kind} ${descriptor.digest}`;
    if (kind === 'blob') {
      const problem = await blobProblem(stores, repository, descriptor.digest);
      if (problem !== undefined) wrong.push(`${what}: ${problem}`);
    } else if ((await stores.records.get(recordKey.manifest(repository, descriptor.digest))) === undefined) {
      wrong.push(`${what}, which is not stored`);
    }
  }
  return wrong;
}

async function blobProblem(
  { records, blobs }: Stores,
  repository: string,
  digest: Digest,
): Promise<string | undefined> {
  if ((await records.get<LinkRecord>(recordKey.link(repository, digest))) === undefined) return 'not linked';
  const record = await records.get<BlobRecord>(blobRecordKey(digest));
  if (record === undefined) return 'no blob';
  const stream = await blobs.open(record.value.key);
  if (stream === undefined) return 'no bytes';
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return digestOf(Buffer.concat(chunks)) === digest ? undefined : 'other bytes';
}

export async function all<T extends object>({ records }: Stores, partition: string, prefix: string) {
  return (await records.query<T>(partition, { prefix, limit: 1000 })).records;
}

/** What is left of content when nobody needs any. */
export async function residue(stores: Stores, repositories: readonly string[] = REPOSITORIES): Promise<string[]> {
  const left: string[] = [];
  for (const repository of repositories) {
    for (const kind of ['MAN#', 'LINK#', 'EDGE#', 'TAG#', 'TAGLOG#', 'TRASH#', 'REF#']) {
      for (const { sort } of await all(stores, repo(repository), kind)) left.push(`${repository} ${sort}`);
    }
  }
  for await (const { key } of stores.blobs.list()) left.push(key);
  for await (const id of stores.blobs.uploads.stale(Infinity)) left.push(`upload ${id}`);
  return left;
}
