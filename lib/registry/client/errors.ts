/** What went wrong at another registry: host, repository, status, and the registry's own code and words. */
import { AppError, type ErrorKind } from '../../errors/index.js';
import { retryAfterMs } from './retry-after.js';

interface Where {
  readonly registry: string;
  /** What was being done, as in `put manifest team/app:1`. */
  readonly doing: string;
}

const LONGEST_BODY = 16 * 1024;
/** Amazon ECR says so that a token is over. Not a page, nor a document that is broken. */
const PLAIN_LINE = /^[^\p{Cc}<>{}[\]]{1,300}$/u;

/** Reads the response's error document, or the line of text some send in its place, and makes an AppError of it. */
export async function refusedBy(response: Response, where: Where, nowMs: number): Promise<AppError> {
  const [code, message] = await ownWords(response);
  const said = [code, message].filter((part) => part !== undefined).join(': ');
  const text = `${where.registry} answered ${response.status} to ${where.doing}${said === '' ? '' : `: ${said}`}`;
  const [ourCode, kind] = classify(response.status);
  const waitMs = retryAfterMs(response, nowMs);
  return new AppError(ourCode, text, {
    kind,
    retryable: kind === 'unavailable' || kind === 'limited',
    details: {
      registry: where.registry,
      status: response.status,
      ...(code === undefined ? {} : { registryCode: code }),
      ...(waitMs === undefined ? {} : { retryAfterSeconds: Math.ceil(waitMs / 1000) }),
    },
  });
}

export function unreachable(where: Where, cause: unknown): AppError {
  const reason = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
  const why = reason instanceof Error ? reason.message : String(reason);
  return new AppError('REGISTRY_UNREACHABLE', `${where.registry} cannot be reached to ${where.doing}: ${why}`, {
    kind: 'unavailable',
    details: { registry: where.registry },
    cause,
  });
}

export function broken(where: Where, problem: string, cause?: unknown): AppError {
  return new AppError('REGISTRY_PROTOCOL', `${where.registry}, asked to ${where.doing}: ${problem}`, {
    kind: 'failed',
    details: { registry: where.registry },
    ...(cause === undefined ? {} : { cause }),
  });
}

export function contentMismatch(where: Where, expected: string, actual: string): AppError {
  const text = `${where.registry}, asked to ${where.doing}: the content has digest ${actual.slice(0, 150)}, not ${expected}`;
  return new AppError('REGISTRY_CONTENT_MISMATCH', text, {
    kind: 'failed',
    retryable: true,
    details: { registry: where.registry, expected },
  });
}

function classify(status: number): readonly [string, ErrorKind] {
  if (status === 401) return ['REGISTRY_UNAUTHORIZED', 'unauthenticated'];
  if (status === 403) return ['REGISTRY_DENIED', 'forbidden'];
  if (status === 404) return ['REGISTRY_NOT_FOUND', 'not-found'];
  if (status === 413) return ['REGISTRY_REFUSED', 'too-large'];
  if (status === 429) return ['REGISTRY_RATE_LIMITED', 'limited'];
  if (status >= 500) return ['REGISTRY_FAILED', 'unavailable'];
  return ['REGISTRY_REFUSED', 'failed'];
}

/** Code and message of the first entry of the error document; of a short text that is none, the text. */
async function ownWords(response: Response): Promise<readonly [string | undefined, string | undefined]> {
  const text = (await response.text().catch(() => '')).slice(0, LONGEST_BODY);
  try {
    const document = JSON.parse(text) as { errors?: { code?: unknown; message?: unknown }[] };
    const first = document.errors?.[0];
    return [
      typeof first?.code === 'string' ? first.code : undefined,
      typeof first?.message === 'string' ? first.message : undefined,
    ];
  } catch {
    const line = text.trim();
    return [undefined, PLAIN_LINE.test(line) ? line : undefined];
  }
}
