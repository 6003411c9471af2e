/**
 * BuildWorker: takes messages and builds, one build per slot. A lease keeps two workers off the same build; when a
 * worker dies its lease runs out, the message comes back, and the next worker goes on from the finished steps, which
 * are in the cache. What a try comes to is in `build-tries.ts`.
 */
import type { Ids, Queue, QueueMessage } from '../store/index.js';
import { decodeMessage, encodeMessage, isFinal, OPEN_LIST } from './build-records.js';
import { BuildTries, type BuildTriesDeps, type BuildTriesOptions, type Tried } from './build-tries.js';
import { BuildLease, BuildStopped, heartbeat } from './lease.js';

export interface BuildWorkerDeps extends BuildTriesDeps {
  readonly queue: Queue;
  readonly ids: Ids;
}

export interface BuildWorkerOptions extends BuildTriesOptions {
  /** Builds at once; 1 when absent. */
  readonly slots?: number;
  /** A lease that is not renewed for so long is free; 15 s when absent. */
  readonly leaseMs?: number;
}

export class BuildWorker {
  private readonly stopping = new AbortController();
  private readonly leaseMs: number;
  private readonly tries: BuildTries;
  private loops: Promise<void>[] = [];

  constructor(
    private readonly deps: BuildWorkerDeps,
    private readonly options: BuildWorkerOptions = {},
  ) {
    this.leaseMs = options.leaseMs ?? 15_000;
    this.tries = new BuildTries(deps, this.leaseMs, options);
  }

  /** Looks after builds that a crash left behind, then takes messages until `stop`. */
  async start(): Promise<void> {
    await this.recover();
    await this.deps.builds.sweepSecrets();
    const slots = this.options.slots ?? 1;
    this.loops = Array.from({ length: slots }, () => this.loop());
  }

  /** Stops taking messages; a build under way is handed back for another worker, its finished steps kept. */
  async stop(): Promise<void> {
    this.stopping.abort(new BuildStopped('worker-stopping'));
    await Promise.all(this.loops);
  }

  /** Sends a message for every build that is not finished: a crash between record and message loses none. */
  async recover(): Promise<void> {
    let cursor: string | undefined;
    do {
      const page = await this.deps.records.query(OPEN_LIST, cursor === undefined ? {} : { cursor });
      for (const record of page.records) await this.deps.builds.enqueue(record.sort, { again: true });
      cursor = page.cursor;
    } while (cursor !== undefined);
  }

  private async loop(): Promise<void> {
    const { queue, clock, logger } = this.deps;
    const { signal } = this.stopping;
    while (!signal.aborted) {
      try {
        const visibilitySeconds = Math.ceil((this.leaseMs * 2) / 1000);
        const messages = await queue.receive({ max: 1, visibilitySeconds, waitSeconds: 20, signal });
        for (const message of messages) await this.handle(message);
      } catch (error) {
        if (signal.aborted) return;
        logger.error('the build worker could not take a message', { error: String(error) });
        await clock.sleep(1000, signal).catch(() => undefined);
      }
    }
  }

  /** One delivery, from receipt to acknowledgement. */
  async handle(message: QueueMessage): Promise<void> {
    const { queue, logger } = this.deps;
    try {
      await this.take(message);
    } catch (error) {
      // Whoever handed it over may hide it for much longer.
      await queue.extend(message.receipt, Math.ceil(this.leaseMs / 1000)).catch((failed: unknown) => {
        logger.warn('a build message comes again late', { message: message.id, error: String(failed) });
      });
      throw error;
    }
  }

  private async take(message: QueueMessage): Promise<void> {
    const { queue, builds, logger } = this.deps;
    const id = decodeMessage(message.body);
    const state = id === undefined ? undefined : await builds.state(id);
    if (id === undefined || state === undefined || isFinal(state.value.build)) {
      if (state === undefined) logger.warn('a build message names no build', { body: message.body });
      return queue.acknowledge(message.receipt);
    }
    if (state.value.elsewhere !== undefined && this.deps.handOver !== undefined) {
      await this.deps.handOver.look(id);
      return queue.acknowledge(message.receipt);
    }
    const lease = await this.takeLease(id);
    if (lease === undefined) return queue.extend(message.receipt, Math.ceil(this.leaseMs / 1000));
    const tried = await this.leased(id, message, lease);
    if (tried === 'done') await queue.acknowledge(message.receipt);
    else await queue.extend(message.receipt, tried === 'again' ? 0 : tried.afterSeconds);
  }

  /**
   * Builds this one, as the worker that was started for it. Waits while another one still holds it.
   * @returns false when the build is left for another worker
   */
  async work(id: string): Promise<boolean> {
    const { builds, clock } = this.deps;
    const message = { id, body: encodeMessage(id), receipt: id, deliveries: 1 };
    while (!this.stopping.signal.aborted) {
      const state = await builds.state(id);
      if (state === undefined || isFinal(state.value.build)) return true;
      const lease = await this.takeLease(id);
      const tried = lease === undefined ? undefined : await this.leased(id, message, lease);
      if (tried === 'done' || tried === 'again') return tried === 'done';
      const pauseMs = tried === undefined ? this.leaseMs / 10 : tried.afterSeconds * 1000;
      await clock.sleep(pauseMs, this.stopping.signal).catch(() => undefined);
    }
    return false;
  }

  private takeLease(id: string): Promise<BuildLease | undefined> {
    return BuildLease.take(this.deps, id, this.leaseMs);
  }

  private async leased(id: string, message: QueueMessage, lease: BuildLease): Promise<Tried> {
    const { builds } = this.deps;
    const stop = new AbortController();
    const signal = AbortSignal.any([stop.signal, this.stopping.signal]);
    const beat = heartbeat(this.deps, { id, message, lease, stop });
    try {
      const state = await this.tries.begin(id);
      if (state === undefined) return (await builds.get(id)) === undefined ? 'done' : 'again';
      return await this.tries.run(state, signal, stop);
    } finally {
      await beat.end();
    }
  }
}
