/** Referrers: which manifests of a repository name a given one as their subject (distribution-spec, Listing Referrers). */
import { type Descriptor, type Digest, type ManifestDocument, parseDigest } from '../oci/index.js';
import type { RecordStore, RecordWrite } from '../store/index.js';
import type { Manifests } from './manifests.js';
import { recordKey, type ReferrerRecord, repo } from './records.js';
import { readPage } from './repositories.js';

export interface ReferrersOptions {
  readonly artifactType?: string;
  /** Exclusive, from the page before. */
  readonly after?: string;
}

export interface ReferrersPage {
  readonly descriptors: readonly Descriptor[];
  /** Where the next page starts; undefined at the end. */
  readonly next?: string;
}

/** Annotations up to here are kept in the referrer record; beyond, they are read from the manifest. */
const INLINE_ANNOTATIONS_BYTES = 64 * 1024;
/** A page is an image index, and clients read at most about 4 MiB of one. */
const PAGE_BYTES = 3_500_000;
const PAGE_RECORDS = 500;

export class Referrers {
  constructor(private readonly deps: { readonly records: RecordStore; readonly manifests: Manifests }) {}

  async list(repository: string, subject: Digest, options: ReferrersOptions = {}): Promise<ReferrersPage> {
    const from = { partition: repo(repository), prefix: `REF#${subject}#` };
    const descriptors: Descriptor[] = [];
    let bytes = 0;
    let after = options.after;
    for (;;) {
      const page = await readPage(
        this.deps.records,
        from,
        { limit: PAGE_RECORDS, ...(after === undefined ? {} : { after }) },
        (sort, value: ReferrerRecord) => ({ sort, value }),
      );
      for (const { sort, value } of page.items) {
        if (options.artifactType !== undefined && value.artifactType !== options.artifactType) continue;
        const descriptor = await this.describe(repository, parseDigest(sort), value);
        bytes += JSON.stringify(descriptor).length;
        if (bytes > PAGE_BYTES && descriptors.length > 0)
          return { descriptors, ...(after === undefined ? {} : { next: after }) };
        descriptors.push(descriptor);
        after = sort;
      }
      after = page.items.at(-1)?.sort;
      if (!page.more) return { descriptors };
      if (descriptors.length >= PAGE_RECORDS && after !== undefined) return { descriptors, next: after };
    }
  }

  private async describe(repository: string, digest: Digest, record: ReferrerRecord): Promise<Descriptor> {
    const annotations = record.annotationsInManifest
      ? await this.deps.manifests.annotations(repository, digest)
      : record.annotations;
    return {
      mediaType: record.mediaType,
      digest,
      size: record.sizeBytes,
      ...(record.artifactType === undefined ? {} : { artifactType: record.artifactType }),
      ...(annotations === undefined ? {} : { annotations }),
    };
  }
}

/** The write that lists a manifest under its subject; undefined when it has none. */
export function referrerWrite(
  repository: string,
  document: ManifestDocument,
  manifest: { readonly digest: Digest; readonly mediaType: string; readonly sizeBytes: number },
): RecordWrite | undefined {
  const referrer = referrerOf(document, manifest);
  if (referrer === undefined) return undefined;
  const { subject, descriptor } = referrer;
  const { mediaType, digest, size: sizeBytes, artifactType, annotations } = descriptor;
  const isLarge = annotations !== undefined && JSON.stringify(annotations).length > INLINE_ANNOTATIONS_BYTES;
  const value: ReferrerRecord = {
    mediaType,
    sizeBytes,
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(annotations === undefined || isLarge ? {} : { annotations }),
    ...(isLarge ? { annotationsInManifest: true } : {}),
  };
  return { op: 'put', key: recordKey.referrer(repository, subject, digest), value };
}

/** What a manifest refers to, and how a listing shows it there; undefined when it has no subject. */
export function referrerOf(
  document: ManifestDocument,
  manifest: { readonly digest: Digest; readonly mediaType: string; readonly sizeBytes: number },
): { readonly subject: Digest; readonly descriptor: Descriptor } | undefined {
  const { subject, annotations } = document.kind === 'manifest' ? document.manifest : document.index;
  if (subject === undefined) return undefined;
  const artifactType = artifactTypeOf(document);
  const descriptor: Descriptor = {
    mediaType: manifest.mediaType,
    digest: manifest.digest,
    size: manifest.sizeBytes,
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(annotations === undefined ? {} : { annotations }),
  };
  return { subject: subject.digest, descriptor };
}

/** The manifest's own, else the config's media type; an index without one has none. */
function artifactTypeOf(document: ManifestDocument): string | undefined {
  const own = document.kind === 'manifest' ? document.manifest.artifactType : document.index.artifactType;
  if (typeof own === 'string' && own !== '') return own;
  return document.kind === 'manifest' ? document.manifest.config.mediaType : undefined;
}
