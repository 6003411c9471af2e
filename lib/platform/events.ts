/**
 * What happened, kept for people: one line per event, in the log of its cluster and, if it has one, its service.
 * An event is written in the same transaction as the change it tells of, so it is told once.
 */
import type { Clock, Ids, RecordStore, RecordWrite } from '../store/index.js';
import { CLUSTERS, servicePartition } from './keys.js';
import type { Page, PageOptions, PlatformEvent } from './types.js';

/** 30 days. */
const KEPT_MS = 30 * 24 * 3600 * 1000;

export type NewEvent = Omit<PlatformEvent, 'id' | 'timeMs'>;

export interface EventFilter extends PageOptions {
  readonly cluster?: string;
  readonly service?: string;
}

export class Events {
  constructor(private readonly deps: { readonly records: RecordStore; readonly clock: Clock; readonly ids: Ids }) {}

  /** The writes that put an event into its logs, for the transaction of what it tells of. */
  writes(event: NewEvent): readonly RecordWrite[] {
    const timeMs = this.deps.clock.nowMs();
    const value: PlatformEvent = { id: this.deps.ids.ulid(), timeMs, ...event };
    const put = (partition: string): RecordWrite => ({
      op: 'put',
      key: { partition, sort: `E#${value.id}` },
      value,
      expect: 'absent',
      expiresAtMs: timeMs + KEPT_MS,
    });
    const writes = [put(`CLUSTER#${event.cluster}`)];
    if (event.service !== undefined) writes.push(put(servicePartition(event.cluster, event.service)));
    return writes;
  }

  async write(event: NewEvent): Promise<void> {
    await this.deps.records.transact(this.writes(event));
  }

  /** Newest first. Without a cluster: of all clusters, merged. The cursor is the id of the last event seen. */
  async list(filter: EventFilter = {}): Promise<Page<PlatformEvent>> {
    const limit = filter.limit ?? 50;
    const partitions = await this.partitions(filter);
    const pages = await Promise.all(
      partitions.map((partition) =>
        this.deps.records.query<PlatformEvent>(partition, {
          prefix: 'E#',
          reverse: true,
          limit: limit + 1,
          ...(filter.cursor === undefined ? {} : { before: `E#${filter.cursor}` }),
        }),
      ),
    );
    const events = pages
      .flatMap((page) => page.records.map((record) => record.value))
      .sort((a, b) => (a.id < b.id ? 1 : -1));
    const items = events.slice(0, limit);
    const last = items.at(-1);
    return events.length > limit && last !== undefined ? { items, cursor: last.id } : { items };
  }

  private async partitions(filter: EventFilter): Promise<readonly string[]> {
    if (filter.cluster !== undefined && filter.service !== undefined) {
      return [servicePartition(filter.cluster, filter.service)];
    }
    if (filter.cluster !== undefined) return [`CLUSTER#${filter.cluster}`];
    const clusters = await this.deps.records.query(CLUSTERS, { limit: 1000 });
    return clusters.records.map((record) => `CLUSTER#${record.sort}`);
  }
}
