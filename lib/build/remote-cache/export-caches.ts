/**
 * Puts the steps of a build where a request wants them: in a repository of ours, at another registry, or into the
 * store for whoever fetches them as a folder. Done before the image has its names, so that a build that fails by this
 * has moved no tag. What a registry has already is not fetched to be sent there again.
 */
import { AppError, toAppError } from '../../errors/index.js';
import { type Digest, digestOf, parseReference } from '../../oci/index.js';
import type { RegistryClient } from '../../registry/client/index.js';
import type { Images } from '../../registry/index.js';
import { type ByteSource, type ContentStore, isOutage } from '../../store/index.js';
import type { EmitEvent } from '../build-log.js';
import type { RemoteImages } from '../images/remote-images.js';
import type { Layer } from '../plan/steps.js';
import { Slots } from '../solve/concurrency.js';
import type { KnownStep } from '../solve/solve-input.js';
import type { CacheTarget, ExportedCache } from '../types.js';
import { type CacheDocuments, cacheDocuments } from './exported-cache.js';

export interface ExportCachesDeps {
  readonly content: ContentStore;
  readonly images: Images;
  readonly remote?: RemoteImages;
  /** Hosts that mean our own registry. */
  readonly registryHosts: readonly string[];
  /** Brings layers into the store that are elsewhere. */
  readonly fetchLayers: (layers: readonly Layer[], signal: AbortSignal) => Promise<void>;
  readonly emit: EmitEvent;
  readonly signal: AbortSignal;
}

const BLOBS_AT_ONCE = 3;

/** One answer for each target. @throws AppError that says which cache, unless the target ignores errors */
export async function exportCaches(
  deps: ExportCachesDeps,
  targets: readonly CacheTarget[],
  known: readonly KnownStep[],
): Promise<readonly ExportedCache[]> {
  const exported: ExportedCache[] = [];
  for (const target of targets) {
    exported.push(target.type === 'inline' ? inlineAnswer(known) : await exportOne(deps, target, known));
  }
  return exported;
}

function inlineAnswer(known: readonly KnownStep[]): ExportedCache {
  return { type: 'inline', steps: new Set(known.filter(({ inImage }) => inImage).map(({ key }) => key)).size };
}

type WrittenTarget = CacheTarget & { readonly type: 'registry' | 'local' };

async function exportOne(
  deps: ExportCachesDeps,
  target: WrittenTarget,
  known: readonly KnownStep[],
): Promise<ExportedCache> {
  const named = target.type === 'registry' ? { type: target.type, ref: target.ref } : { type: target.type };
  const name = target.type === 'registry' ? target.ref : 'the local cache';
  const documents = cacheDocuments(known, target);
  if (documents === undefined) {
    deps.emit({ type: 'warning', message: `cache ${name} is not written: no step of this build has a layer to keep` });
    return { ...named, steps: 0 };
  }
  try {
    await write(deps, target, documents);
  } catch (error) {
    if (deps.signal.aborted || isOutage(error)) throw error;
    if (target.ignoreError !== true) throw unwritten(error, name);
    const { code, message } = toAppError(error);
    deps.emit({ type: 'warning', message: `cache ${name} could not be written: ${code}: ${message}` });
    return { ...named, steps: 0 };
  }
  const { steps, manifest } = documents;
  deps.emit({ type: 'message', text: `cache ${name}: ${steps} steps written` });
  return { ...named, digest: digestOf(manifest), steps };
}

async function write(deps: ExportCachesDeps, target: WrittenTarget, documents: CacheDocuments): Promise<void> {
  if (target.type === 'local') return keep(deps, documents);
  const { registry, repository, tag = 'latest' } = parseReference(target.ref);
  if (registry === undefined || deps.registryHosts.includes(registry)) return store(deps, documents, repository, tag);
  if (deps.remote === undefined) {
    throw new AppError('BUILD_UNSUPPORTED_REGISTRY', `this builder does not push to ${registry}`, {
      kind: 'unsupported',
      hint: 'a cache in this registry, named without a host',
    });
  }
  const client = await deps.remote.connect(registry);
  await send(deps, documents, client, { registry, repository, tag });
}

/** As a blob of the store, with all it names. */
async function keep(deps: ExportCachesDeps, { config, manifest, layers }: CacheDocuments): Promise<void> {
  await deps.fetchLayers(layers, deps.signal);
  for (const { descriptor } of layers) await required(deps.content, descriptor.digest);
  await deps.content.putBytes(config);
  await deps.content.putBytes(manifest);
}

async function store(
  deps: ExportCachesDeps,
  documents: CacheDocuments,
  repository: string,
  tag: string,
): Promise<void> {
  const { images, content, fetchLayers, signal } = deps;
  const { config, manifest, mediaType, layers } = documents;
  await fetchLayers(layers, signal);
  await content.putBytes(config);
  for (const digest of [digestOf(config), ...layers.map(({ descriptor }) => descriptor.digest)]) {
    await images.linkBlob(repository, digest);
  }
  await images.putManifest(repository, manifest, mediaType, [tag]);
}

async function send(
  deps: ExportCachesDeps,
  { config, manifest, mediaType, layers }: CacheDocuments,
  client: RegistryClient,
  to: { readonly registry: string; readonly repository: string; readonly tag: string },
): Promise<void> {
  const slots = new Slots(BLOBS_AT_ONCE);
  const sending = layers.map((layer) => slots.run(() => sendLayer(deps, layer, client, to)));
  // Nothing is on its way when a failure is told.
  await Promise.allSettled(sending);
  await Promise.all(sending);
  const blob = { digest: digestOf(config), sizeBytes: config.length, open: () => once(config) };
  await client.uploadBlob(to.repository, blob, { signal: deps.signal });
  await client.putManifest(to.repository, to.tag, manifest, mediaType, deps.signal);
}

async function sendLayer(
  { content, fetchLayers, signal }: ExportCachesDeps,
  layer: Layer,
  client: RegistryClient,
  { registry, repository }: { readonly registry: string; readonly repository: string },
): Promise<void> {
  signal.throwIfAborted();
  const { descriptor, origin } = layer;
  const { digest, size: sizeBytes } = descriptor;
  const isHere = (await content.stat(digest)) !== undefined;
  if (!isHere && (await client.headBlob(repository, digest, signal)) !== undefined) return;
  await fetchLayers([layer], signal);
  await required(content, digest);
  const isNear = origin !== undefined && 'registry' in origin && origin.registry === registry;
  const mount = isNear && origin.repository !== repository ? { mountFrom: origin.repository } : {};
  await client.uploadBlob(
    repository,
    { digest, sizeBytes, open: () => bytesOf(content, digest) },
    { signal, ...mount },
  );
}

/** Asked before an upload: what fails inside a body looks like a broken connection. */
async function required(content: Pick<ContentStore, 'stat'>, digest: Digest): Promise<void> {
  if ((await content.stat(digest)) === undefined) throw gone(digest);
}

async function* bytesOf(content: Pick<ContentStore, 'open'>, digest: Digest): ByteSource {
  const stream = await content.open(digest);
  if (stream === undefined) throw gone(digest);
  yield* stream as AsyncIterable<Uint8Array>;
}

async function* once(bytes: Uint8Array): ByteSource {
  yield bytes;
}

function gone(digest: Digest): AppError {
  return new AppError('BUILD_LAYER_UNAVAILABLE', `layer ${digest} is not in the store any more`, { kind: 'failed' });
}

function unwritten(error: unknown, name: string): AppError {
  const { code, kind, message, hint, retryable, details } = toAppError(error);
  const help = hint ?? 'ignore-error=true makes this a warning';
  return new AppError(code, `cache ${name}: ${message}`, { kind, hint: help, retryable, details, cause: error });
}
