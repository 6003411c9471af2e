/**
 * The collector: takes away what nobody needs, beside pushes and without ever stopping one. It goes through everything
 * again and again in small steps; a pass that is broken off has lost nothing, since every step stands for itself. One
 * collector at a time may work on a store.
 */
import type { Digest } from '../../oci/index.js';
import { Repositories } from '../repositories.js';
import { reviewBlobs } from './blob-review.js';
import { reviewBounds } from './cache-bounds.js';
import { agesOf, nothingCollected, type PassContext } from './context.js';
import { reviewRepository } from './repository-review.js';
import type { Collected, CollectorDeps, CollectorOptions } from './types.js';

export interface Round {
  /** Whether this round came to the end of a pass over everything. */
  readonly finished: boolean;
  /** Of the pass so far. */
  readonly collected: Collected;
}

const REPOSITORIES = 1000;

/** @example const collector = new Collector({ records, content, clock, pins }); await collector.pass() */
export class Collector {
  private readonly repositories: Repositories;
  private current: { readonly steps: AsyncGenerator<void>; readonly collected: Collected } | undefined;

  constructor(
    private readonly deps: CollectorDeps,
    private readonly options: CollectorOptions = {},
  ) {
    this.repositories = new Repositories(deps);
  }

  /** Goes on where the last round stopped. @param steps about one record or stored object each */
  async round(steps: number): Promise<Round> {
    this.current ??= this.start();
    const { collected } = this.current;
    try {
      for (let step = 0; step < steps; step++) {
        if ((await this.current.steps.next()).done !== true) continue;
        this.current = undefined;
        return { finished: true, collected };
      }
      return { finished: false, collected };
    } catch (error) {
      // The next round begins anew.
      this.current = undefined;
      throw error;
    }
  }

  /** One whole pass, or as much of it as there is time for. */
  async pass(untilMs = Infinity): Promise<Round> {
    for (;;) {
      const round = await this.round(100);
      if (round.finished || this.deps.clock.nowMs() >= untilMs) return round;
    }
  }

  private start(): { readonly steps: AsyncGenerator<void>; readonly collected: Collected } {
    const collected = nothingCollected();
    return { steps: this.steps(collected), collected };
  }

  private async *steps(collected: PassContext['collected']): AsyncGenerator<void> {
    const { deps } = this;
    const pass: PassContext = {
      ...deps,
      collected,
      ages: agesOf(this.options),
      pinned: await this.pinned(),
      beyondBounds: new Map(),
    };
    if (deps.caches !== undefined) yield* reviewBounds(pass, this.names());
    for await (const name of this.names()) yield* reviewRepository(pass, name);
    yield* reviewBlobs(pass);
    const { uploads } = deps.content.blobs;
    for await (const id of uploads.stale(deps.clock.nowMs() - pass.ages.uploadMs)) {
      await uploads.abort(id);
      collected.uploads += 1;
      yield;
    }
  }

  private async *names(): AsyncGenerator<string> {
    let after: string | undefined;
    do {
      const page = await this.repositories.list({ limit: REPOSITORIES, ...(after === undefined ? {} : { after }) });
      yield* page.items;
      after = page.more ? page.items.at(-1) : undefined;
    } while (after !== undefined);
  }

  private async pinned(): Promise<ReadonlyMap<string, ReadonlySet<Digest>>> {
    const pinned = new Map<string, Set<Digest>>();
    for await (const { repository, digest } of this.deps.pins?.list() ?? []) {
      pinned.set(repository, (pinned.get(repository) ?? new Set()).add(digest));
    }
    return pinned;
  }
}
