/** Turns what an AWS client throws into an AppError: a service that is down, busy or misconfigured is said to be so. */
import { AppError } from '../../errors/index.js';

interface ServiceFailure {
  readonly name: string;
  readonly message: string;
  readonly $metadata?: { readonly httpStatusCode?: number; readonly requestId?: string };
}

/**
 * After the client's own retries. STORE_REFUSED: the service understood and said no, which is a fault of the set-up.
 * STORE_UNAVAILABLE: down, throttling or out of reach; trying later may help.
 */
export function awsFailure(service: string, error: unknown): AppError {
  if (error instanceof AppError) return error;
  const failure = describe(error);
  const status = failure.$metadata?.httpStatusCode;
  const details = { service, reason: failure.name, ...(status === undefined ? {} : { status }) };
  const isThrottled = /Throttl|ThroughputExceeded|SlowDown|LimitExceeded|TooManyRequests/.test(failure.name);
  if (status !== undefined && status >= 400 && status < 500 && status !== 429 && !isThrottled) {
    return new AppError('STORE_REFUSED', `${service} refused a request: ${failure.name}`, {
      kind: 'internal',
      hint: 'check that the resource exists and that the role may use it',
      details,
      cause: error,
    });
  }
  return new AppError('STORE_UNAVAILABLE', `${service} cannot be reached or is busy: ${failure.name}`, {
    kind: 'unavailable',
    hint: 'try again; nothing already acknowledged is lost',
    details,
    cause: error,
  });
}

/** The error's name as the service gave it, such as NoSuchKey. */
export function awsErrorName(error: unknown): string {
  return describe(error).name;
}

function describe(error: unknown): ServiceFailure {
  if (error instanceof Error) return error;
  return { name: 'Error', message: String(error) };
}
