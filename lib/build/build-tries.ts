/**
 * What becomes of a build under its lease: it is begun, built, and its end is written down. A build that has killed three
 * workers fails with BUILD_INTERRUPTED instead of killing a fourth. An outage of the store ends a try and not the build,
 * which is left for later.
 */
import { AppError } from '../errors/index.js';
import { type Clock, insist, isOutage, type Logger, type RecordStore, type StoredRecord } from '../store/index.js';
import { toBuildError } from './build-errors.js';
import { BuildLogWriter, type EmitEvent, leaseLost } from './build-log.js';
import { type BuildRecord, buildKey, isFinal } from './build-records.js';
import type { BuildSecretValues } from './build-secrets.js';
import type { BuildService } from './builds.js';
import type { HandOver } from './hand-over.js';
import { BuildStopped } from './lease.js';
import type { BuildReport } from './report.js';
import { needsWorker } from './sandbox/sandbox-elsewhere.js';
import type { Build, BuildOutcome, BuildRequest, BuildResult } from './types.js';

/** Builds one request: `ImageBuilder.build`. */
export type BuildFunction = (
  request: BuildRequest,
  context: {
    readonly id: string;
    readonly emit: EmitEvent;
    readonly signal: AbortSignal;
    /** Values of secret mounts; none when absent. */
    readonly secrets?: BuildSecretValues;
    /** Whose contexts the request may name; nobody's when absent. */
    readonly owner?: string;
    /** When the first try began; now when absent. */
    readonly startedMs?: number;
  },
) => Promise<BuildResult | BuildReport>;

export interface BuildTriesDeps {
  readonly builds: BuildService;
  readonly records: RecordStore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly build: BuildFunction;
  /** Takes the builds that this process cannot make; without it they fail. */
  readonly handOver?: HandOver;
}

export interface BuildTriesOptions {
  /** Workers that may begin a build before it is given up; 3 when absent. */
  readonly maxAttempts?: number;
  /** Outages of the store that a build waits out before one of them fails it; 4 when absent. */
  readonly maxOutages?: number;
}

/** What became of a try: the build needs no other, one soon, or one after so many seconds. */
export type Tried = 'done' | 'again' | { readonly afterSeconds: number };

/** After the first outage; each further one is waited for three times as long. */
const OUTAGE_SECONDS = 5;

export class BuildTries {
  constructor(
    private readonly deps: BuildTriesDeps,
    private readonly leaseMs: number,
    private readonly options: BuildTriesOptions,
  ) {}

  /** Marks the build as running; undefined when it is not to be run after all. */
  async begin(id: string): Promise<StoredRecord<BuildRecord> | undefined> {
    const found = await this.deps.builds.state(id);
    if (found === undefined) return undefined;
    try {
      return await this.beginFrom(found);
    } catch (error) {
      // It may have been written all the same, and nobody has died of it.
      if (isOutage(error)) await this.takeBack(id, found.value.attempts);
      throw error;
    }
  }

  /**
   * @param found whose attempts are the ones before: whoever holds the lease is the only one that counts. A write that
   * was done and not heard of looks like a lost race when it is sent again, and would count twice
   */
  private async beginFrom(found: StoredRecord<BuildRecord>): Promise<StoredRecord<BuildRecord> | undefined> {
    const { builds, clock, records } = this.deps;
    const { id } = found.value.build;
    const before = found.value.attempts;
    for (let state: typeof found | undefined = found; ; state = await builds.state(id)) {
      if (state === undefined || isFinal(state.value.build)) return undefined;
      const { build } = state.value;
      if (before >= (this.options.maxAttempts ?? 3)) {
        const error = new AppError('BUILD_INTERRUPTED', `the build was interrupted ${before} times and is given up`, {
          kind: 'failed',
          hint: 'look at the memory and disk of the worker, then build again: finished steps are kept',
        });
        if ((await builds.finish(state, { status: 'failed', error: toBuildError(error) }, undefined)) !== undefined) {
          return undefined;
        }
        continue;
      }
      const running: Build = { ...build, status: 'running', startedMs: build.startedMs ?? clock.nowMs() };
      const value: BuildRecord = { ...state.value, build: running, attempts: before + 1 };
      const result = await records.put(buildKey(id), value, { expect: { version: state.version } });
      if (result.outcome === 'written') return { ...state, value, version: result.version };
    }
  }

  /** When the store stays out, the try counts as a worker that died: nobody can tell it from one. */
  private async takeBack(id: string, attempts: number): Promise<void> {
    try {
      await this.handBack(id, (value) => ({ ...value, attempts }));
    } catch (error) {
      this.deps.logger.warn('a try that never began counts as one that died', { id, error: String(error) });
    }
  }

  /** Builds it, and writes down how that ended. The lease is the caller's. */
  async run(state: StoredRecord<BuildRecord>, signal: AbortSignal, stop: AbortController): Promise<Tried> {
    try {
      return await this.toTheEnd(state, signal, stop);
    } catch (error) {
      if (!this.waitsOut(error, state)) throw error;
      const { id } = state.value.build;
      this.deps.logger.warn('the store is out, the build goes on later', { id, error: String(error) });
      await this.handBack(id, (value) => ({ ...withoutThisTry(value), outages: (value.outages ?? 0) + 1 }));
      return { afterSeconds: OUTAGE_SECONDS * 3 ** (state.value.outages ?? 0) };
    }
  }

  private waitsOut(error: unknown, { value }: StoredRecord<BuildRecord>): boolean {
    return isOutage(error) && (value.outages ?? 0) < (this.options.maxOutages ?? 4);
  }

  /** @throws an outage of the store */
  private async toTheEnd(state: StoredRecord<BuildRecord>, signal: AbortSignal, stop: AbortController): Promise<Tried> {
    const { builds, clock, logger } = this.deps;
    const { id, request, startedMs } = state.value.build;
    const { owner } = state.value;
    const log = new BuildLogWriter(builds.log, clock, id, await builds.log.lastSequence(id), (error) => {
      stop.abort(error);
    });
    if (state.value.attempts > 1 || state.value.outages !== undefined) {
      log.emit({ type: 'message', text: 'The build was interrupted; it goes on from the finished steps.' });
    }
    if (state.value.cancelRequested === true) stop.abort(new BuildStopped('cancelled'));
    let outcome: BuildOutcome;
    try {
      signal.throwIfAborted();
      const secrets = await builds.secrets(id);
      const result = await this.deps.build(request, {
        id,
        emit: log.emit,
        signal,
        secrets,
        ...(owner === undefined ? {} : { owner }),
        ...(startedMs === undefined ? {} : { startedMs }),
      });
      outcome = { status: 'succeeded', ...('kind' in result ? { report: result } : { result }) };
    } catch (error) {
      const reason: unknown = signal.aborted ? signal.reason : error;
      if (reason instanceof BuildStopped && reason.why !== 'cancelled') {
        await log.close().catch(() => undefined);
        if (reason.why === 'worker-stopping') await this.handBack(id, withoutThisTry);
        return 'again';
      }
      if (this.waitsOut(reason, state)) {
        await log.close().catch(() => undefined);
        throw reason;
      }
      if (this.deps.handOver !== undefined && needsWorker(reason)) {
        log.emit({ type: 'message', text: `${reason.message}: the build goes on in a worker of its own` });
        await log.close();
        await this.deps.handOver.give(id);
        return 'done';
      }
      if (reason instanceof BuildStopped) outcome = { status: 'cancelled' };
      else outcome = { status: 'failed', error: toBuildError(reason) };
      if (outcome.status === 'failed') logger.info('a build failed', { id, code: outcome.error?.code });
    }
    return this.settle(id, outcome, log);
  }

  private async settle(id: string, outcome: BuildOutcome, log: BuildLogWriter): Promise<Tried> {
    const { builds, clock } = this.deps;
    const last = await log.finish({ type: 'finished', ...outcome });
    await insist(clock, this.leaseMs, async () => {
      for (;;) {
        const state = await builds.state(id);
        if (state === undefined || isFinal(state.value.build)) return;
        // A cancel request may have raised the version: the outcome stands all the same.
        if ((await builds.finish(state, outcome, last)) !== undefined) return;
        if ((await builds.log.lastSequence(id)) >= last.sequence) throw leaseLost(id);
      }
    });
    return 'done';
  }

  private async handBack(id: string, change: (value: BuildRecord) => BuildRecord): Promise<void> {
    const { builds, records, clock } = this.deps;
    const state = await insist(clock, this.leaseMs, () => builds.state(id));
    if (state === undefined || isFinal(state.value.build)) return;
    const value = change(state.value);
    // When it came through unheard, the second try finds another version, and leaves it.
    await insist(clock, this.leaseMs, () => records.put(buildKey(id), value, { expect: { version: state.version } }));
  }
}

/** A try that ends in good order, or by an outage, does not count as a worker that died. */
function withoutThisTry(value: BuildRecord): BuildRecord {
  return { ...value, attempts: Math.max(0, value.attempts - 1) };
}
