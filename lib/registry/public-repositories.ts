/**
 * Repositories that anyone may pull, without credentials: patterns in one record, so that asking is one read. It is
 * asked only for callers who may not pull anyway.
 */
import { checkRepositoryPattern, matchesRepository } from '../auth/index.js';
import { AppError } from '../errors/index.js';
import type { RecordKey, RecordStore } from '../store/index.js';

interface PublicRecord {
  /** Sorted. */
  readonly patterns: readonly string[];
}

const KEY: RecordKey = { partition: 'REGISTRY', sort: 'PUBLIC' };
const MAX_PATTERNS = 500;

export class PublicRepositories {
  constructor(private readonly deps: { readonly records: RecordStore }) {}

  async isPublic(repository: string): Promise<boolean> {
    return (await this.list()).some((pattern) => matchesRepository(pattern, repository));
  }

  /** Patterns, sorted. */
  async list(): Promise<readonly string[]> {
    return (await this.deps.records.get<PublicRecord>(KEY))?.value.patterns ?? [];
  }

  /** Idempotent. @throws AppError REPOSITORY_PATTERN_INVALID, PUBLIC_REPOSITORIES_FULL */
  async publish(pattern: string): Promise<void> {
    checkRepositoryPattern(pattern);
    await this.rewrite((patterns) => (patterns.includes(pattern) ? patterns : [...patterns, pattern].sort()));
  }

  /** Takes effect at the next call; a token handed out before still pulls until it expires. @returns false: was not public */
  async unpublish(pattern: string): Promise<boolean> {
    return this.rewrite((patterns) => patterns.filter((each) => each !== pattern));
  }

  /** @returns whether anything changed */
  private async rewrite(change: (patterns: readonly string[]) => readonly string[]): Promise<boolean> {
    for (;;) {
      const record = await this.deps.records.get<PublicRecord>(KEY);
      const before = record?.value.patterns ?? [];
      const patterns = change(before);
      if (patterns.length === before.length) return false;
      if (patterns.length > MAX_PATTERNS) {
        throw new AppError('PUBLIC_REPOSITORIES_FULL', `${MAX_PATTERNS} patterns of public repositories are there`, {
          kind: 'limited',
          hint: 'a pattern such as team/* for many repositories',
        });
      }
      const expect = record === undefined ? 'absent' : { version: record.version };
      const value: PublicRecord = { patterns };
      if ((await this.deps.records.put(KEY, value, { expect })).outcome === 'written') return true;
    }
  }
}
