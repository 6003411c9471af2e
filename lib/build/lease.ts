/**
 * The lease on a build: it keeps two workers off the same build, is renewed while one is at it, given back however that
 * one ends, and runs out when it dies. A write whose answer was lost is recognised by the holder, who is another one
 * for each try. With each renewal the worker also looks whether the build was cancelled.
 */
import {
  type Clock,
  type Ids,
  insist,
  type Logger,
  type Queue,
  type QueueMessage,
  type RecordStore,
} from '../store/index.js';
import { leaseKey } from './build-records.js';
import type { BuildService } from './builds.js';

interface LeaseRecord {
  readonly owner: string;
}

/** Why a build is stopped from outside. */
export class BuildStopped extends Error {
  constructor(readonly why: 'cancelled' | 'worker-stopping' | 'lease-lost') {
    super(why);
  }
}

interface LeaseDeps {
  readonly records: RecordStore;
  readonly clock: Clock;
  readonly ids: Ids;
}

export class BuildLease {
  private constructor(
    private readonly deps: LeaseDeps,
    private readonly build: string,
    private readonly owner: string,
    readonly leaseMs: number,
    private version: number,
    private untilMs: number,
  ) {}

  /** Undefined while another worker has it. */
  static async take(deps: LeaseDeps, build: string, leaseMs: number): Promise<BuildLease | undefined> {
    const { records, clock, ids } = deps;
    const owner = ids.ulid();
    const value: LeaseRecord = { owner };
    const untilMs = clock.nowMs() + leaseMs;
    try {
      const result = await records.put(leaseKey(build), value, { expect: 'absent', expiresAtMs: untilMs });
      return result.outcome === 'lost'
        ? undefined
        : new BuildLease(deps, build, owner, leaseMs, result.version, untilMs);
    } catch (error) {
      // It may be there all the same, and would keep everybody off the build.
      await new BuildLease(deps, build, owner, leaseMs, NEVER, untilMs).giveBack().catch(() => undefined);
      throw error;
    }
  }

  get isOver(): boolean {
    return this.deps.clock.nowMs() >= this.untilMs;
  }

  /** @returns false when it is somebody else's */
  async renew(): Promise<boolean> {
    const { records, clock } = this.deps;
    const value: LeaseRecord = { owner: this.owner };
    for (;;) {
      const expiresAtMs = clock.nowMs() + this.leaseMs;
      const result = await records.put(leaseKey(this.build), value, { expect: { version: this.version }, expiresAtMs });
      if (result.outcome === 'written') {
        this.version = result.version;
        this.untilMs = expiresAtMs;
        return true;
      }
      if (!(await this.isOwn())) return false;
    }
  }

  /** Tries until it would have run out anyway; harmless when somebody else has it. */
  async giveBack(): Promise<void> {
    const { records, clock } = this.deps;
    await insist(clock, this.leaseMs, async () => {
      const expect = { version: this.version };
      while ((await records.delete(leaseKey(this.build), { expect })).outcome === 'lost') {
        if (!(await this.isOwn())) return;
        expect.version = this.version;
      }
    });
  }

  /** Looks which version of it is there: a write of its own may have come through unheard. */
  private async isOwn(): Promise<boolean> {
    const found = await this.deps.records.get<LeaseRecord>(leaseKey(this.build));
    if (found?.value.owner !== this.owner) return false;
    this.version = found.version;
    return true;
  }
}

/** Of no record. */
const NEVER = 0;

interface HeartbeatDeps extends LeaseDeps {
  readonly builds: BuildService;
  readonly queue: Queue;
  readonly logger: Logger;
}

/** Renews lease and message, and watches for a cancel request, until `end`, which gives the lease back. */
export function heartbeat(
  { builds, queue, clock, logger }: HeartbeatDeps,
  held: {
    readonly id: string;
    readonly message: QueueMessage;
    readonly lease: BuildLease;
    readonly stop: AbortController;
  },
): { end(): Promise<void> } {
  const { id, message, lease, stop } = held;
  const { leaseMs } = lease;
  const ended = new AbortController();
  let isHeld = true;
  const lose = (): void => {
    isHeld = false;
    stop.abort(new BuildStopped('lease-lost'));
  };
  const watch = async (): Promise<void> => {
    if ((await builds.state(id))?.value.cancelRequested === true) stop.abort(new BuildStopped('cancelled'));
  };
  const beat = async (): Promise<void> => {
    if (!(await lease.renew())) return lose();
    await queue.extend(message.receipt, Math.ceil((leaseMs * 2) / 1000));
    await watch();
  };
  let watching: Promise<void> = Promise.resolve();
  const off = builds.log.onChange(id, () => {
    watching = watching.then(watch).catch(() => undefined);
  });
  const beating = (async () => {
    const goesOn = (): boolean => !ended.signal.aborted && isHeld;
    for (let pauseMs = leaseMs / 3; goesOn();) {
      await clock.sleep(pauseMs, ended.signal).catch(() => undefined);
      if (!goesOn()) return;
      try {
        await beat();
        pauseMs = leaseMs / 3;
      } catch (error) {
        logger.warn('a build lease could not be renewed', { id, error: String(error) });
        if (lease.isOver) lose();
        pauseMs = leaseMs / 15;
      }
    }
  })();
  return {
    end: async () => {
      off();
      ended.abort();
      await beating;
      await watching;
      await lease.giveBack().catch((error: unknown) => {
        logger.warn('a build lease could not be given back, it runs out by itself', { id, error: String(error) });
      });
    },
  };
}
