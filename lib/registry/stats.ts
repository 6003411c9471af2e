/** What the registry holds, and what it saves by keeping every blob once. Reads everything, writes nothing. */
import type { Digest } from '../oci/index.js';
import { parseManifestDocument } from '../oci/index.js';
import type { ContentStore, RecordStore } from '../store/index.js';
import { scan } from './collector/context.js';
import { CATALOG, type LinkRecord, type ManifestRecord, repo } from './records.js';
import { referencesOf } from './references.js';

export interface RegistryStats {
  readonly repositories: number;
  readonly tags: number;
  readonly manifests: number;
  /** Different blobs that repositories link. */
  readonly blobs: number;
  /** If every image kept its own copy of all it names. */
  readonly logicalBytes: number;
  /** Of the blobs that repositories link, each once, and of manifests. */
  readonly imageBytes: number;
  /** Everything that lies in the blob store: images, and what builds keep. */
  readonly storedBytes: number;
  /** Part of the logical bytes that need not be stored, 0 to 1. */
  readonly saving: number;
}

export interface StatsDeps {
  readonly records: RecordStore;
  readonly content: Pick<ContentStore, 'blobs' | 'read'>;
}

export async function registryStats({ records, content }: StatsDeps): Promise<RegistryStats> {
  const counts = { repositories: 0, tags: 0, manifests: 0, logicalBytes: 0, manifestBytes: 0, storedBytes: 0 };
  const blobs = new Map<Digest, number>();
  for await (const { sort: name } of scan(records, CATALOG, '')) {
    counts.repositories += 1;
    for await (const _ of scan(records, repo(name), 'TAG#')) counts.tags += 1;
    for await (const { sort, value } of scan<LinkRecord>(records, repo(name), 'LINK#')) {
      blobs.set(sort.slice('LINK#'.length) as Digest, value.sizeBytes);
    }
    for await (const { sort, value } of scan<ManifestRecord>(records, repo(name), 'MAN#')) {
      counts.manifests += 1;
      if (value.body !== undefined) counts.manifestBytes += value.sizeBytes;
      counts.logicalBytes += value.sizeBytes + (await namedBytes(content, sort.slice('MAN#'.length) as Digest, value));
    }
  }
  for await (const { sizeBytes } of content.blobs.list()) counts.storedBytes += sizeBytes;
  const { manifestBytes, ...rest } = counts;
  const imageBytes = [...blobs.values()].reduce((sum, size) => sum + size, manifestBytes);
  const saving = counts.logicalBytes === 0 ? 0 : Math.max(0, 1 - imageBytes / counts.logicalBytes);
  return { ...rest, blobs: blobs.size, imageBytes, saving };
}

/** Bytes of the blobs a manifest names; what an index names counts with its own manifests. */
async function namedBytes(content: StatsDeps['content'], digest: Digest, record: ManifestRecord): Promise<number> {
  const bytes = record.body === undefined ? await content.read(digest) : Buffer.from(record.body, 'base64');
  if (bytes === undefined) return 0;
  const references = referencesOf(parseManifestDocument(bytes, record.mediaType));
  return references.reduce((sum, { descriptor, kind }) => sum + (kind === 'blob' ? descriptor.size : 0), 0);
}
