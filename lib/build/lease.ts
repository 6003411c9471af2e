/**
 * The lease on a build: it keeps two workers off the same build, is renewed while one is at it, and runs out when that
 * one dies. With each renewal the worker also looks whether the build was cancelled.
 */
import type { Clock, Logger, Queue, QueueMessage, RecordStore } from '../store/index.js';
import { leaseKey } from './build-records.js';
import type { BuildService } from './builds.js';

interface Lease {
  readonly owner: string;
}

/** Why a build is stopped from outside. */
export class BuildStopped extends Error {
  constructor(readonly why: 'cancelled' | 'worker-stopping' | 'lease-lost') {
    super(why);
  }
}

export interface BuildLease {
  readonly owner: string;
  readonly version: number;
  readonly leaseMs: number;
}

interface LeaseDeps {
  readonly builds: BuildService;
  readonly records: RecordStore;
  readonly queue: Queue;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Undefined while another worker has it. */
export async function takeLease(
  { records, clock }: Pick<LeaseDeps, 'records' | 'clock'>,
  id: string,
  owner: string,
  leaseMs: number,
): Promise<BuildLease | undefined> {
  const value: Lease = { owner };
  const expiresAtMs = clock.nowMs() + leaseMs;
  const result = await records.put(leaseKey(id), value, { expect: 'absent', expiresAtMs });
  return result.outcome === 'written' ? { owner, version: result.version, leaseMs } : undefined;
}

/** Renews lease and message, and watches for a cancel request, until `end`, which gives the lease back. */
export function heartbeat(
  { builds, records, queue, clock, logger }: LeaseDeps,
  held: {
    readonly id: string;
    readonly message: QueueMessage;
    readonly lease: BuildLease;
    readonly stop: AbortController;
  },
): { end(): Promise<void> } {
  const { id, message, stop } = held;
  const { owner, leaseMs } = held.lease;
  const ended = new AbortController();
  let { version } = held.lease;
  let isHeld = true;
  const renew = async (): Promise<void> => {
    const expiresAtMs = clock.nowMs() + leaseMs;
    const value: Lease = { owner };
    const result = await records.put(leaseKey(id), value, { expect: { version }, expiresAtMs });
    if (result.outcome === 'lost') {
      isHeld = false;
      stop.abort(new BuildStopped('lease-lost'));
      return;
    }
    version = result.version;
    await queue.extend(message.receipt, Math.ceil((leaseMs * 2) / 1000));
  };
  const watch = async (): Promise<void> => {
    if ((await builds.state(id))?.value.cancelRequested === true) stop.abort(new BuildStopped('cancelled'));
  };
  let watching: Promise<void> = Promise.resolve();
  const off = builds.log.onChange(id, () => {
    watching = watching.then(watch).catch(() => undefined);
  });
  const beating = (async () => {
    const goesOn = (): boolean => !ended.signal.aborted && isHeld;
    while (goesOn()) {
      await clock.sleep(leaseMs / 3, ended.signal);
      await renew();
      await watch();
    }
  })().catch((error: unknown) => {
    if (!ended.signal.aborted) logger.warn('a build lease could not be renewed', { id, error: String(error) });
  });
  return {
    end: async () => {
      off();
      ended.abort();
      await beating;
      await watching;
      if (isHeld) await records.delete(leaseKey(id), { expect: { version } });
    },
  };
}
