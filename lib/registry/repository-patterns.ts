/**
 * Repositories of which something holds, as patterns in one record, so that asking is one read:
 *
 * - `public`: anyone may pull them, without credentials. Asked only for callers who may not pull anyway.
 * - `sparse`: a manifest may be pushed there that names what is not there: an index of which only some platforms are
 *   mirrored. Asked only when something is missing.
 */
import { checkRepositoryPattern, matchesRepository } from '../auth/index.js';
import { AppError } from '../errors/index.js';
import type { RecordStore } from '../store/index.js';

export type PatternKind = 'public' | 'sparse';

interface PatternsRecord {
  /** Sorted. */
  readonly patterns: readonly string[];
}

const MAX_PATTERNS = 500;

export class RepositoryPatterns {
  constructor(
    private readonly deps: { readonly records: RecordStore },
    private readonly kind: PatternKind,
  ) {}

  async covers(repository: string): Promise<boolean> {
    return (await this.list()).some((pattern) => matchesRepository(pattern, repository));
  }

  /** Patterns, sorted. */
  async list(): Promise<readonly string[]> {
    return (await this.record())?.value.patterns ?? [];
  }

  /** Idempotent. @throws AppError REPOSITORY_PATTERN_INVALID, PUBLIC_REPOSITORIES_FULL, SPARSE_REPOSITORIES_FULL */
  async add(pattern: string): Promise<void> {
    checkRepositoryPattern(pattern);
    await this.rewrite((patterns) => (patterns.includes(pattern) ? patterns : [...patterns, pattern].sort()));
  }

  /** Takes effect at the next call; a token handed out before still pulls until it expires. @returns false: was not there */
  async remove(pattern: string): Promise<boolean> {
    return this.rewrite((patterns) => patterns.filter((each) => each !== pattern));
  }

  /** @returns whether anything changed */
  private async rewrite(change: (patterns: readonly string[]) => readonly string[]): Promise<boolean> {
    for (;;) {
      const record = await this.record();
      const before = record?.value.patterns ?? [];
      const patterns = change(before);
      if (patterns.length === before.length) return false;
      if (patterns.length > MAX_PATTERNS) throw this.full();
      const expect = record === undefined ? 'absent' : { version: record.version };
      const value: PatternsRecord = { patterns };
      if ((await this.deps.records.put(this.key, value, { expect })).outcome === 'written') return true;
    }
  }

  private get key() {
    return { partition: 'REGISTRY', sort: this.kind.toUpperCase() };
  }

  private record() {
    return this.deps.records.get<PatternsRecord>(this.key);
  }

  private full(): AppError {
    const { kind } = this;
    const message = `${MAX_PATTERNS} patterns of ${kind} repositories are there`;
    return new AppError(`${kind.toUpperCase()}_REPOSITORIES_FULL`, message, {
      kind: 'limited',
      hint: 'a pattern such as team/* for many repositories',
    });
  }
}
