/** Manifests over HTTP: end-3, end-7a, end-7b, end-9. The bytes and the media type go out exactly as they came in. */
import { AppError } from '../../errors/index.js';
import type { Descriptor, Digest } from '../../oci/index.js';
import { manifestUnknown, MAX_MANIFEST_BYTES, MAX_TAGS } from '../index.js';
import { readBody } from './body.js';
import { empty, etag, type Headers, isKnownToClient, manifestPath, manifestReference, type Reply } from './replies.js';
import type { Call } from './types.js';

export async function readManifest(call: Call): Promise<Reply> {
  const { registry, cache } = call.deps;
  const reference = manifestReference(call.reference);
  await cache?.ensureManifest(call.repository, reference, { refresh: insists(call) });
  const digest =
    'digest' in reference ? reference.digest : await registry.tagList.resolve(call.repository, reference.tag);
  if (digest === undefined) throw manifestUnknown(call.repository, call.reference);
  if (call.request.method === 'HEAD') {
    const descriptor = await registry.manifests.stat(call.repository, digest);
    if (descriptor === undefined) throw manifestUnknown(call.repository, call.reference);
    return { status: 200, headers: manifestHeaders(descriptor) };
  }
  const manifest = await registry.manifests.get(call.repository, digest);
  if (manifest === undefined) throw manifestUnknown(call.repository, call.reference);
  const headers = manifestHeaders({ ...manifest, size: manifest.bytes.length });
  if (isKnownToClient(call, digest)) return empty(304, { etag: etag(digest), 'docker-content-digest': digest });
  return { status: 200, headers, body: manifest.bytes };
}

export async function putManifest(call: Call): Promise<Reply> {
  const reference = manifestReference(call.reference);
  const tags = 'tag' in reference ? [reference.tag] : call.query.getAll('tag');
  if (tags.length > MAX_TAGS) {
    throw new AppError('TAGS_TOO_MANY', `${tags.length} tags in one push`, { hint: `at most ${MAX_TAGS}` });
  }
  const bytes = await readBody(call.body, MAX_MANIFEST_BYTES, 'MANIFEST_TOO_LARGE');
  const { descriptor, subject } = await call.deps.registry.manifests.put(call.repository, bytes, contentType(call), {
    tags,
    ...('digest' in reference ? { digest: reference.digest } : {}),
  });
  return empty(201, {
    location: manifestPath(call.repository, descriptor.digest),
    'docker-content-digest': descriptor.digest,
    ...(subject === undefined ? {} : { 'oci-subject': subject }),
    ...('digest' in reference && tags.length > 0 ? { 'oci-tag': [...new Set(tags)].join(', ') } : {}),
  });
}

export async function deleteManifest(call: Call): Promise<Reply> {
  const reference = manifestReference(call.reference);
  if ('digest' in reference) await call.deps.registry.deleteManifest(call.repository, reference.digest);
  else await call.deps.registry.deleteTag(call.repository, reference.tag);
  return empty(202);
}

/** Whether the client wants a tag looked up anew (RFC 9111, section 5.2.1.4). */
function insists(call: Call): boolean {
  return /(^|[\s,])no-cache([\s,]|$)/i.test(call.request.headers.get('cache-control') ?? '');
}

/** Without parameters, which the specification wants ignored. */
function contentType(call: Call): string {
  return (call.request.headers.get('content-type') ?? '').replace(/;.*$/s, '').trim();
}

function manifestHeaders(descriptor: Pick<Descriptor, 'mediaType' | 'size'> & { readonly digest: Digest }): Headers {
  return {
    'content-type': descriptor.mediaType,
    'content-length': String(descriptor.size),
    'docker-content-digest': descriptor.digest,
    etag: etag(descriptor.digest),
  };
}
