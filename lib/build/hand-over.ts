/**
 * Builds that go on elsewhere. A process that can make no containers hands a build over when it meets a RUN that is not
 * in the cache: a worker is started for this one build, finds the finished steps in the cache and goes on. What was asked
 * for is in the build's record before it is asked for, so whoever looks next, after any crash, asks for the same again.
 */
import { AppError, toAppError } from '../errors/index.js';
import type { Clock, Logger, RecordStore, StoredRecord } from '../store/index.js';
import { toBuildError } from './build-errors.js';
import { type BuildRecord, buildKey, isFinal, leaseKey } from './build-records.js';
import type { BuildService } from './builds.js';
import { eachOpenBuild, resendIfLost } from './lost-messages.js';

export type BuildTaskState =
  /** Waits for a machine or for its image, or has begun and holds no lease yet. */
  { readonly status: 'under-way' } | { readonly status: 'stopped'; readonly reason: string };

/** Where workers run. */
export interface BuildTasks {
  /**
   * Starts the worker of this attempt; asked again, it gives the one it started. Undefined while there is no place.
   * @throws AppError, retryable when it may work later
   */
  start(build: string, attempt: number): Promise<string | undefined>;
  look(task: string): Promise<BuildTaskState>;
  /** Fine when it has stopped. */
  stop(task: string, reason: string): Promise<void>;
}

export interface HandOverDeps {
  readonly builds: BuildService;
  readonly records: RecordStore;
  readonly tasks: BuildTasks;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface HandOverOptions {
  /** Workers that may be lost before the build is given up; 3 when absent. */
  readonly maxAttempts?: number;
  /** How long a worker may take to begin; 30 minutes when absent. */
  readonly startMs?: number;
  /** A build without worker and lease for so long has lost its message; 2 minutes when absent. */
  readonly lostMs?: number;
}

export class HandOver {
  constructor(
    private readonly deps: HandOverDeps,
    private readonly options: HandOverOptions = {},
  ) {}

  /** Called under the build's lease by the process that cannot go on. */
  async give(id: string): Promise<void> {
    const { builds, records, clock } = this.deps;
    for (;;) {
      const state = await builds.state(id);
      if (state === undefined || isFinal(state.value.build)) return;
      // Nothing was interrupted: the beginning of this process does not count.
      const attempts = Math.max(0, state.value.attempts - 1);
      const elsewhere = { attempt: 1, sinceMs: clock.nowMs() };
      const value: BuildRecord = { ...state.value, attempts, elsewhere };
      const { outcome } = await records.put(buildKey(id), value, { expect: { version: state.version } });
      if (outcome === 'written') break;
    }
    await this.start(id);
  }

  /** Looks at every build that is not finished: workers that stopped, messages that were lost. */
  async sweep(): Promise<void> {
    await eachOpenBuild(this.deps, async (state) => {
      if (state.value.elsewhere !== undefined) await this.look(state.value.build.id);
      else await resendIfLost(this.deps, state, this.options.lostMs);
    });
  }

  /** Goes on with a build that was handed over, from wherever it stands. Harmless when repeated. */
  async look(id: string): Promise<void> {
    const { builds, records, tasks, clock } = this.deps;
    const state = await builds.state(id);
    if (state?.value.elsewhere === undefined || isFinal(state.value.build)) return;
    // Its worker is at it, and sees for itself when the build is cancelled.
    if ((await records.get(leaseKey(id))) !== undefined) return;
    const { elsewhere, cancelRequested } = state.value;
    const { task, sinceMs } = elsewhere;
    if (cancelRequested === true) {
      if (task !== undefined) await tasks.stop(task, 'the build was cancelled');
      await builds.finish(state, { status: 'cancelled' }, undefined);
      return;
    }
    const seen = task === undefined ? undefined : await tasks.look(task);
    if (seen?.status === 'stopped') return this.again(state, seen.reason);
    if (clock.nowMs() - sinceMs > (this.options.startMs ?? 30 * 60_000)) return this.giveUpWaiting(state);
    if (task === undefined) await this.start(id);
  }

  private async start(id: string): Promise<void> {
    const { builds, records, tasks, logger } = this.deps;
    const attempt = (await builds.state(id))?.value.elsewhere?.attempt;
    if (attempt === undefined) return;
    let task: string | undefined;
    try {
      task = await tasks.start(id, attempt);
    } catch (error) {
      const known = toAppError(error);
      if (!known.retryable) return this.fail(id, known);
      logger.warn('the worker of a build could not be started yet', { id, error: known });
    }
    if (task === undefined) return;
    logger.info('a worker was started for a build', { build: id, task, attempt });
    for (;;) {
      const state = await builds.state(id);
      const { elsewhere } = state?.value ?? {};
      if (state === undefined || isFinal(state.value.build) || elsewhere?.attempt !== attempt) return;
      const value: BuildRecord = { ...state.value, elsewhere: { ...elsewhere, task } };
      // The worker itself may have written meanwhile that it began.
      const { outcome } = await records.put(buildKey(id), value, { expect: { version: state.version } });
      if (outcome === 'written') return;
    }
  }

  /** The worker is gone and left the build unfinished. */
  private async again(state: StoredRecord<BuildRecord>, reason: string): Promise<void> {
    const { builds, records, clock } = this.deps;
    const { build, elsewhere } = state.value;
    const attempt = elsewhere?.attempt ?? 1;
    const { maxAttempts = 3 } = this.options;
    if (attempt >= maxAttempts) {
      return this.fail(
        build.id,
        new AppError('BUILD_WORKER_LOST', `the worker of the build stopped ${attempt} times, at last: ${reason}`, {
          kind: 'failed',
          hint: 'look at the memory of the worker and at its log, then build again: finished steps are kept',
        }),
      );
    }
    const next = { attempt: attempt + 1, sinceMs: clock.nowMs() };
    const value: BuildRecord = { ...state.value, elsewhere: next };
    const result = await records.put(buildKey(build.id), value, { expect: { version: state.version } });
    if (result.outcome === 'lost') return;
    const text = `The worker stopped (${reason}); another one goes on from the finished steps.`;
    const sequence = (await builds.log.lastSequence(build.id)) + 1;
    await builds.log.append(build.id, [{ sequence, timeMs: clock.nowMs(), event: { type: 'message', text } }]);
    await this.start(build.id);
  }

  private async giveUpWaiting(state: StoredRecord<BuildRecord>): Promise<void> {
    const { task } = state.value.elsewhere ?? {};
    const { id } = state.value.build;
    const minutes = Math.round((this.options.startMs ?? 30 * 60_000) / 60_000);
    if (task !== undefined) await this.deps.tasks.stop(task, 'the worker did not begin in time');
    const message = `the build waited ${minutes} minutes for a worker, and none began`;
    const hint = 'see whether the cluster can start instances: its capacity provider, quotas, and the worker image';
    await this.fail(id, new AppError('BUILD_WORKER_NOT_STARTED', message, { kind: 'failed', hint }));
  }

  private async fail(id: string, error: AppError): Promise<void> {
    const { builds } = this.deps;
    for (;;) {
      const state = await builds.state(id);
      if (state === undefined || isFinal(state.value.build)) return;
      if ((await builds.finish(state, { status: 'failed', error: toBuildError(error) }, undefined)) !== undefined)
        return;
    }
  }
}
