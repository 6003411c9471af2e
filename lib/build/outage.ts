/**
 * Outages of the store, as the builder meets them: no fault of the build and not the end of it. A call that must come
 * through is made again for a while; a build that cannot go on is left for later (`worker.ts`).
 */
import { toAppError } from '../errors/index.js';
import type { Clock } from '../store/index.js';

const FIRST_MS = 100;
const LONGEST_MS = 3_000;

/** Whether the store was down or busy beyond its client's own patience. */
export function isOutage(error: unknown): boolean {
  return toAppError(error).code === 'STORE_UNAVAILABLE';
}

/**
 * Makes the call again as long as the store is out, at most for this time. It may have come through unheard before, so
 * it must be harmless when repeated.
 */
export async function insist<T>(clock: Clock, forMs: number, call: () => Promise<T>): Promise<T> {
  const endMs = clock.nowMs() + forMs;
  for (let pauseMs = FIRST_MS; ; pauseMs = Math.min(LONGEST_MS, pauseMs * 2)) {
    try {
      return await call();
    } catch (error) {
      if (!isOutage(error) || clock.nowMs() + pauseMs > endMs) throw error;
    }
    await clock.sleep(pauseMs * (0.5 + Math.random() / 2));
  }
}
