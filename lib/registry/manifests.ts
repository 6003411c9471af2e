/**
 * Manifests of a repository: stored byte for byte, and only when everything they name is there. A push writes edges
 * first, then reads every link strongly, then stores manifest, tags and referrer in one small transaction; so at no
 * moment can a collector find a blob unneeded that a stored manifest names.
 */
import {
  type Descriptor,
  type Digest,
  digestAlgorithm,
  digestOf,
  type ManifestDocument,
  parseManifestDocument,
} from '../oci/index.js';
import type { Clock, ContentStore, RecordStore, RecordWrite } from '../store/index.js';
import { type Blobs, FRESH_MS } from './blobs.js';
import { mapBounded } from './bounded.js';
import { checkTag, digestMismatch, manifestBlobUnknown, manifestInvalid } from './errors.js';
import { type EdgeRecord, type ManifestRecord, recordKey } from './records.js';
import { type ManifestReference, referencesOf, subjectOf } from './references.js';
import { referrerWrite } from './referrers.js';
import type { Repositories } from './repositories.js';
import type { RepositoryPatterns } from './repository-patterns.js';
import type { Tags } from './tags.js';
import type { StoredManifest } from './types.js';

export interface ManifestsDeps {
  readonly records: RecordStore;
  readonly content: ContentStore;
  readonly clock: Clock;
  readonly repositories: Repositories;
  readonly blobs: Blobs;
  readonly tags: Tags;
  /** Where a manifest may name what is not there (a mirror of some platforms only). */
  readonly sparse: Pick<RepositoryPatterns, 'covers'>;
}

export interface PutManifestOptions {
  /** Refused with DIGEST_INVALID when the bytes hash to something else. Absent: sha256 of the bytes. */
  readonly digest?: Digest;
  /** At most MAX_TAGS. */
  readonly tags?: readonly string[];
  /** It comes from an upstream: what it names is fetched from there when somebody asks for it. */
  readonly isCached?: boolean;
  /** It was taken without all that it names before. */
  readonly isSparse?: boolean;
}

export interface PutManifestResult {
  readonly descriptor: Descriptor;
  readonly subject?: Digest;
}

/** distribution-spec: at least 4 MB should be accepted, more may be refused. Bytes. */
export const MAX_MANIFEST_BYTES = 4 * 1024 * 1024;
/** Tags of one push; they are written in one transaction of at most 100 records, two for each tag. */
export const MAX_TAGS = 40;

/** Bodies up to here lie in the record itself: 256 KiB are 341 KiB in base64, and a record holds 380 KiB. */
const INLINE_BYTES = 256 * 1024;
const FAN_OUT = 16;
/** How long what was deleted, or what a tag pointed at, can be brought back. */
export const UNDELETE_MS = 7 * 24 * 60 * 60 * 1000;
/** Indexes in indexes. */
const MAX_DEPTH = 8;

export class Manifests {
  constructor(private readonly deps: ManifestsDeps) {}

  async get(repository: string, digest: Digest): Promise<StoredManifest | undefined> {
    const record = await this.record(repository, digest);
    return record === undefined ? undefined : this.whole(digest, record);
  }

  /** What a manifest is, without its bytes. */
  async stat(repository: string, digest: Digest): Promise<Descriptor | undefined> {
    const record = await this.record(repository, digest);
    return record === undefined ? undefined : { mediaType: record.mediaType, digest, size: record.sizeBytes };
  }

  async annotations(repository: string, digest: Digest): Promise<Readonly<Record<string, string>> | undefined> {
    const stored = await this.get(repository, digest);
    if (stored === undefined) return undefined;
    const document = parseManifestDocument(stored.bytes, stored.mediaType);
    return (document.kind === 'manifest' ? document.manifest : document.index).annotations;
  }

  /**
   * @param mediaType the Content-Type of the push; when empty, the document's own
   * @throws AppError MANIFEST_INVALID, MANIFEST_BLOB_UNKNOWN, DIGEST_INVALID, MANIFEST_TOO_LARGE
   */
  async put(
    repository: string,
    bytes: Uint8Array,
    mediaType: string,
    options: PutManifestOptions = {},
  ): Promise<PutManifestResult> {
    const tags = checkedTags(options.tags ?? []);
    if (bytes.length > MAX_MANIFEST_BYTES) {
      throw manifestInvalid(`the manifest has ${bytes.length} bytes`, `at most ${MAX_MANIFEST_BYTES}`);
    }
    const document = parseManifestDocument(bytes, mediaType);
    const digest = checkedDigest(bytes, options.digest);
    const references = referencesOf(document);
    const { isCached = false } = options;
    const isSparse = await this.prepare(repository, digest, bytes, references, options);
    const marks = { ...(isCached ? { isCached } : {}), ...(isSparse ? { isSparse } : {}) };
    const record: ManifestRecord = { ...this.recordOf(document, bytes), ...marks };
    await this.store(repository, digest, record, document, tags);
    const subject = subjectOf(document);
    return {
      descriptor: { mediaType: record.mediaType, digest, size: bytes.length },
      ...(subject === undefined ? {} : { subject }),
    };
  }

  /**
   * The manifest is gone at once, with every tag that points at it; for `UNDELETE_MS` it can be brought back. Its edges
   * stay for the collector, because a push of the same manifest may be counting on them.
   * @returns false when there is none
   */
  async delete(repository: string, digest: Digest): Promise<boolean> {
    const key = recordKey.manifest(repository, digest);
    for (;;) {
      const record = await this.deps.records.get<ManifestRecord>(key);
      if (record === undefined) return false;
      await this.deps.tags.deleteTagsOf(repository, digest);
      const { subject } = record.value;
      const expiresAtMs = this.deps.clock.nowMs() + UNDELETE_MS;
      const result = await this.deps.records.transact([
        // A push of the same manifest meanwhile raises the version: then its tags are taken away as well.
        { op: 'delete', key, expect: { version: record.version } },
        { op: 'put', key: recordKey.trash(repository, digest), value: record.value, expiresAtMs },
        ...(subject === undefined
          ? []
          : [{ op: 'delete', key: recordKey.referrer(repository, subject, digest) } as const]),
      ]);
      if (result.outcome === 'written') return true;
    }
  }

  /**
   * Takes a manifest of a cache away, with its tags and without undelete: it can be fetched again.
   * @param version of its record; somebody who asked for it meanwhile has raised that
   * @returns false when it stays
   */
  async evict(repository: string, digest: Digest, version: number): Promise<boolean> {
    const key = recordKey.manifest(repository, digest);
    const record = await this.deps.records.get<ManifestRecord>(key);
    if (record?.version !== version) return false;
    await this.deps.tags.deleteTagsOf(repository, digest);
    const { subject } = record.value;
    const result = await this.deps.records.transact([
      { op: 'delete', key, expect: { version } },
      ...(subject === undefined
        ? []
        : [{ op: 'delete', key: recordKey.referrer(repository, subject, digest) } as const]),
    ]);
    return result.outcome === 'written';
  }

  /**
   * Brings back a manifest that was deleted, with the deleted ones it names, and points a tag at it.
   * @returns false when it is gone for good
   */
  async restore(repository: string, digest: Digest, tag?: string, depth = 0): Promise<boolean> {
    const tags = tag === undefined ? [] : [tag];
    const live = await this.record(repository, digest);
    if (live !== undefined && tag === undefined) return true;
    const record = live ?? (await this.deps.records.get<ManifestRecord>(recordKey.trash(repository, digest)))?.value;
    const stored = record === undefined ? undefined : await this.whole(digest, record);
    if (stored === undefined || depth > MAX_DEPTH) return false;
    for (const { descriptor, kind } of referencesOf(parseManifestDocument(stored.bytes, stored.mediaType))) {
      if (kind !== 'blob') await this.restore(repository, descriptor.digest, undefined, depth + 1);
    }
    const { isCached = false, isSparse = false } = record ?? {};
    await this.put(repository, stored.bytes, stored.mediaType, { digest, tags, isCached, isSparse });
    return true;
  }

  /** The record; one that the collector has chosen is taken out of its hands, or lost to it. */
  private async record(repository: string, digest: Digest): Promise<ManifestRecord | undefined> {
    const key = recordKey.manifest(repository, digest);
    for (;;) {
      const record = await this.deps.records.get<ManifestRecord>(key);
      if (record?.value.doomedMs === undefined) return record?.value;
      const { doomedMs: _, ...rest } = record.value;
      const value: ManifestRecord = { ...rest, usedMs: this.deps.clock.nowMs() };
      const result = await this.deps.records.put(key, value, { expect: { version: record.version } });
      if (result.outcome === 'written') return value;
    }
  }

  private async whole(digest: Digest, { mediaType, body }: ManifestRecord): Promise<StoredManifest | undefined> {
    const bytes =
      body === undefined ? await this.deps.content.read(digest, MAX_MANIFEST_BYTES) : Buffer.from(body, 'base64');
    return bytes === undefined ? undefined : { digest, mediaType, bytes };
  }

  /**
   * Edges, and the body when it is too large for a record; then every link is seen to be alive.
   * @returns whether something is missing, where that is allowed
   */
  private async prepare(
    repository: string,
    digest: Digest,
    bytes: Uint8Array,
    references: readonly ManifestReference[],
    options: PutManifestOptions,
  ): Promise<boolean> {
    const isLarge = bytes.length > INLINE_BYTES;
    const targets = references.map(({ descriptor, kind }) => [descriptor.digest, kind] as const);
    if (isLarge) targets.push([digest, 'blob']);
    for (;;) {
      const atMs = this.deps.clock.nowMs();
      await mapBounded(targets, FAN_OUT, ([target, kind]) => {
        const edge: EdgeRecord = { kind: kind === 'blob' ? 'blob' : 'manifest', atMs };
        return this.deps.records.put(recordKey.edge(repository, target, digest), edge);
      });
      if (isLarge) {
        await this.deps.content.putBytes(bytes, { expected: digest });
        await this.deps.blobs.link(repository, digest);
      }
      const isWhole = options.isCached === true || (await this.checkReferences(repository, references, options));
      if (this.deps.clock.nowMs() - atMs < FRESH_MS) return !isWhole;
    }
  }

  /** @returns false when something is missing, and may be */
  private async checkReferences(
    repository: string,
    references: readonly ManifestReference[],
    { isSparse = false }: PutManifestOptions,
  ): Promise<boolean> {
    const missing: Digest[] = [];
    await mapBounded(references, FAN_OUT, async ({ descriptor, kind, isOptional }) => {
      const sizeBytes = await this.sizeOf(repository, descriptor.digest, kind);
      if (sizeBytes === undefined) {
        if (!isOptional) missing.push(descriptor.digest);
      } else if (sizeBytes !== descriptor.size) {
        throw manifestInvalid(
          `the manifest says ${descriptor.digest} has ${descriptor.size} bytes; it has ${sizeBytes}`,
        );
      }
    });
    if (missing.length === 0) return true;
    if (isSparse || (await this.deps.sparse.covers(repository))) return false;
    throw manifestBlobUnknown(repository, missing);
  }

  private async sizeOf(
    repository: string,
    digest: Digest,
    kind: ManifestReference['kind'],
  ): Promise<number | undefined> {
    const manifest = kind === 'blob' ? undefined : await this.stat(repository, digest);
    if (manifest !== undefined || kind === 'manifest') return manifest?.size;
    return (await this.deps.blobs.renew(repository, digest))?.sizeBytes;
  }

  private recordOf(document: ManifestDocument, bytes: Uint8Array): ManifestRecord {
    const subject = subjectOf(document);
    return {
      kind: document.kind,
      mediaType: (document.kind === 'manifest' ? document.manifest : document.index).mediaType,
      sizeBytes: bytes.length,
      ...(bytes.length > INLINE_BYTES ? {} : { body: Buffer.from(bytes).toString('base64') }),
      ...(subject === undefined ? {} : { subject }),
      pushedMs: this.deps.clock.nowMs(),
    };
  }

  private async store(
    repository: string,
    digest: Digest,
    record: ManifestRecord,
    document: ManifestDocument,
    tags: readonly string[],
  ): Promise<void> {
    const { mediaType, sizeBytes } = record;
    const referrer = referrerWrite(repository, document, { digest, mediaType, sizeBytes });
    const writes: readonly RecordWrite[] = [
      { op: 'put', key: recordKey.manifest(repository, digest), value: record },
      ...(referrer === undefined ? [] : [referrer]),
    ];
    for (;;) {
      const [pointing] = await Promise.all([
        Promise.all(tags.map((tag) => this.deps.tags.writes(repository, tag, digest))),
        this.deps.repositories.ensure(repository),
      ]);
      // A write that is lost is a collision with another one, or a tag that was moved meanwhile: again.
      if ((await this.deps.records.transact([...writes, ...pointing.flat()])).outcome === 'written') return;
    }
  }
}

function checkedTags(tags: readonly string[]): readonly string[] {
  const distinct = [...new Set(tags)];
  distinct.forEach(checkTag);
  if (distinct.length > MAX_TAGS) {
    throw manifestInvalid(`${distinct.length} tags in one push`, `at most ${MAX_TAGS}; push again for the rest`);
  }
  return distinct;
}

function checkedDigest(bytes: Uint8Array, expected: Digest | undefined): Digest {
  const actual = digestOf(bytes, expected === undefined ? 'sha256' : digestAlgorithm(expected));
  if (expected === undefined || expected === actual) return actual;
  throw digestMismatch(expected, actual);
}
