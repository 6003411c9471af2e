/** Bounds and shares work inside one process. */

/** So many at once; the others wait in order. */
export class Slots {
  private free: number;
  private readonly waiting: (() => void)[] = [];

  constructor(count: number) {
    this.free = count;
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.free > 0) this.free -= 1;
    else await new Promise<void>((resolve) => this.waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.waiting.shift();
      if (next === undefined) this.free += 1;
      else next();
    }
  }
}

/** Equal work is done once: whoever comes while it runs waits for its result. */
export class SingleFlight<T> {
  private readonly running = new Map<string, Promise<T>>();

  /** @returns `shared` when another caller did the work. Its failure is not ours: we try again ourselves. */
  async run(
    key: string,
    work: () => Promise<T>,
    signal: AbortSignal,
  ): Promise<{ readonly value: T; readonly shared: boolean }> {
    for (;;) {
      const running = this.running.get(key);
      if (running === undefined) break;
      const value = await Promise.race([running.catch(() => undefined), aborted(signal)]);
      signal.throwIfAborted();
      if (value !== undefined) return { value, shared: true };
    }
    const mine = work().finally(() => this.running.delete(key));
    this.running.set(key, mine);
    return { value: await mine, shared: false };
  }
}

/** Resolves when the signal says so. */
function aborted(signal: AbortSignal): Promise<undefined> {
  if (signal.aborted) return Promise.resolve(undefined);
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(undefined), { once: true }));
}
