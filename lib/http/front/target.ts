/** One address that answers for a service: its state, its connections, and how many requests are under way on it. */
import { Agent } from 'node:http';
import type { Target } from '../../engine/index.js';

export type TargetState = 'initial' | 'healthy' | 'unhealthy' | 'draining';

export class FrontTarget {
  state: TargetState = 'initial';
  /** A connection just failed: no new request until a probe has passed. */
  isSuspect = false;
  /** Idle connections are kept for the next request. */
  readonly agent = new Agent({ keepAlive: true, maxFreeSockets: 64 });
  /** Fires when the target is gone: ends its probes. */
  readonly removed = new AbortController();
  private underWay = 0;
  private readonly closers = new Set<() => void>();
  private readonly idleWaiters: (() => void)[] = [];

  constructor(readonly address: Target) {}

  get requests(): number {
    return this.underWay;
  }

  get isEligible(): boolean {
    return this.state === 'healthy' && !this.isSuspect;
  }

  /**
   * Counts a request in.
   * @param close breaks it off, for when the drain has taken too long
   * @returns counts it out; calling it again does nothing
   */
  begin(close: () => void): () => void {
    this.underWay += 1;
    this.closers.add(close);
    return () => {
      if (!this.closers.delete(close)) return;
      this.underWay -= 1;
      if (this.underWay === 0) for (const resolve of this.idleWaiters.splice(0)) resolve();
    };
  }

  /** Resolves when no request is under way. */
  idle(): Promise<void> {
    return this.underWay === 0 ? Promise.resolve() : new Promise((resolve) => this.idleWaiters.push(resolve));
  }

  /** Breaks off what is under way and closes every connection. */
  close(): void {
    this.removed.abort();
    for (const close of this.closers) close();
    this.agent.destroy();
  }
}
