/**
 * The collector on Lambda: a pass over all that is stored, as much of it at a time as the function has time for. While
 * the same process is called again it goes on where it stood; a new one begins anew, which costs time and nothing else.
 * Two at once would undo one another's choices, so each call works under a claim, which runs out with its time.
 */
import { imagesInUse } from '../../platform/index.js';
import { CacheEviction, Upstreams } from '../../registry/cache/index.js';
import { Collector } from '../../registry/collector/index.js';
import { type Metrics, noMetrics, type RecordKey } from '../../store/index.js';
import { openAwsRegistry } from './registry.js';
import type { AwsStore } from './store.js';

/** When the last whole pass ended. */
const KEY: RecordKey = { partition: 'UPKEEP#collector', sort: '-' };
/** Whose turn it is, and until when. */
const CLAIM: RecordKey = { partition: 'UPKEEP#collector', sort: 'claim' };
const STEPS = 100;
/** Beyond the time that a call is given: a round of steps that is under way. */
const GRACE_MS = 30_000;
/** No function lives longer. */
const LONGEST_MS = 15 * 60_000;

export interface AwsCollectorOptions {
  /** Between the end of a pass and the next; 6 hours when absent. */
  readonly pauseMs?: number;
  /** Told at the end of a pass; nobody when absent. */
  readonly metrics?: Metrics;
}

export class AwsCollector {
  private readonly collector: Pick<Collector, 'round'>;
  private isUnderWay = false;

  constructor(
    private readonly store: AwsStore,
    private readonly options: AwsCollectorOptions = {},
  ) {
    const caches = new CacheEviction({ registry: openAwsRegistry(store), upstreams: new Upstreams(store) });
    this.collector = new Collector({ ...store, pins: { list: () => imagesInUse(store.records) }, caches });
  }

  /**
   * @returns `finished` with the pass, `unfinished` when the time was over first, `resting` between two passes, `busy`
   * when another call is at it, or died at it and its time is not over
   */
  async work(untilMs: number): Promise<'finished' | 'unfinished' | 'resting' | 'busy'> {
    if (!this.isUnderWay && (await this.isResting())) return 'resting';
    const { records } = this.store;
    const claim = await this.claim(untilMs);
    if (claim === undefined) return 'busy';
    try {
      return await this.pass(untilMs);
    } finally {
      await records.delete(CLAIM, { expect: claim });
    }
  }

  private async claim(untilMs: number): Promise<{ readonly version: number } | undefined> {
    const { clock, records } = this.store;
    const held = await records.get<{ readonly untilMs: number }>(CLAIM);
    const nowMs = clock.nowMs();
    if (held !== undefined && held.value.untilMs > nowMs) return undefined;
    const value = { untilMs: Math.min(untilMs + GRACE_MS, nowMs + LONGEST_MS) };
    const put = await records.put(CLAIM, value, { expect: held === undefined ? 'absent' : { version: held.version } });
    return put.outcome === 'written' ? { version: put.version } : undefined;
  }

  private async pass(untilMs: number): Promise<'finished' | 'unfinished'> {
    const { clock, records, logger } = this.store;
    while (clock.nowMs() < untilMs) {
      this.isUnderWay = true;
      // When it throws, the collector begins anew by itself.
      const { finished, collected } = await this.collector.round(STEPS);
      if (!finished) continue;
      this.isUnderWay = false;
      await records.put(KEY, { finishedMs: clock.nowMs() });
      const { metrics = noMetrics } = this.options;
      metrics.count('ManifestsCollected', collected.manifests);
      metrics.count('BlobsCollected', collected.blobs + collected.orphans);
      metrics.count('BytesCollected', collected.blobBytes);
      metrics.count('UploadsCollected', collected.uploads);
      logger.info('looked through everything that is stored', { ...collected });
      return 'finished';
    }
    return 'unfinished';
  }

  private async isResting(): Promise<boolean> {
    const last = await this.store.records.get<{ readonly finishedMs: number }>(KEY);
    const { pauseMs = 6 * 3600 * 1000 } = this.options;
    return last !== undefined && this.store.clock.nowMs() - last.value.finishedMs < pauseMs;
  }
}
