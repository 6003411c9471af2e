/** The machine's clock, and so much more: days pass between two lives of a process. */
import { systemClock } from '../../lib/store/system/clock-system.js';
import type { Clock } from '../../lib/store/index.js';

export function clockAhead(aheadMs: number): Clock {
  return { nowMs: () => systemClock.nowMs() + aheadMs, sleep: (ms, signal) => systemClock.sleep(ms, signal) };
}
