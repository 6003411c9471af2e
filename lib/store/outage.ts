/**
 * Outages of the store, as those meet them who use it: a call that must come through, such as giving a lease back, is
 * made again for a while.
 */
import { toAppError } from '../errors/index.js';
import type { Clock } from './ports.js';

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
