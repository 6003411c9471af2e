/**
 * Sends an image of ours, or a whole index, to another registry: only the blobs it lacks, mounted from its other
 * repositories where that is possible, manifests after what they name, their bytes unchanged; with what is attached to
 * them when that is asked for. May be broken off and done again; what arrived is not sent twice.
 */
import { AppError } from '../../errors/index.js';
import { type Descriptor, type Digest, type ManifestDocument, parseManifestDocument } from '../../oci/index.js';
import type { ByteSource, ContentStore } from '../../store/index.js';
import { mapBounded } from '../bounded.js';
import { referencesOf, subjectOf } from '../references.js';
import { referrerOf } from '../referrers.js';
import type { AttachedManifest, Images, StoredManifest } from '../types.js';
import type { UploadOutcome } from './blob-upload.js';
import { listUnderSubject } from './referrers-tag.js';
import type { RegistryClient } from './registry-client.js';

export interface PushImageDeps {
  readonly images: Pick<Images, 'manifest'>;
  readonly content: Pick<ContentStore, 'open' | 'stat'>;
  readonly client: RegistryClient;
  /** Where blobs are at that registry, as far as we sent them. */
  readonly known?: KnownBlobs;
  /** What is attached to a manifest of ours, to be taken along. Absent: the image goes alone. */
  readonly attachedTo?: (repository: string, digest: Digest) => AsyncIterable<AttachedManifest>;
}

/** Remembers which repository of another registry has a blob, for mounts. */
export interface KnownBlobs {
  /** A repository that had it. */
  find(digest: Digest): Promise<string | undefined>;
  note(digest: Digest, repository: string): Promise<void>;
}

export interface PushedImage {
  readonly repository: string;
  readonly digest: Digest;
  readonly to: { readonly repository: string; readonly tag: string };
}

export interface PushProgress {
  readonly digest: Digest;
  readonly sizeBytes: number;
  readonly outcome: UploadOutcome;
}

export interface PushResult {
  readonly blobsSent: number;
  readonly blobsMounted: number;
  readonly blobsThere: number;
  readonly bytesSent: number;
  /** Signatures, SBOMs and the like that were taken along, sent or there. */
  readonly attached: number;
}

export interface PushOptions {
  readonly signal?: AbortSignal;
  readonly onBlob?: (progress: PushProgress) => void;
}

const BLOBS_AT_ONCE = 3;
/** Indexes in indexes, signatures of signatures. */
const MAX_DEPTH = 8;

/** @throws AppError MANIFEST_UNKNOWN, BLOB_UNKNOWN, and those of the other registry */
export async function pushImage(
  deps: PushImageDeps,
  image: PushedImage,
  options: PushOptions = {},
): Promise<PushResult> {
  const push = new ImagePush(deps, image.repository, image.to.repository, options);
  await push.send(image.digest, image.to.tag);
  return push.result();
}

class ImagePush {
  private readonly outcomes = new Map<Digest, PushProgress>();
  /** Children and what is attached: each once, though several name it. */
  private readonly sent = new Set<string>();
  private readonly attached = new Set<Digest>();
  /** Repositories that there is no mount from, as we were told. */
  private readonly unmountable = new Set<string>();

  constructor(
    private readonly deps: PushImageDeps,
    private readonly repository: string,
    private readonly remote: string,
    private readonly options: PushOptions,
  ) {}

  async send(digest: Digest, reference: string, depth = 0): Promise<void> {
    this.options.signal?.throwIfAborted();
    if (this.sent.has(reference)) return;
    this.sent.add(reference);
    const { images, client, attachedTo } = this.deps;
    const stored = await images.manifest(this.repository, { digest });
    if (stored === undefined || depth > MAX_DEPTH) {
      throw new AppError('MANIFEST_UNKNOWN', `${this.repository}@${digest} is not an image of this registry`, {
        kind: 'not-found',
      });
    }
    const document = parseManifestDocument(stored.bytes, stored.mediaType);
    // With a manifest the registry has what it names, though not what is attached to that.
    const isThere = (await client.headManifest(this.remote, digest, this.options.signal)) !== undefined;
    if (!isThere) await this.sendBlobs(document);
    if (!isThere || attachedTo !== undefined) await this.sendChildren(document, depth);
    const mayBeUnlisted = attachedTo !== undefined && subjectOf(document) !== undefined;
    if (!isThere || reference !== digest || mayBeUnlisted) await this.put(stored, document, reference);
    for await (const each of attachedTo?.(this.repository, digest) ?? []) {
      await this.send(each.digest, each.tag ?? each.digest, depth + 1);
      this.attached.add(each.digest);
    }
  }

  result(): PushResult {
    const all = [...this.outcomes.values()];
    const count = (outcome: UploadOutcome): number => all.filter((each) => each.outcome === outcome).length;
    return {
      blobsSent: count('uploaded'),
      blobsMounted: count('mounted'),
      blobsThere: count('existed'),
      bytesSent: all.reduce((sum, { outcome, sizeBytes }) => (outcome === 'uploaded' ? sum + sizeBytes : sum), 0),
      attached: this.attached.size,
    };
  }

  private async put(stored: StoredManifest, document: ManifestDocument, reference: string): Promise<void> {
    const { client } = this.deps;
    const { digest, mediaType, bytes } = stored;
    const { listsReferrers } = await client.putManifest(this.remote, reference, bytes, mediaType, this.options.signal);
    const referrer = referrerOf(document, { digest, mediaType, sizeBytes: bytes.length });
    if (referrer === undefined || listsReferrers) return;
    await listUnderSubject(client, this.remote, referrer.subject, referrer.descriptor);
  }

  private async sendChildren(document: ManifestDocument, depth: number): Promise<void> {
    for (const { descriptor, kind } of referencesOf(document)) {
      if (kind === 'manifest') await this.send(descriptor.digest, descriptor.digest, depth + 1);
    }
  }

  private async sendBlobs(document: ManifestDocument): Promise<void> {
    const blobs: Descriptor[] = [];
    for (const { descriptor, kind, isOptional } of referencesOf(document)) {
      if (kind === 'manifest' || this.outcomes.has(descriptor.digest)) continue;
      // Layers that are fetched from elsewhere need not be here.
      if (isOptional && (await this.deps.content.stat(descriptor.digest)) === undefined) continue;
      blobs.push(descriptor);
    }
    await mapBounded(blobs, BLOBS_AT_ONCE, (blob) => this.sendBlob(blob));
  }

  private async sendBlob({ digest, size: sizeBytes }: Descriptor): Promise<void> {
    const { content, client, known } = this.deps;
    const { signal, onBlob } = this.options;
    signal?.throwIfAborted();
    // Asked before the upload: what fails inside a body looks like a broken connection.
    if ((await content.stat(digest)) === undefined) throw blobUnknown(this.repository, digest);
    const from = await known?.find(digest);
    const blob = { digest, sizeBytes, open: () => bytesOf(content, this.repository, digest) };
    const outcome = await client.uploadBlob(this.remote, blob, {
      ...(from === undefined || from === this.remote || this.unmountable.has(from)
        ? {}
        : { mountFrom: from, onMountRefused: () => this.unmountable.add(from) }),
      ...(signal === undefined ? {} : { signal }),
    });
    if (outcome === 'uploaded' && from !== this.remote) await known?.note(digest, this.remote);
    const progress = { digest, sizeBytes, outcome };
    this.outcomes.set(digest, progress);
    onBlob?.(progress);
  }
}

async function* bytesOf(content: Pick<ContentStore, 'open'>, repository: string, digest: Digest): ByteSource {
  const stream = await content.open(digest);
  if (stream === undefined) throw blobUnknown(repository, digest);
  yield* stream as AsyncIterable<Uint8Array>;
}

function blobUnknown(repository: string, digest: Digest): AppError {
  return new AppError('BLOB_UNKNOWN', `blob ${digest} of ${repository} is not in the store`, { kind: 'not-found' });
}
