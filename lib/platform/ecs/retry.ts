/** Retries of what passes by itself: throttling, a server error, a lost connection. Exponential with full jitter. */
import { toAppError } from '../../errors/index.js';
import type { Clock } from '../../store/index.js';

export interface RetryOptions {
  /** Including the first; 4 when absent. */
  readonly attempts?: number;
  /** 100 when absent: waits of up to 100, 200, 400 ms. */
  readonly baseMs?: number;
  readonly random?: () => number;
  readonly signal?: AbortSignal;
}

/** Runs the call again while it fails with a retryable error. The call must be safe to repeat. */
export async function withRetry<T>(clock: Clock, call: () => Promise<T>, options: RetryOptions = {}): Promise<T> {
  const { attempts = 4, baseMs = 100, random = Math.random, signal } = options;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await call();
    } catch (error) {
      if (attempt >= attempts || !toAppError(error).retryable) throw error;
      await clock.sleep(random() * baseMs * 2 ** (attempt - 1), signal);
    }
  }
}
