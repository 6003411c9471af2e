/** A value that changes and that others wait on. Nothing is missed: a waiter looks at the value before it waits. */
export class Observed<T> {
  private readonly waiters = new Set<() => void>();

  constructor(private current: T) {}

  get value(): T {
    return this.current;
  }

  set(value: T): void {
    this.current = value;
    for (const wake of this.waiters) wake();
  }

  /** Resolves with the first value the predicate holds for. @throws the signal's reason */
  until(predicate: (value: T) => boolean, signal?: AbortSignal): Promise<T> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (signal?.aborted === true) finish(() => reject(signal.reason as Error));
        else if (predicate(this.current)) finish(() => resolve(this.current));
      };
      const finish = (settle: () => void): void => {
        this.waiters.delete(look);
        signal?.removeEventListener('abort', look);
        settle();
      };
      this.waiters.add(look);
      signal?.addEventListener('abort', look, { once: true });
      look();
    });
  }
}
