/**
 * Registry tokens that were verified a moment ago, by the hash of their text: a client shows the same one with every
 * request, and a signature costs more to verify than most reads cost to answer. Bounded; the oldest goes first.
 */
import type { GrantHolder } from './principal.js';
import { hashOf } from './secret-text.js';
import type { SigningKey } from './token-keys.js';

export interface VerifiedToken {
  readonly holder: GrantHolder;
  readonly kid: string;
  /** What its signature was verified with. */
  readonly key: SigningKey;
  /** Epoch milliseconds, with what clocks may differ: from, and up to but not including. */
  readonly fromMs: number;
  readonly untilMs: number;
}

const MOST = 1000;

export class VerifiedTokens {
  private readonly kept = new Map<string, VerifiedToken>();

  /** Undefined when it was not verified, or not for this moment. Whether the key still counts is for the caller to ask. */
  find(token: string, nowMs: number): VerifiedToken | undefined {
    const known = this.kept.get(hashOf(token));
    return known !== undefined && known.fromMs <= nowMs && nowMs < known.untilMs ? known : undefined;
  }

  keep(token: string, verified: VerifiedToken): void {
    const hash = hashOf(token);
    this.kept.delete(hash);
    this.kept.set(hash, verified);
    for (const oldest of this.kept.keys()) {
      if (this.kept.size <= MOST) return;
      this.kept.delete(oldest);
    }
  }
}
