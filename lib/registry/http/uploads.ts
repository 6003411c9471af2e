/** Uploads over HTTP: end-4a, 4b, 4c, 5, 6, 11, 13, 14. Bytes go straight from the connection into the store. */
import { AppError } from '../../errors/index.js';
import { type Digest, isDigestAlgorithm, isRepositoryName, parseDigest } from '../../oci/index.js';
import type { AppendOptions } from '../../store/index.js';
import { exactly } from './body.js';
import { couldAskFor, mayAct } from './caller.js';
import { errorResponse } from './errors.js';
import { parseContentRange, uploadRange } from './ranges.js';
import { blobPath, empty, type Headers, type Reply } from './replies.js';
import type { Call } from './types.js';

/** POST: a mount, a whole blob at once, or a new session; a mount that cannot be falls back to a session. */
export async function startUpload(call: Call): Promise<Reply> {
  const mount = call.query.get('mount');
  if (mount !== null) {
    const digest = parseDigest(mount);
    const answer = await mounted(call, digest);
    if (answer !== undefined) return answer;
  }
  const whole = call.query.get('digest');
  if (whole !== null && mount === null) {
    const digest = parseDigest(whole);
    await call.deps.registry.uploads.put(
      call.repository,
      digest,
      exactly(call.body.chunks(), call.body.announcedBytes),
    );
    return created(call, digest);
  }
  const algorithm = call.query.get('digest-algorithm') ?? 'sha256';
  if (!isDigestAlgorithm(algorithm)) {
    throw new AppError('DIGEST_INVALID', `digest algorithm ${JSON.stringify(algorithm.slice(0, 50))} is not offered`, {
      hint: 'sha256 or sha512',
    });
  }
  call.openUploads.checkRoom(call.caller.name);
  const session = await call.deps.registry.uploads.start(call.repository, algorithm);
  call.openUploads.started(call.caller.name, session);
  return empty(202, sessionHeaders(call, session, 0));
}

export async function appendUpload(call: Call): Promise<Reply> {
  const refused = await append(call);
  if (refused !== undefined) return refused;
  const status = await call.deps.registry.uploads.status(call.repository, call.reference);
  if (status === undefined) throw uploadUnknown(call);
  return empty(202, sessionHeaders(call, call.reference, status.offset));
}

export async function commitUpload(call: Call): Promise<Reply> {
  const digest = parseDigest(call.query.get('digest') ?? '');
  const isBodiless = call.body.isEmpty;
  if (!isBodiless || call.request.headers.has('content-range')) {
    const refused = await append(call, { last: true });
    if (refused !== undefined) return refused;
  }
  const result = await call.deps.registry.uploads.commit(call.repository, call.reference, digest);
  if (result.outcome !== 'digest-mismatch') call.openUploads.ended(call.reference);
  if (result.outcome === 'committed') return created(call, digest);
  if (result.outcome === 'digest-mismatch') {
    throw new AppError('DIGEST_INVALID', `the uploaded bytes have digest ${result.actual}, not ${digest}`);
  }
  // A client that lost our first answer asks again: what it wanted is there.
  if (isBodiless && (await call.deps.registry.blobs.stat(call.repository, digest)) !== undefined)
    return created(call, digest);
  throw uploadUnknown(call);
}

export async function uploadStatus(call: Call): Promise<Reply> {
  const status = await call.deps.registry.uploads.status(call.repository, call.reference);
  if (status === undefined) throw uploadUnknown(call);
  return empty(204, sessionHeaders(call, call.reference, status.offset));
}

export async function cancelUpload(call: Call): Promise<Reply> {
  if (!(await call.deps.registry.uploads.abort(call.repository, call.reference))) throw uploadUnknown(call);
  call.openUploads.ended(call.reference);
  return empty(204);
}

/** Appends the body; an answer only when it was refused for its place, and then the session goes on unharmed. */
async function append(call: Call, options: AppendOptions = {}): Promise<Reply | undefined> {
  const { uploads } = call.deps.registry;
  const header = call.request.headers.get('content-range');
  const range = header === null ? undefined : parseContentRange(header);
  const announced = call.body.announcedBytes;
  if (header !== null && range === undefined) {
    throw new AppError(
      'BLOB_UPLOAD_INVALID',
      `Content-Range ${JSON.stringify(header.slice(0, 100))} is not <start>-<end>`,
    );
  }
  const length = range === undefined ? announced : range.end - range.start + 1;
  if (announced !== undefined && announced !== length) {
    throw new AppError('SIZE_INVALID', `Content-Range ${header} has ${length} bytes, Content-Length says ${announced}`);
  }
  const source = exactly(call.body.chunks(), length);
  const result = await uploads.append(call.repository, call.reference, range?.start, source, undefined, {
    ...options,
    handsOver: true,
  });
  if (result.outcome === 'appended') return undefined;
  if (result.outcome === 'absent') throw uploadUnknown(call);
  return errorResponse(
    new AppError('RANGE_INVALID', `the chunk starts at ${range?.start}, the upload stands at ${result.offset}`),
    sessionHeaders(call, call.reference, result.offset),
  );
}

/**
 * Rights first: what may not be pulled from there is treated exactly like what is not there. A token that was asked for
 * too little is told what to ask for.
 */
async function mounted(call: Call, digest: Digest): Promise<Reply | undefined> {
  const { blobs, publicRepositories } = call.deps.registry;
  const from = call.query.get('from');
  const sources = from === null || from === '' ? await blobs.holdersOf(digest) : [from];
  const isPublic = (name: string): Promise<boolean> => publicRepositories.covers(name);
  let askable: string | undefined;
  for (const name of sources) {
    if (!isRepositoryName(name)) continue;
    if (!(await mayAct(call.caller, 'pull', name, isPublic))) {
      if (couldAskFor(call.caller, 'pull', name)) askable ??= name;
      continue;
    }
    if (await blobs.mount(name, call.repository, digest)) return created(call, digest);
  }
  return askable === undefined ? undefined : call.mountChallenge(askable);
}

function created(call: Call, digest: Digest): Reply {
  return empty(201, { location: blobPath(call.repository, digest), 'docker-content-digest': digest });
}

function sessionHeaders(call: Call, session: string, offset: number): Headers {
  return {
    location: `/v2/${call.repository}/blobs/uploads/${session}`,
    range: uploadRange(offset),
    'docker-upload-uuid': session,
  };
}

function uploadUnknown(call: Call): AppError {
  return new AppError('BLOB_UPLOAD_UNKNOWN', `repository ${call.repository} has no such upload`, {
    kind: 'not-found',
    hint: 'start a new one with POST to /v2/<name>/blobs/uploads/',
  });
}
