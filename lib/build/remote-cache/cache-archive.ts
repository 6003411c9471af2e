/** The cache that a build wrote for a folder, as one tar: an OCI layout. */
import { AppError } from '../../errors/index.js';
import { type Digest, parseManifestDocument } from '../../oci/index.js';
import type { ByteSource } from '../../store/index.js';
import { archiveOf, type ImageArchiveDeps } from '../export/image-archive.js';
import type { Build } from '../types.js';

const REF_NAME = 'org.opencontainers.image.ref.name';

/**
 * @param digest which, where a build wrote several
 * @throws AppError BUILD_NO_CACHE, IMAGE_INCOMPLETE when its blobs were collected
 */
export async function builtCache(
  deps: Omit<ImageArchiveDeps, 'images'>,
  { id, status, result }: Pick<Build, 'id' | 'status' | 'result'>,
  digest?: Digest,
): Promise<ByteSource> {
  const written = (result?.caches ?? []).flatMap((cache) => (cache.type === 'local' ? (cache.digest ?? []) : []));
  const wanted = digest ?? written[0];
  const bytes = wanted !== undefined && written.includes(wanted) ? await deps.content.read(wanted) : undefined;
  if (wanted === undefined || bytes === undefined) {
    throw new AppError('BUILD_NO_CACHE', `build ${id}, which is ${status}, has no cache ${digest ?? 'to fetch'}`, {
      kind: 'not-found',
      hint: 'a build with cacheTo of type local, within a day of its end',
    });
  }
  const document = parseManifestDocument(bytes, '');
  const { mediaType } = document.kind === 'manifest' ? document.manifest : document.index;
  return archiveOf(
    deps,
    { format: 'oci' },
    {
      root: { digest: wanted, mediaType, bytes },
      name: `build ${id}`,
      tags: [],
      annotations: { [REF_NAME]: 'latest' },
      manifest: () => Promise.resolve(undefined),
    },
  );
}
