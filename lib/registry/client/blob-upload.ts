/** Sending a blob: a mount where one is offered, else POST and one streamed PUT, or chunks where they are asked for. */
import { AppError } from '../../errors/index.js';
import { type Digest, digestAlgorithm } from '../../oci/index.js';
import type { ByteSource } from '../../store/index.js';
import { broken } from './errors.js';
import type { TransportRequest } from './transport.js';

export interface BlobUpload {
  readonly digest: Digest;
  readonly sizeBytes: number;
  /** The bytes from the start; called again when they must be sent again. */
  open(): ByteSource;
}

export interface UploadOptions {
  /** A repository of the same registry that may have the blob. */
  readonly mountFrom?: string;
  /** Send PATCH requests of so many bytes instead of one PUT: for registries behind a body limit. */
  readonly chunkBytes?: number;
  /** The registry refused the mount itself; the blob was sent instead. */
  readonly onMountRefused?: () => void;
  readonly signal?: AbortSignal;
}

export type UploadOutcome = 'existed' | 'mounted' | 'uploaded';

type Ask = (request: TransportRequest) => Promise<Response>;

/** The session of one upload, and how to speak about it. */
interface Session {
  readonly ask: Ask;
  readonly registry: string;
  readonly common: Pick<TransportRequest, 'scope' | 'doing' | 'signal'>;
}

/** @param at the registry's origin, and the repository as it is named there */
export async function uploadBlob(
  ask: Ask,
  at: { readonly origin: string; readonly repository: string },
  blob: BlobUpload,
  options: UploadOptions,
): Promise<UploadOutcome> {
  const session: Session = {
    ask,
    registry: new URL(at.origin).host,
    common: {
      scope: `repository:${at.repository}:pull,push`,
      doing: `upload blob ${at.repository}@${blob.digest}`,
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    },
  };
  const started =
    (await mount(session, at.repository, blob.digest, options)) ?? (await start(session, at.repository, blob.digest));
  await started.body?.cancel();
  if (started.status === 201) return 'mounted';
  const location = locationOf(session, started, at.origin);
  if (options.chunkBytes === undefined) await finish(session, location, blob.digest, blob);
  else await finish(session, await sendChunks(session, location, blob, options.chunkBytes), blob.digest, NOTHING);
  return 'uploaded';
}

/** sha256 goes without saying; of anything else a registry must hear before the bytes come. */
function start({ ask, common }: Session, repository: string, digest: Digest): Promise<Response> {
  const algorithm = digestAlgorithm(digest);
  const query = algorithm === 'sha256' ? '' : `?digest-algorithm=${algorithm}`;
  return ask({ ...common, method: 'POST', target: `/v2/${repository}/blobs/uploads/${query}`, body: NOTHING });
}

/**
 * A mount needs a token that also reads the source. A token service may refuse that, or a registry the mount: then the
 * blob is sent, and that tells whether the push is refused too.
 * @returns undefined when there is nothing to mount, or it is refused
 */
async function mount(
  { ask, common }: Session,
  repository: string,
  digest: Digest,
  { mountFrom, onMountRefused }: UploadOptions,
): Promise<Response | undefined> {
  if (mountFrom === undefined) return undefined;
  const scope = `${common.scope} repository:${mountFrom}:pull`;
  const target = `/v2/${repository}/blobs/uploads/?mount=${digest}&from=${encodeURIComponent(mountFrom)}`;
  try {
    return await ask({ ...common, scope, method: 'POST', target, body: NOTHING });
  } catch (error) {
    if (!(error instanceof AppError) || error.retryable) throw error;
    onMountRefused?.();
    return undefined;
  }
}

async function sendChunks(session: Session, location: string, blob: BlobUpload, chunkBytes: number): Promise<string> {
  let at = location;
  let offset = 0;
  for await (const chunk of cut(blob.open(), chunkBytes)) {
    const response = await session.ask({
      ...session.common,
      method: 'PATCH',
      target: at,
      headers: {
        'content-type': 'application/octet-stream',
        'content-range': `${offset}-${offset + chunk.length - 1}`,
      },
      body: { open: () => single(chunk), sizeBytes: chunk.length },
    });
    await response.body?.cancel();
    at = locationOf(session, response, at);
    offset += chunk.length;
  }
  return at;
}

async function finish(
  session: Session,
  location: string,
  digest: Digest,
  body: { open(): ByteSource; readonly sizeBytes: number },
): Promise<void> {
  // Appended as text: a location's own query may be signed, and must not be written anew.
  const target = `${location}${location.includes('?') ? '&' : '?'}digest=${encodeURIComponent(digest)}`;
  const headers = { 'content-type': 'application/octet-stream' };
  const response = await session.ask({ ...session.common, method: 'PUT', target, headers, body });
  await response.body?.cancel();
}

/** @param asked what was asked for; an answer that came by a redirect knows better what its Location is relative to */
function locationOf(session: Session, response: Response, asked: string): string {
  const location = response.headers.get('location');
  const base = response.url === '' ? asked : response.url;
  if (location !== null && URL.canParse(location, base)) return new URL(location, base).href;
  throw broken({ registry: session.registry, doing: session.common.doing }, 'its answer has no usable Location');
}

const NOTHING = { open: () => single(new Uint8Array()), sizeBytes: 0 };

/** The same bytes in pieces of `size`, the last one shorter. */
async function* cut(source: ByteSource, size: number): AsyncGenerator<Buffer> {
  let held: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of source) {
    held.push(piece);
    bytes += piece.length;
    if (bytes < size) continue;
    const all = Buffer.concat(held);
    let at = 0;
    for (; all.length - at >= size; at += size) yield all.subarray(at, at + size);
    held = [all.subarray(at)];
    bytes = all.length - at;
  }
  if (bytes > 0) yield Buffer.concat(held);
}

async function* single(bytes: Uint8Array): ByteSource {
  yield bytes;
}
