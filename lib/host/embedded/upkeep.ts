/**
 * Upkeep on one machine, in small steps beside the work: content nobody needs, records that have expired, unpacked
 * layers beyond the disk they may take. A step that fails is logged and done again; stopping waits for the one step.
 */
import { readdir, readFile, readlink } from 'node:fs/promises';
import type { UnpackedLayers } from '../../layers/index.js';
import type { Collector, Round } from '../../registry/collector/index.js';
import type { Clock, Logger } from '../../store/index.js';

export interface EmbeddedUpkeepDeps {
  readonly collector: Pick<Collector, 'round'>;
  readonly layers: Pick<UnpackedLayers, 'list' | 'evict'>;
  readonly sweepExpired: () => Promise<number>;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface EmbeddedUpkeepOptions {
  /** Records or objects looked at in one round; 100 when absent. */
  readonly stepsPerRound?: number;
  /** Between rounds of one pass; 200 ms when absent. */
  readonly roundMs?: number;
  /** Between passes, and before the first; 5 minutes when absent. */
  readonly passMs?: number;
  /** Unpacked layers beyond so much go when nothing uses them; 20 GiB when absent. */
  readonly layerBytes?: number;
}

const DEFAULTS: Required<EmbeddedUpkeepOptions> = {
  stepsPerRound: 100,
  roundMs: 200,
  passMs: 5 * 60_000,
  layerBytes: 20 * 1024 ** 3,
};
/** A layer that was asked for is mounted soon after, and steps of one build ask for it again. */
const LAYER_REST_MS = 60 * 60_000;
const EXPIRED_AT_ONCE = 1000;

export class EmbeddedUpkeep {
  private readonly options: Required<EmbeddedUpkeepOptions>;
  private readonly stopping = new AbortController();
  private running: Promise<void> = Promise.resolve();

  constructor(
    private readonly deps: EmbeddedUpkeepDeps,
    options: EmbeddedUpkeepOptions = {},
  ) {
    this.options = { ...DEFAULTS, ...options };
  }

  start(): void {
    this.running = this.run();
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await this.running;
  }

  private async run(): Promise<void> {
    const { stepsPerRound, roundMs, passMs } = this.options;
    let pauseMs = passMs;
    while (await this.pause(pauseMs)) {
      const round = await this.attempt('collecting', () => this.deps.collector.round(stepsPerRound));
      pauseMs = round?.finished === false ? roundMs : passMs;
      if (round?.finished !== true) continue;
      this.report(round);
      await this.attempt('expired records', () => this.sweepRecords());
      await this.attempt('unpacked layers', () => this.sweepLayers());
    }
  }

  private async pause(ms: number): Promise<boolean> {
    const { signal } = this.stopping;
    await this.deps.clock.sleep(ms, signal).catch(() => {});
    return !signal.aborted;
  }

  private async attempt<T>(what: string, work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      this.deps.logger.warn('upkeep failed, it is tried again', { what, error });
      return undefined;
    }
  }

  private report({ collected }: Round): void {
    const counts = Object.values(collected) as readonly number[];
    if (counts.some((count) => count > 0)) this.deps.logger.info('collected what nobody needs', { ...collected });
  }

  private async sweepRecords(): Promise<void> {
    while ((await this.deps.sweepExpired()) >= EXPIRED_AT_ONCE && (await this.pause(this.options.roundMs)));
  }

  /** The longest unused first, until what is left fits. */
  private async sweepLayers(): Promise<void> {
    const { layers, clock, logger } = this.deps;
    const unpacked = [...(await layers.list())].sort((a, b) => a.usedMs - b.usedMs);
    let bytes = unpacked.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    for (const { diffId, name, sizeBytes } of unpacked) {
      if (bytes <= this.options.layerBytes || this.stopping.signal.aborted) return;
      // Asked anew for each: a container may have started meanwhile.
      if ((await mountTables()).some((table) => table.includes(name))) continue;
      if (!(await layers.evict(diffId, clock.nowMs() - LAYER_REST_MS))) continue;
      bytes -= sizeBytes;
      logger.info('removed an unpacked layer that nothing uses', { diffId, sizeBytes });
    }
  }
}

/** The mount table of every mount namespace on the machine. A layer's name stands in each mount that uses it. */
async function mountTables(): Promise<readonly string[]> {
  const seen = new Set<string>();
  const tables: string[] = [];
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    // Processes come and go.
    const namespace = await readlink(`/proc/${pid}/ns/mnt`).catch(() => undefined);
    if (namespace === undefined || seen.has(namespace)) continue;
    const table = await readFile(`/proc/${pid}/mountinfo`, 'utf8').catch(() => undefined);
    if (table === undefined) continue;
    seen.add(namespace);
    tables.push(table);
  }
  return tables;
}
