/**
 * Dropping repeated messages by a record, for queues that cannot do it themselves. The record is written after the
 * send: a sender that dies between the two sends twice, which an at-least-once queue may, but a message that was never
 * sent is never dropped.
 */
import { DEDUPE_SECONDS } from '../queue-rules.js';
import type { Clock, RecordKey, RecordStore } from '../ports.js';

export async function sendOnce(
  deps: { readonly records: RecordStore; readonly clock: Clock },
  key: RecordKey,
  send: () => Promise<void>,
): Promise<void> {
  if ((await deps.records.get(key)) !== undefined) return;
  await send();
  await deps.records.put(key, {}, { expiresAtMs: deps.clock.nowMs() + DEDUPE_SECONDS * 1000 });
}
