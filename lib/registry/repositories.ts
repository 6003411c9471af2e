/** The catalogue of repositories. A repository comes into being with the first blob or manifest it is given. */
import type { Clock, Expect, RecordStore, RecordWrite } from '../store/index.js';
import { CATALOG, recordKey, type RepositoryRecord } from './records.js';

export interface PageOptions {
  /** Exclusive; need not exist. */
  readonly after?: string;
  /** 1 to 10,000; 100 when absent. */
  readonly limit?: number;
}

export interface Page<T> {
  readonly items: readonly T[];
  /** Whether more follow. */
  readonly more: boolean;
}

export class Repositories {
  constructor(private readonly deps: { readonly records: RecordStore; readonly clock: Clock }) {}

  async exists(name: string): Promise<boolean> {
    return (await this.deps.records.get(recordKey.repository(name))) !== undefined;
  }

  /** Idempotent. */
  async ensure(name: string): Promise<void> {
    for (const { key, value, expect } of await this.ensuring(name)) await this.deps.records.put(key, value, { expect });
  }

  /** What there is to write, in a transaction that is begun anew when someone else did, so that the repository is there. */
  async ensuring(name: string): Promise<readonly (RecordWrite & { readonly op: 'put'; readonly expect: Expect })[]> {
    const key = recordKey.repository(name);
    if ((await this.deps.records.get(key)) !== undefined) return [];
    const value: RepositoryRecord = { createdMs: this.deps.clock.nowMs() };
    return [{ op: 'put', key, value, expect: 'absent' }];
  }

  /** Names in ASCII order. */
  async list(options: PageOptions = {}): Promise<Page<string>> {
    return readPage(this.deps.records, { partition: CATALOG, prefix: '' }, options, (name) => name);
  }
}

/** One page of a partition's records, gathered from as many pages of the store as it takes. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- ties what is queried to what `item` takes
export async function readPage<T extends object, R>(
  records: RecordStore,
  from: { readonly partition: string; readonly prefix: string },
  options: PageOptions,
  /** @param name the sort key without the prefix */
  item: (name: string, value: T) => R,
): Promise<Page<R>> {
  const limit = options.limit ?? 100;
  const items: R[] = [];
  let cursor: string | undefined;
  do {
    const page = await records.query<T>(from.partition, {
      limit: Math.min(1000, limit + 1 - items.length),
      ...(from.prefix === '' ? {} : { prefix: from.prefix }),
      ...(options.after === undefined ? {} : { after: from.prefix + options.after }),
      ...(cursor === undefined ? {} : { cursor }),
    });
    items.push(...page.records.map(({ sort, value }) => item(sort.slice(from.prefix.length), value)));
    cursor = page.cursor;
  } while (cursor !== undefined && items.length <= limit);
  return { items: items.slice(0, limit), more: items.length > limit };
}
