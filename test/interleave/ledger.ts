/** What clients were told: a manifest that was acknowledged and that nobody deleted since must be there. */
import type { Digest } from '../../lib/oci/index.js';
import type { Clock } from '../../lib/store/index.js';

interface Entry {
  /** Of the last push that no deletion overlapped. */
  acknowledgedMs: number | undefined;
  deletions: number;
  deleting: number;
}

export class Ledger {
  private readonly entries = new Map<string, Entry>();

  constructor(private readonly clock: Clock) {}

  beginPush(repository: string, digest: Digest): () => void {
    const entry = this.entry(repository, digest);
    const before = entry.deletions;
    const atMs = this.clock.nowMs();
    return () => {
      if (entry.deletions === before && entry.deleting === 0) entry.acknowledgedMs = atMs;
    };
  }

  beginDelete(repository: string, digest: Digest): () => void {
    const entry = this.entry(repository, digest);
    entry.acknowledgedMs = undefined;
    entry.deletions += 1;
    entry.deleting += 1;
    return () => {
      entry.deleting -= 1;
    };
  }

  /** Pushed no longer ago than this, and not deleted by anyone. */
  acknowledged(withinMs: number): { readonly repository: string; readonly digest: Digest }[] {
    const since = this.clock.nowMs() - withinMs;
    return [...this.entries].flatMap(([key, { acknowledgedMs }]) => {
      const [repository = '', digest = ''] = key.split(' ');
      const counts = acknowledgedMs !== undefined && acknowledgedMs > since;
      return counts ? [{ repository, digest: digest as Digest }] : [];
    });
  }

  private entry(repository: string, digest: Digest): Entry {
    const key = `${repository} ${digest}`;
    const entry = this.entries.get(key) ?? { acknowledgedMs: undefined, deletions: 0, deleting: 0 };
    this.entries.set(key, entry);
    return entry;
  }
}
