/** Sends one image of ours to another registry: only the blobs it lacks, the manifest last, its bytes unchanged. */
import { AppError } from '../../errors/index.js';
import { type Digest, parseManifestDocument } from '../../oci/index.js';
import type { ByteSource, ContentStore } from '../../store/index.js';
import { mapBounded } from '../bounded.js';
import type { Images } from '../types.js';
import type { RegistryClient } from './registry-client.js';

export interface PushImageDeps {
  readonly images: Pick<Images, 'manifest'>;
  readonly content: Pick<ContentStore, 'open' | 'stat'>;
  readonly client: RegistryClient;
}

export interface PushedImage {
  readonly repository: string;
  /** Of a manifest for one platform. */
  readonly digest: Digest;
  readonly to: { readonly repository: string; readonly tag: string };
}

const BLOBS_AT_ONCE = 3;

/**
 * @returns how many blobs were sent
 * @throws AppError MANIFEST_UNKNOWN, BLOB_UNKNOWN, and those of the other registry
 */
export async function pushImage(
  deps: PushImageDeps,
  image: PushedImage,
  signal?: AbortSignal,
): Promise<{ readonly blobsSent: number }> {
  const { images, content, client } = deps;
  const { repository, digest, to } = image;
  const stored = await images.manifest(repository, { digest });
  const document = stored === undefined ? undefined : parseManifestDocument(stored.bytes, stored.mediaType);
  if (stored === undefined || document?.kind !== 'manifest') {
    throw new AppError('MANIFEST_UNKNOWN', `${repository}@${digest} is not an image of this registry`, {
      kind: 'not-found',
      hint: 'the digest of a manifest for one platform',
    });
  }
  const { config, layers } = document.manifest;
  const blobs = [...new Map([config, ...layers].map((blob) => [blob.digest, blob])).values()];
  const outcomes = await mapBounded(blobs, BLOBS_AT_ONCE, async ({ digest: blob, size: sizeBytes }) => {
    signal?.throwIfAborted();
    // Asked before the upload: what fails inside a body looks like a broken connection.
    if ((await content.stat(blob)) === undefined) throw blobUnknown(repository, blob);
    const open = (): ByteSource => bytesOf(content, repository, blob);
    return client.uploadBlob(to.repository, { digest: blob, sizeBytes, open }, signal === undefined ? {} : { signal });
  });
  await client.putManifest(to.repository, to.tag, stored.bytes, stored.mediaType);
  return { blobsSent: outcomes.filter((outcome) => outcome === 'uploaded').length };
}

async function* bytesOf(content: Pick<ContentStore, 'open'>, repository: string, digest: Digest): ByteSource {
  const stream = await content.open(digest);
  if (stream === undefined) throw blobUnknown(repository, digest);
  yield* stream as AsyncIterable<Uint8Array>;
}

function blobUnknown(repository: string, digest: Digest): AppError {
  return new AppError('BLOB_UNKNOWN', `blob ${digest} of ${repository} is not in the store`, { kind: 'not-found' });
}
