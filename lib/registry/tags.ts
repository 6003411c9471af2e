/**
 * Tags: names that point at manifests, and the history of where they pointed. A tag is written only together with
 * the manifest it points at (manifests.ts); here it is read, listed and taken away.
 */
import type { Digest } from '../oci/index.js';
import type { Clock, Ids, RecordStore, RecordWrite } from '../store/index.js';
import { recordKey, repo, type TagHistoryRecord, type TagRecord } from './records.js';
import { type Page, type PageOptions, readPage } from './repositories.js';
import type { TagEntry } from './types.js';

export interface TagsDeps {
  readonly records: RecordStore;
  readonly clock: Clock;
  readonly ids: Ids;
}

/** One place a tag pointed at; no digest: it was deleted then. */
export interface TagHistoryEntry {
  readonly digest?: Digest;
  readonly atMs: number;
}

/** How long a tag's history reaches back: what ended before is not shown, and pruned by the collector. */
export const HISTORY_MS = 90 * 24 * 60 * 60 * 1000;

export class Tags {
  constructor(private readonly deps: TagsDeps) {}

  async resolve(repository: string, tag: string): Promise<Digest | undefined> {
    return (await this.deps.records.get<TagRecord>(recordKey.tag(repository, tag)))?.value.digest;
  }

  /** In ASCII order of the tags. */
  async list(repository: string, options: PageOptions = {}): Promise<Page<TagEntry>> {
    const from = { partition: repo(repository), prefix: 'TAG#' };
    return readPage(this.deps.records, from, options, (tag, value: TagRecord) => ({ tag, ...value }));
  }

  /** Where the tag pointed, newest first. */
  async history(repository: string, tag: string, limit = 100): Promise<readonly TagHistoryEntry[]> {
    const page = await this.deps.records.query<TagHistoryRecord>(repo(repository), {
      prefix: `TAGLOG#${tag}#`,
      reverse: true,
      limit,
    });
    const since = this.deps.clock.nowMs() - HISTORY_MS;
    const entries = page.records.map((record) => record.value);
    // An entry ended with the newer one before it, a deletion at once.
    return entries.filter(({ digest, atMs }, i) => {
      const newer = entries[i - 1]?.atMs;
      return newer === undefined ? digest !== undefined || atMs > since : newer > since;
    });
  }

  /** @returns false when there is no such tag. The manifest stays. */
  async delete(repository: string, tag: string): Promise<boolean> {
    const key = recordKey.tag(repository, tag);
    for (;;) {
      const record = await this.deps.records.get<TagRecord>(key);
      if (record === undefined) return false;
      const result = await this.deps.records.transact([
        { op: 'delete', key, expect: { version: record.version } },
        this.historyWrite(repository, tag, undefined),
      ]);
      if (result.outcome === 'written') return true;
    }
  }

  /** Takes away every tag that points at the manifest. */
  async deleteTagsOf(repository: string, digest: Digest): Promise<void> {
    let after: string | undefined;
    for (;;) {
      const page = await this.list(repository, { limit: 1000, ...(after === undefined ? {} : { after }) });
      for (const entry of page.items) {
        if (entry.digest === digest) await this.deleteIfAt(repository, entry.tag, digest);
      }
      after = page.items.at(-1)?.tag;
      if (!page.more) return;
    }
  }

  /** The writes that point a tag at a manifest, for the transaction that stores the manifest; when that is lost, to be made anew. */
  async writes(repository: string, tag: string, digest: Digest): Promise<readonly RecordWrite[]> {
    const key = recordKey.tag(repository, tag);
    const value: TagRecord = { digest, updatedMs: this.deps.clock.nowMs() };
    const before = await this.deps.records.get<TagRecord>(key);
    // Where it points already its history has nothing new, as long as nobody moves it meanwhile.
    if (before?.value.digest === digest) return [{ op: 'put', key, value, expect: { version: before.version } }];
    return [{ op: 'put', key, value }, this.historyWrite(repository, tag, digest)];
  }

  private async deleteIfAt(repository: string, tag: string, digest: Digest): Promise<void> {
    const key = recordKey.tag(repository, tag);
    for (;;) {
      const record = await this.deps.records.get<TagRecord>(key);
      if (record?.value.digest !== digest) return;
      const result = await this.deps.records.transact([
        { op: 'delete', key, expect: { version: record.version } },
        this.historyWrite(repository, tag, undefined),
      ]);
      if (result.outcome === 'written') return;
    }
  }

  private historyWrite(repository: string, tag: string, digest: Digest | undefined): RecordWrite {
    const atMs = this.deps.clock.nowMs();
    const value: TagHistoryRecord = { atMs, ...(digest === undefined ? {} : { digest }) };
    const key = recordKey.tagHistory(repository, tag, this.deps.ids.ulid());
    return { op: 'put', key, value };
  }
}
