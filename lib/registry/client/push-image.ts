/**
 * Sends an image of ours, or a whole index, to another registry: only the blobs it lacks, mounted from its other
 * repositories where that is possible, manifests after what they name, their bytes unchanged. May be broken off and
 * done again; what arrived is not sent twice.
 */
import { AppError } from '../../errors/index.js';
import { type Descriptor, type Digest, isIndexType, isManifestType, parseManifestDocument } from '../../oci/index.js';
import type { ByteSource, ContentStore } from '../../store/index.js';
import { mapBounded } from '../bounded.js';
import type { Images, StoredManifest } from '../types.js';
import type { UploadOutcome } from './blob-upload.js';
import type { RegistryClient } from './registry-client.js';

export interface PushImageDeps {
  readonly images: Pick<Images, 'manifest'>;
  readonly content: Pick<ContentStore, 'open' | 'stat'>;
  readonly client: RegistryClient;
  /** Where blobs are at that registry, as far as we sent them. */
  readonly known?: KnownBlobs;
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
}

export interface PushOptions {
  readonly signal?: AbortSignal;
  readonly onBlob?: (progress: PushProgress) => void;
}

const BLOBS_AT_ONCE = 3;
/** Indexes in indexes. */
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

  constructor(
    private readonly deps: PushImageDeps,
    private readonly repository: string,
    private readonly remote: string,
    private readonly options: PushOptions,
  ) {}

  async send(digest: Digest, reference: string, depth = 0): Promise<void> {
    this.options.signal?.throwIfAborted();
    const stored = await this.deps.images.manifest(this.repository, { digest });
    if (stored === undefined || depth > MAX_DEPTH) {
      throw new AppError('MANIFEST_UNKNOWN', `${this.repository}@${digest} is not an image of this registry`, {
        kind: 'not-found',
      });
    }
    // With a manifest the registry has what it names.
    const isThere = (await this.deps.client.headManifest(this.remote, digest)) !== undefined;
    if (!isThere) await this.sendContent(stored, depth);
    if (isThere && reference === digest) return;
    await this.deps.client.putManifest(this.remote, reference, stored.bytes, stored.mediaType);
  }

  result(): PushResult {
    const all = [...this.outcomes.values()];
    const count = (outcome: UploadOutcome): number => all.filter((each) => each.outcome === outcome).length;
    return {
      blobsSent: count('uploaded'),
      blobsMounted: count('mounted'),
      blobsThere: count('existed'),
      bytesSent: all.reduce((sum, { outcome, sizeBytes }) => (outcome === 'uploaded' ? sum + sizeBytes : sum), 0),
    };
  }

  private async sendContent({ bytes, mediaType }: StoredManifest, depth: number): Promise<void> {
    const document = parseManifestDocument(bytes, mediaType);
    if (document.kind === 'manifest') {
      return this.sendBlobs([document.manifest.config, ...document.manifest.layers]);
    }
    const isManifest = (entry: Descriptor): boolean => isManifestType(entry.mediaType) || isIndexType(entry.mediaType);
    await this.sendBlobs(document.index.manifests.filter((entry) => !isManifest(entry)));
    for (const { digest } of document.index.manifests.filter(isManifest)) await this.send(digest, digest, depth + 1);
  }

  private async sendBlobs(blobs: readonly Descriptor[]): Promise<void> {
    const distinct = [...new Map(blobs.map((blob) => [blob.digest, blob])).values()];
    const left = distinct.filter(({ digest }) => !this.outcomes.has(digest));
    await mapBounded(left, BLOBS_AT_ONCE, (blob) => this.sendBlob(blob));
  }

  private async sendBlob({ digest, size: sizeBytes }: Descriptor): Promise<void> {
    const { content, client, known } = this.deps;
    const { signal, onBlob } = this.options;
    signal?.throwIfAborted();
    // Asked before the upload: what fails inside a body looks like a broken connection.
    if ((await content.stat(digest)) === undefined) throw blobUnknown(this.repository, digest);
    const from = await known?.find(digest);
    const mount = from === undefined || from === this.remote ? {} : { mountFrom: from };
    const blob = { digest, sizeBytes, open: () => bytesOf(content, this.repository, digest) };
    const upload = { ...mount, ...(signal === undefined ? {} : { signal }) };
    const outcome = await client.uploadBlob(this.remote, blob, upload);
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
