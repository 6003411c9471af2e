/**
 * How an upstream is doing, and what its failures mean here. One that limits our rate is left alone for as long as it
 * asks; one that failed a moment ago is not waited for again while there is something to serve in its place.
 */
import { AppError, toAppError } from '../../errors/index.js';
import type { Clock } from '../../store/index.js';

interface Failure {
  readonly error: AppError;
  readonly untilMs: number;
}

const FAILED_MS = 10_000;
const MAX_LIMITED_MS = 3_600_000;

export class UpstreamState {
  private readonly failures = new Map<string, Failure>();

  constructor(private readonly clock: Clock) {}

  /** Does the work with the upstream, and remembers how it ended. @throws AppError as `translated` gives it */
  async run<T>(registry: string, work: () => Promise<T>): Promise<T> {
    const limited = this.failureOf(registry);
    if (limited?.error.kind === 'limited') throw limitedError(registry, limited.untilMs - this.clock.nowMs());
    try {
      const result = await work();
      this.failures.delete(registry);
      return result;
    } catch (thrown) {
      const error = toAppError(thrown);
      const after = error.details['retryAfterSeconds'];
      const forMs = error.kind === 'limited' && typeof after === 'number' ? after * 1000 : FAILED_MS;
      if (error.kind === 'limited' || error.kind === 'unavailable') {
        this.failures.set(registry, { error, untilMs: this.clock.nowMs() + Math.min(forMs, MAX_LIMITED_MS) });
      }
      throw translated(registry, error);
    }
  }

  /** Whether it failed a moment ago. */
  isFailing(registry: string): boolean {
    return this.failureOf(registry) !== undefined;
  }

  private failureOf(registry: string): Failure | undefined {
    const failure = this.failures.get(registry);
    return failure !== undefined && failure.untilMs > this.clock.nowMs() ? failure : undefined;
  }
}

/** What a client of the cache should see: the upstream's trouble is not theirs. */
function translated(registry: string, error: AppError): AppError {
  if (error.kind === 'unauthenticated' || error.kind === 'forbidden') {
    // To us, not to the client: their own credentials are right.
    return new AppError('UPSTREAM_DENIED', `${registry} does not let this platform in: ${error.message}`, {
      kind: 'not-found',
      hint: `an administrator runs wharf registry login ${registry}`,
      cause: error,
    });
  }
  if (error.kind !== 'failed') return error;
  return new AppError('UPSTREAM_FAILED', error.message, { kind: 'unavailable', cause: error });
}

function limitedError(registry: string, leftMs: number): AppError {
  return new AppError('REGISTRY_RATE_LIMITED', `${registry} limits the rate of this platform`, {
    kind: 'limited',
    retryable: true,
    details: { registry, retryAfterSeconds: Math.max(1, Math.ceil(leftMs / 1000)) },
  });
}
