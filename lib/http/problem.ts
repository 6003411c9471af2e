/**
 * Errors on the wire: RFC 9457 problem+json. One table turns the kind of an AppError into a status; the code, the
 * sentence and the hint go out as they are. What is internal is logged and goes out without its text.
 */
import { AppError, type ErrorKind, toAppError } from '../errors/index.js';

export const STATUS: Readonly<Record<ErrorKind, number>> = {
  invalid: 400,
  unauthenticated: 401,
  forbidden: 403,
  'not-found': 404,
  conflict: 409,
  'too-large': 413,
  unsupported: 501,
  limited: 429,
  failed: 422,
  internal: 500,
  unavailable: 503,
};

const TITLES: Readonly<Record<ErrorKind, string>> = {
  invalid: 'The request is not valid',
  unauthenticated: 'A valid token is needed',
  forbidden: 'The token does not allow this',
  'not-found': 'Not found',
  conflict: 'Not possible in the present state',
  'too-large': 'Too large',
  unsupported: 'Not supported',
  limited: 'A limit is reached',
  failed: 'The work failed',
  internal: 'An error of the server',
  unavailable: 'Not available right now',
};

/** Codes whose status is not that of their kind. */
const SPECIAL: Readonly<Record<string, number>> = { METHOD_NOT_ALLOWED: 405, MEDIA_TYPE_UNSUPPORTED: 415 };

const RETRY_AFTER_SECONDS = 2;

/** One part of a request that is wrong. */
export interface InvalidPart {
  /** Where in the request: `body`, `query`, `path`. */
  readonly in: string;
  /** JSON pointer (RFC 6901). */
  readonly pointer: string;
  readonly detail: string;
}

export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: string;
  readonly hint?: string;
  readonly requestId: string;
  readonly retryable: boolean;
  readonly errors?: readonly InvalidPart[];
  readonly details?: Readonly<Record<string, unknown>>;
}

export function problemOf(error: unknown, requestId: string): Problem {
  const known = toAppError(error);
  const { errors, ...details } = known.details;
  return {
    type: `urn:wharf:error:${known.code.toLowerCase().replaceAll('_', '-')}`,
    title: TITLES[known.kind],
    status: SPECIAL[known.code] ?? STATUS[known.kind],
    detail:
      known.kind === 'internal' ? 'something here went wrong; the log has it under the request id' : known.message,
    code: known.code,
    ...(known.hint === undefined ? {} : { hint: known.hint }),
    requestId,
    retryable: known.retryable,
    ...(isParts(errors) ? { errors } : {}),
    ...(known.kind === 'internal' || Object.keys(details).length === 0 ? {} : { details }),
  };
}

export function problemResponse(error: unknown, requestId: string): Response {
  const problem = problemOf(error, requestId);
  const headers = new Headers({ 'content-type': 'application/problem+json', 'cache-control': 'no-store' });
  if (problem.status === 401) headers.set('www-authenticate', 'Bearer realm="wharf"');
  if (problem.status === 503 || problem.status === 429) headers.set('retry-after', String(RETRY_AFTER_SECONDS));
  const allow = problem.details?.['allow'];
  if (problem.status === 405 && typeof allow === 'string') headers.set('allow', allow);
  return new Response(JSON.stringify(problem), { status: problem.status, headers });
}

/** A refusal that names every part of the request that is wrong. */
export function invalidRequest(parts: readonly InvalidPart[]): AppError {
  const first = parts[0];
  const where = first === undefined ? '' : ` ${first.in} ${first.pointer || '/'}: ${first.detail}`;
  const more = parts.length > 1 ? ` (and ${parts.length - 1} more)` : '';
  return new AppError('REQUEST_INVALID', `the request is not valid:${where}${more}`, { details: { errors: parts } });
}

function isParts(value: unknown): value is readonly InvalidPart[] {
  return Array.isArray(value) && value.length > 0;
}
