/** Long walks over what lies in memory, in pieces: a lease, a request, a cancellation have their turn in between. */
import { setImmediate as nextTurn } from 'node:timers/promises';

/** Some ten milliseconds of what builds do with an entry. */
const ENTRIES_AT_ONCE = 4000;

/** Looks at one entry after the other. @param signal heeded between pieces */
export async function inTurns<T>(entries: Iterable<T>, look: (entry: T) => void, signal?: AbortSignal): Promise<void> {
  let count = 0;
  for (const entry of entries) {
    look(entry);
    count += 1;
    if (count % ENTRIES_AT_ONCE !== 0) continue;
    await nextTurn();
    signal?.throwIfAborted();
  }
}
