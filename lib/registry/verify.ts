/**
 * Reads everything back: every stored blob must hash to its digest, every link must lead to bytes, every manifest must
 * hash to its digest and find all it names. Runs beside pushes and the collector: what looks wrong is looked at twice.
 * What is damaged is taken out of use when that is asked for (repair.ts).
 */
import { type Digest, Digester, digestAlgorithm, digestOf, parseManifestDocument } from '../oci/index.js';
import {
  type BlobKeyRecord,
  blobKeyRecordKey,
  type BlobRecord,
  blobRecordKey,
  type ContentStore,
  type ListedBlob,
  type RecordStore,
} from '../store/index.js';
import { scan } from './collector/context.js';
import { CATALOG, type LinkRecord, type ManifestRecord, recordKey, repo } from './records.js';
import { referencesOf } from './references.js';
import { forgetBlob, forgetLink } from './repair.js';

export interface VerifyTotals {
  readonly blobs: number;
  readonly bytes: number;
  readonly manifests: number;
  readonly problems: number;
}

export type VerifyEvent =
  | { readonly type: 'progress'; readonly totals: VerifyTotals }
  | {
      readonly type: 'problem';
      readonly kind: 'blob-corrupt' | 'blob-missing' | 'manifest-corrupt' | 'manifest-incomplete';
      readonly digest: Digest;
      readonly repository?: string;
      readonly message: string;
      /** It is out of use: whoever has it may send it again. */
      readonly isRepaired?: true;
    }
  /** Always the last. */
  | { readonly type: 'finished'; readonly totals: VerifyTotals };

type Problem = Extract<VerifyEvent, { type: 'problem' }>;

export interface VerifyDeps {
  readonly records: RecordStore;
  readonly content: Pick<ContentStore, 'blobs' | 'read'>;
}

/** Between two reports of progress. */
const PROGRESS_BYTES = 256 * 1024 * 1024;
const PROGRESS_ITEMS = 500;

export interface VerifyOptions {
  /** Take damaged blobs out of use, so that they can be sent again. Off by default. */
  readonly repair?: boolean;
}

export async function* verifyRegistry(
  deps: VerifyDeps,
  { repair = false }: VerifyOptions = {},
): AsyncGenerator<VerifyEvent> {
  const totals = { blobs: 0, bytes: 0, manifests: 0, problems: 0 };
  const reported = { items: 0, bytes: 0 };
  const found = (problem: Problem | undefined): readonly VerifyEvent[] => {
    if (problem !== undefined) totals.problems += 1;
    const items = totals.blobs + totals.manifests;
    const isDue = items - reported.items >= PROGRESS_ITEMS || totals.bytes - reported.bytes >= PROGRESS_BYTES;
    if (isDue) Object.assign(reported, { items, bytes: totals.bytes });
    const progress: readonly VerifyEvent[] = isDue ? [{ type: 'progress', totals: { ...totals } }] : [];
    return problem === undefined ? progress : [problem, ...progress];
  };
  for await (const object of deps.content.blobs.list()) {
    const digest = await digestAt(deps, object);
    if (digest === undefined) continue;
    const problem = await blobProblem(deps, digest, object);
    if (repair && problem !== undefined) await forgetBlob(deps, digest, object.key);
    totals.blobs += 1;
    totals.bytes += object.sizeBytes;
    yield* found(repair ? repaired(problem) : problem);
  }
  for await (const { sort: repository } of scan(deps.records, CATALOG, '')) {
    for await (const { sort } of scan<LinkRecord>(deps.records, repo(repository), 'LINK#')) {
      const digest = sort.slice('LINK#'.length) as Digest;
      const problem = await linkProblem(deps, repository, digest);
      if (repair && problem !== undefined) await forgetLink(deps, repository, digest);
      yield* found(repair ? repaired(problem) : problem);
    }
    for await (const { sort } of scan<ManifestRecord>(deps.records, repo(repository), 'MAN#')) {
      totals.manifests += 1;
      yield* found(await manifestProblem(deps, repository, sort.slice('MAN#'.length) as Digest));
    }
  }
  yield { type: 'finished', totals };
}

function repaired(problem: Problem | undefined): Problem | undefined {
  return problem === undefined ? undefined : { ...problem, isRepaired: true };
}

/** Undefined for bytes that no blob record leads to: the collector will take them. */
async function digestAt({ records }: VerifyDeps, { key, digest }: ListedBlob): Promise<Digest | undefined> {
  const named = (await records.get<BlobKeyRecord>(blobKeyRecordKey(key)))?.value.digest ?? digest;
  const record = named === undefined ? undefined : await records.get<BlobRecord>(blobRecordKey(named));
  return record?.value.key === key ? named : undefined;
}

async function blobProblem(deps: VerifyDeps, digest: Digest, object: ListedBlob): Promise<Problem | undefined> {
  const stream = await deps.content.blobs.open(object.key);
  if (stream === undefined) return undefined;
  const digester = new Digester(digestAlgorithm(digest));
  for await (const chunk of stream) digester.update(chunk as Buffer);
  const actual = digester.digest();
  if (actual === digest || (await digestAt(deps, object)) === undefined) return undefined;
  const message = `the ${digester.sizeBytes} bytes of blob ${digest} hash to ${actual}`;
  return { type: 'problem', kind: 'blob-corrupt', digest, message };
}

async function linkProblem(deps: VerifyDeps, repository: string, digest: Digest): Promise<Problem | undefined> {
  const isFine = async (): Promise<boolean> => {
    if ((await deps.records.get(recordKey.link(repository, digest))) === undefined) return true;
    const record = await deps.records.get<BlobRecord>(blobRecordKey(digest));
    return record !== undefined && (await deps.content.blobs.stat(record.value.key)) !== undefined;
  };
  if ((await isFine()) || (await isFine())) return undefined;
  const message = `${repository} links blob ${digest}, and its bytes are not there`;
  return { type: 'problem', kind: 'blob-missing', digest, repository, message };
}

async function manifestProblem(deps: VerifyDeps, repository: string, digest: Digest): Promise<Problem | undefined> {
  const record = await deps.records.get<ManifestRecord>(recordKey.manifest(repository, digest));
  if (record === undefined) return undefined;
  const { body, mediaType } = record.value;
  const bytes = body === undefined ? await deps.content.read(digest) : Buffer.from(body, 'base64');
  const problem = { type: 'problem', digest, repository } as const;
  if (bytes === undefined || digestOf(bytes, digestAlgorithm(digest)) !== digest) {
    const message = `the body of ${repository}@${digest} ${bytes === undefined ? 'is not there' : 'hashes to something else'}`;
    return { ...problem, kind: 'manifest-corrupt', message };
  }
  // What a cache lacks is fetched when somebody asks for it; what is sparse was taken so.
  if (record.value.isCached === true || record.value.isSparse === true) return undefined;
  for (const { descriptor, kind, isOptional } of referencesOf(parseManifestDocument(bytes, mediaType))) {
    const keys = [
      ...(kind === 'manifest' ? [] : [recordKey.link(repository, descriptor.digest)]),
      ...(kind === 'blob' ? [] : [recordKey.manifest(repository, descriptor.digest)]),
    ];
    const there = await Promise.all(keys.map((key) => deps.records.get(key)));
    if (isOptional || there.some((each) => each !== undefined)) continue;
    const again = await deps.records.get(recordKey.manifest(repository, digest));
    if (again === undefined) return undefined;
    const message = `${repository}@${digest} names ${descriptor.digest}, which is not in the repository`;
    return { ...problem, kind: 'manifest-incomplete', message };
  }
  return undefined;
}
