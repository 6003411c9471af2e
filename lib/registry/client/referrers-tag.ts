/**
 * Registries without the referrers API know a manifest's referrers by an index under a tag made of its digest, which is
 * the pusher's to keep (distribution-spec, Referrers Tag Schema). Two who push at once may overwrite one another; the
 * specification knows no cure, and a copy that is done again mends it.
 */
import { type Descriptor, type Digest, MediaType, parseManifestDocument } from '../../oci/index.js';
import type { RegistryClient } from './registry-client.js';

/** Adds the referrer to the index of its subject. */
export async function listUnderSubject(
  client: Pick<RegistryClient, 'getManifest' | 'putManifest'>,
  repository: string,
  subject: Digest,
  referrer: Descriptor,
): Promise<void> {
  const tag = referrersTag(subject);
  const known = await client.getManifest(repository, tag);
  const document = known === undefined ? undefined : parseManifestDocument(known.bytes, known.mediaType);
  const listed = document?.kind === 'index' ? document.index.manifests : [];
  if (listed.some(({ digest }) => digest === referrer.digest)) return;
  const index = { schemaVersion: 2, mediaType: MediaType.ociIndex, manifests: [...listed, referrer] };
  await client.putManifest(repository, tag, Buffer.from(JSON.stringify(index)), MediaType.ociIndex);
}

/** Algorithm and value are cut to 32 and 64 characters. */
function referrersTag(subject: Digest): string {
  const [algorithm = '', value = ''] = subject.split(':');
  return `${algorithm.slice(0, 32)}-${value.slice(0, 64)}`;
}
