/**
 * The building service: takes requests, keeps their records, lets anyone follow or cancel. It builds nothing itself;
 * a worker somewhere takes the message and does.
 */
import { AppError } from '../errors/index.js';
import {
  blobHolderKey,
  type Clock,
  type ContentStore,
  type Ids,
  type Queue,
  type RecordStore,
  type SecretStore,
  type StoredRecord,
} from '../store/index.js';
import { BuildLog } from './build-log.js';
import { BuildSecrets, type BuildSecretValues, NO_SECRETS } from './build-secrets.js';
import {
  BUILD_LIST,
  type BuildRecord,
  buildKey,
  encodeMessage,
  idempotencyKey,
  isFinal,
  listKey,
  openKey,
} from './build-records.js';
import { checkRequest, contextsOf } from './build-request.js';
import type { Build, BuildOutcome, BuildRequest, Builds, LoggedBuildEvent, SubmitOptions } from './types.js';

export interface BuildServiceDeps {
  readonly records: RecordStore;
  readonly content: ContentStore;
  readonly queue: Queue;
  readonly clock: Clock;
  readonly ids: Ids;
  /** Where secrets of builds lie while they are needed; without it builds with secrets are refused. */
  readonly secrets?: SecretStore;
}

/** Secrets without a build are left alone for so long: its record may be about to be written. */
const SECRET_ORPHAN_MS = 3600 * 1000;

/** An idempotency key is remembered this long. */
const IDEMPOTENCY_MS = 24 * 3600 * 1000;

/** The context of a build that is not finished is kept so long; of a finished one, for those who look why it failed. */
const OPEN_MS = 30 * 24 * 3600 * 1000;
const FINISHED_MS = 24 * 3600 * 1000;
const contextHolder = (id: string): string => `BUILD#${id}`;

/** @example const builds = createBuilds({ records, content, queue, clock, ids }) */
export function createBuilds(deps: BuildServiceDeps): BuildService {
  return new BuildService(deps);
}

export class BuildService implements Builds {
  readonly log: BuildLog;

  private readonly kept: BuildSecrets | undefined;

  constructor(private readonly deps: BuildServiceDeps) {
    this.kept = deps.secrets === undefined ? undefined : new BuildSecrets(deps.secrets);
    this.log = new BuildLog(deps.records, deps.clock);
  }

  /** @throws AppError CONTEXT_UNKNOWN, BUILD_TAG_INVALID, PLATFORM_INVALID, CACHE_OPTION_INVALID, IDEMPOTENCY_KEY_REUSED, BUILD_SECRET_…, BUILD_SSH_KEY_INVALID */
  async submit(request: BuildRequest, options: SubmitOptions = {}): Promise<Build> {
    const { records, clock, ids } = this.deps;
    const id = ids.ulid();
    await this.check(request, id);
    const build: Build = { id, status: 'queued', request, createdMs: clock.nowMs() };
    const { owner } = options;
    const state: BuildRecord = { build, attempts: 0, ...(owner === undefined ? {} : { owner }) };
    const key = options.idempotencyKey;
    // Before the record, so that no worker can come too early.
    await this.keepSecrets(build.id, options);
    const result = await records.transact([
      ...(key === undefined
        ? []
        : [
            {
              op: 'put',
              key: idempotencyKey(key),
              value: { id: build.id },
              expect: 'absent',
              expiresAtMs: build.createdMs + IDEMPOTENCY_MS,
            } as const,
          ]),
      { op: 'put', key: buildKey(build.id), value: state, expect: 'absent' },
      { op: 'put', key: listKey(build.id), value: {} },
      { op: 'put', key: openKey(build.id), value: {} },
    ]);
    if (result.outcome === 'lost') {
      await this.kept?.delete(build.id);
      return this.earlier(key ?? '', request);
    }
    await this.enqueue(build.id);
    return build;
  }

  /** The build that was submitted with this key before. */
  private async earlier(key: string, request: BuildRequest): Promise<Build> {
    const known = await this.deps.records.get<{ id: string }>(idempotencyKey(key));
    const build = known === undefined ? undefined : await this.get(known.value.id);
    if (build === undefined) {
      throw new AppError('BUILD_NOT_ACCEPTED', 'the build could not be recorded', { kind: 'unavailable' });
    }
    if (JSON.stringify(build.request) !== JSON.stringify(request)) {
      throw new AppError('IDEMPOTENCY_KEY_REUSED', 'this idempotency key belongs to another build request', {
        kind: 'conflict',
        hint: 'a new key for a new request',
      });
    }
    // Whoever wrote the record may have died before it sent the message.
    if (build.status === 'queued') await this.enqueue(build.id);
    return build;
  }

  /**
   * Sends the message that makes a worker look at the build. Harmless when repeated.
   * @param options.again also when it was sent a short while ago: the worker that had it may be gone
   */
  async enqueue(id: string, options: { readonly again?: boolean } = {}): Promise<void> {
    await this.deps.queue.send(encodeMessage(id), options.again === true ? {} : { dedupeId: id });
  }

  private async check(request: BuildRequest, id: string): Promise<void> {
    checkRequest(request);
    for (const context of contextsOf(request)) {
      if ((await this.deps.content.hold(context, contextHolder(id), { forMs: OPEN_MS })) !== undefined) continue;
      throw new AppError('CONTEXT_UNKNOWN', `the store has no context ${context}`, {
        kind: 'not-found',
        hint: 'upload the context first',
      });
    }
  }

  async get(id: string): Promise<Build | undefined> {
    return (await this.state(id))?.value.build;
  }

  /** The record with its version: for workers. */
  state(id: string): Promise<StoredRecord<BuildRecord> | undefined> {
    return this.deps.records.get<BuildRecord>(buildKey(id));
  }

  async list(
    options: { readonly limit?: number; readonly cursor?: string } = {},
  ): Promise<{ readonly builds: readonly Build[]; readonly cursor?: string }> {
    const page = await this.deps.records.query(BUILD_LIST, {
      reverse: true,
      limit: options.limit ?? 50,
      ...(options.cursor === undefined ? {} : { cursor: options.cursor }),
    });
    const builds = await Promise.all(page.records.map((record) => this.get(record.sort)));
    return {
      builds: builds.filter((build) => build !== undefined),
      ...(page.cursor === undefined ? {} : { cursor: page.cursor }),
    };
  }

  async cancel(id: string): Promise<Build | undefined> {
    for (;;) {
      const state = await this.state(id);
      if (state === undefined || isFinal(state.value.build)) return state?.value.build;
      if (state.value.build.status === 'running') {
        const asked: BuildRecord = { ...state.value, cancelRequested: true };
        const { outcome } = await this.deps.records.put(buildKey(id), asked, { expect: { version: state.version } });
        if (outcome === 'lost') continue;
        this.log.changed(id);
        // Nobody may be at it now: whoever takes the message sees to that.
        const { elsewhere, outages } = state.value;
        if (elsewhere !== undefined || outages !== undefined) await this.enqueue(id, { again: true });
        return asked.build;
      }
      const cancelled = await this.finish(state, { status: 'cancelled' }, undefined);
      if (cancelled !== undefined) return cancelled;
    }
  }

  follow(id: string, afterSequence: number, signal?: AbortSignal): AsyncIterable<LoggedBuildEvent> {
    return this.log.follow(id, afterSequence, signal);
  }

  /**
   * Writes final state, last event and the end of its open entry in one transaction.
   * @param last the event, when the caller has numbered it; otherwise it is made here
   * @returns undefined when somebody else changed the build meanwhile
   */
  async finish(
    state: StoredRecord<BuildRecord>,
    outcome: BuildOutcome,
    last: LoggedBuildEvent | undefined,
  ): Promise<Build | undefined> {
    const { id } = state.value.build;
    const now = this.deps.clock.nowMs();
    const build: Build = { ...state.value.build, ...outcome, finishedMs: now };
    const event = last ?? {
      sequence: (await this.log.lastSequence(id)) + 1,
      timeMs: now,
      event: { type: 'finished', ...outcome } as const,
    };
    const record: BuildRecord = { build, attempts: state.value.attempts };
    const result = await this.deps.records.transact([
      { op: 'put', key: buildKey(id), value: record, expect: { version: state.version } },
      this.log.batch(id, [event]),
      { op: 'delete', key: openKey(id) },
      ...contextsOf(build.request).map(
        (context) =>
          ({
            op: 'put',
            key: blobHolderKey(context, contextHolder(id)),
            value: { atMs: now },
            expiresAtMs: now + FINISHED_MS,
          }) as const,
      ),
    ]);
    if (result.outcome === 'lost') return undefined;
    await this.kept?.delete(id);
    this.log.changed(id);
    return build;
  }

  /** Values for the worker of a build. */
  async secrets(id: string): Promise<BuildSecretValues> {
    return (await this.kept?.get(id)) ?? NO_SECRETS;
  }

  /** Removes secrets of builds that have ended, or never came to be, and whose process died before it could. */
  async sweepSecrets(): Promise<void> {
    const now = this.deps.clock.nowMs();
    for (const id of (await this.kept?.builds()) ?? []) {
      const state = await this.state(id);
      const isOver = state === undefined ? now - ulidMs(id) > SECRET_ORPHAN_MS : isFinal(state.value.build);
      if (isOver) await this.kept?.delete(id);
    }
  }

  private async keepSecrets(id: string, { secrets = NO_SECRETS, ssh = new Map() }: SubmitOptions): Promise<void> {
    if (secrets.size === 0 && ssh.size === 0) return;
    if (this.kept !== undefined) return this.kept.put(id, secrets, ssh);
    throw new AppError('BUILD_UNSUPPORTED_SECRETS', 'builds cannot be given secrets here', {
      kind: 'unsupported',
      hint: 'a build without secrets',
    });
  }
}

/** When a ULID was made: its first ten characters count milliseconds. */
function ulidMs(id: string): number {
  let ms = 0;
  for (const character of id.slice(0, 10)) ms = ms * 32 + '0123456789ABCDEFGHJKMNPQRSTVWXYZ'.indexOf(character);
  return ms;
}
