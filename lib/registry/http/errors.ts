/**
 * Refusals as the distribution-spec writes them: one table from our codes to status and the specification's code.
 * What is not in the table goes by its kind. Nothing of an unexpected error is shown to the client.
 */
import { type AppError, type ErrorKind, toAppError } from '../../errors/index.js';
import type { Digest } from '../../oci/index.js';
import { json, type Reply } from './replies.js';

interface Shape {
  readonly status: number;
  readonly code: string;
}

const BY_CODE: Readonly<Record<string, Shape>> = {
  BLOB_UNKNOWN: { status: 404, code: 'BLOB_UNKNOWN' },
  BLOB_UPLOAD_INVALID: { status: 400, code: 'BLOB_UPLOAD_INVALID' },
  BLOB_UPLOAD_UNKNOWN: { status: 404, code: 'BLOB_UPLOAD_UNKNOWN' },
  DENIED: { status: 403, code: 'DENIED' },
  DIGEST_INVALID: { status: 400, code: 'DIGEST_INVALID' },
  DIGEST_MISMATCH: { status: 400, code: 'DIGEST_INVALID' },
  MANIFEST_BLOB_UNKNOWN: { status: 400, code: 'MANIFEST_BLOB_UNKNOWN' },
  MANIFEST_INVALID: { status: 400, code: 'MANIFEST_INVALID' },
  MANIFEST_TOO_LARGE: { status: 413, code: 'SIZE_INVALID' },
  MANIFEST_UNKNOWN: { status: 404, code: 'MANIFEST_UNKNOWN' },
  NAME_INVALID: { status: 400, code: 'NAME_INVALID' },
  NAME_UNKNOWN: { status: 404, code: 'NAME_UNKNOWN' },
  RANGE_INVALID: { status: 416, code: 'BLOB_UPLOAD_INVALID' },
  SIZE_INVALID: { status: 400, code: 'SIZE_INVALID' },
  TAGS_TOO_MANY: { status: 414, code: 'MANIFEST_INVALID' },
  UNAUTHORIZED: { status: 401, code: 'UNAUTHORIZED' },
  UPSTREAM_DENIED: { status: 404, code: 'NAME_UNKNOWN' },
  UPSTREAM_MANIFEST_UNSUPPORTED: { status: 404, code: 'MANIFEST_UNKNOWN' },
  UPLOAD_ABORTED: { status: 404, code: 'BLOB_UPLOAD_UNKNOWN' },
};

const BY_KIND: Readonly<Record<ErrorKind, Shape>> = {
  invalid: { status: 400, code: 'UNSUPPORTED' },
  unauthenticated: { status: 401, code: 'UNAUTHORIZED' },
  forbidden: { status: 403, code: 'DENIED' },
  'not-found': { status: 404, code: 'NAME_UNKNOWN' },
  conflict: { status: 409, code: 'UNSUPPORTED' },
  'too-large': { status: 413, code: 'SIZE_INVALID' },
  limited: { status: 429, code: 'TOOMANYREQUESTS' },
  unsupported: { status: 405, code: 'UNSUPPORTED' },
  failed: { status: 500, code: 'UNKNOWN' },
  unavailable: { status: 503, code: 'UNAVAILABLE' },
  internal: { status: 500, code: 'UNKNOWN' },
};

const RETRY_AFTER_SECONDS = '5';

/** The answer to whatever was thrown. */
export function errorResponse(thrown: unknown, headers: Readonly<Record<string, string>> = {}): Reply {
  const error = toAppError(thrown);
  const shape = BY_CODE[error.code] ?? BY_KIND[error.kind];
  const retry = shape.status === 503 || shape.status === 429 ? { 'retry-after': retryAfter(error) } : {};
  return errorsResponse(shape.status, entriesOf(error, shape), { ...retry, ...headers });
}

/** What whoever made us fail asked for, else a little. */
function retryAfter({ details }: AppError): string {
  const asked = details['retryAfterSeconds'];
  return typeof asked === 'number' ? String(Math.ceil(asked)) : RETRY_AFTER_SECONDS;
}

export interface ErrorEntry {
  readonly code: string;
  readonly message: string;
  readonly detail?: unknown;
}

export function errorsResponse(
  status: number,
  errors: readonly ErrorEntry[],
  headers: Readonly<Record<string, string>> = {},
): Reply {
  return json({ errors }, headers, status);
}

function entriesOf(error: AppError, shape: Shape): readonly ErrorEntry[] {
  if (shape.status === 500) return [{ code: shape.code, message: 'the registry failed; its log says why' }];
  const message = error.hint === undefined ? error.message : `${error.message} (accepted: ${error.hint})`;
  const missing = error.details['missing'];
  if (error.code === 'MANIFEST_BLOB_UNKNOWN' && Array.isArray(missing)) {
    // One entry each, so that a client can tell which.
    return (missing as Digest[]).slice(0, 50).map((digest) => ({ code: shape.code, message, detail: { digest } }));
  }
  return [{ code: shape.code, message, ...(Object.keys(error.details).length === 0 ? {} : { detail: error.details }) }];
}
