/**
 * Which services, or clusters, want a look, and when. A key is worked on by one round at a time; a wake during its round makes one
 * more round. Timers come from the clock, one per key.
 */
import type { Clock, Logger } from '../store/index.js';

interface Entry {
  due: boolean;
  running: Promise<void> | undefined;
  timer: { readonly atMs: number; readonly abort: AbortController } | undefined;
}

const RETRY_MS = 1000;

export class WakeList {
  readonly #entries = new Map<string, Entry>();
  #closed = false;

  constructor(
    private readonly deps: { readonly clock: Clock; readonly logger: Logger },
    /** One round; resolves with the time of the next look, if one is known. */
    private readonly round: (key: string) => Promise<number | undefined>,
  ) {}

  wake(key: string): void {
    if (this.#closed) return;
    const entry = this.#entry(key);
    entry.due = true;
    entry.running ??= this.#run(key, entry);
  }

  async idle(): Promise<void> {
    for (;;) {
      const running = [...this.#entries.values()].flatMap((entry) => entry.running ?? []);
      if (running.length === 0) return;
      await Promise.all(running);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const entry of this.#entries.values()) entry.timer?.abort.abort();
    await this.idle();
  }

  #entry(key: string): Entry {
    const known = this.#entries.get(key);
    if (known !== undefined) return known;
    const entry: Entry = { due: false, running: undefined, timer: undefined };
    this.#entries.set(key, entry);
    return entry;
  }

  async #run(key: string, entry: Entry): Promise<void> {
    // The caller goes on first: a burst of wakes makes one round.
    await Promise.resolve();
    let nextMs: number | undefined;
    while (entry.due && !this.#closed) {
      entry.due = false;
      try {
        nextMs = await this.round(key);
        if (nextMs !== undefined && nextMs <= this.deps.clock.nowMs()) entry.due = true;
      } catch (error) {
        this.deps.logger.error('a round could not be done', { key, error: String(error) });
        nextMs = this.deps.clock.nowMs() + RETRY_MS;
      }
    }
    entry.running = undefined;
    this.#setTimer(key, entry, nextMs);
  }

  #setTimer(key: string, entry: Entry, atMs: number | undefined): void {
    entry.timer?.abort.abort();
    entry.timer = undefined;
    if (atMs === undefined) {
      if (!entry.due) this.#entries.delete(key);
      return;
    }
    if (this.#closed) return;
    const abort = new AbortController();
    entry.timer = { atMs, abort };
    this.deps.clock.sleep(Math.max(0, atMs - this.deps.clock.nowMs()), abort.signal).then(
      () => this.wake(key),
      () => undefined,
    );
  }
}
