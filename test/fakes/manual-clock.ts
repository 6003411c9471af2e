/** A clock that stands still until the test moves it. */
import type { Clock } from '../../lib/store/index.js';

export interface ManualClock extends Clock {
  /** Moves time on and ends the sleeps that are over by then. */
  advance(ms: number): void;
}

export function manualClock(startMs = Date.UTC(2026, 0, 1)): ManualClock {
  let nowMs = startMs;
  const sleepers = new Set<{ readonly untilMs: number; wake(): void }>();
  return {
    nowMs: () => nowMs,
    advance(ms) {
      nowMs += ms;
      for (const sleeper of [...sleepers].filter(({ untilMs }) => untilMs <= nowMs)) sleeper.wake();
    },
    sleep(ms, signal) {
      return new Promise<void>((resolve, reject) => {
        if (signal?.aborted === true) return reject(signal.reason as Error);
        if (ms <= 0) return resolve();
        const onAbort = (): void => finish(() => reject(signal?.reason as Error));
        const sleeper = { untilMs: nowMs + ms, wake: () => finish(resolve) };
        const finish = (settle: () => void): void => {
          sleepers.delete(sleeper);
          signal?.removeEventListener('abort', onAbort);
          settle();
        };
        sleepers.add(sleeper);
        signal?.addEventListener('abort', onAbort, { once: true });
      });
    },
  };
}
