/**
 * `Idempotency-Key`: a creating call with the same key and the same parameters happens once, and every repetition gets
 * the first answer. The key is claimed by a conditional write before the work and filled with the answer after it.
 */
import { AppError, toAppError } from '../errors/index.js';
import { contentHash } from '../platform/index.js';
import { type Clock, type Expect, insist, type RecordKey, type RecordStore } from '../store/index.js';
import { problemOf } from './problem.js';
import type { Call, Reply } from './route.js';

interface IdempotencyRecord {
  readonly requestHash: string;
  readonly startedMs: number;
  /** The request that claimed it. */
  readonly by?: string;
  /** Absent while the first call is under way. */
  readonly reply?: Reply;
}

const KEPT_MS = 24 * 3600 * 1000;
/** After so long a first call without an answer is taken for dead, and its key may be claimed again. */
const ABANDONED_MS = 120_000;
/** A claim is let go as long as that; whoever waits for the answer waits so much longer. */
const RELEASE_MS = 5_000;
const MAX_KEY = 255;

export class Idempotency {
  constructor(private readonly deps: { readonly records: RecordStore; readonly clock: Clock }) {}

  /** The key of the call; undefined when it has none. @throws AppError IDEMPOTENCY_KEY_INVALID */
  keyOf(call: Pick<Call, 'request'>): string | undefined {
    const key = call.request.headers.get('idempotency-key');
    if (key === null) return undefined;
    if (key.length >= 1 && key.length <= MAX_KEY && /^[\x21-\x7e]+$/.test(key)) return key;
    throw new AppError('IDEMPOTENCY_KEY_INVALID', 'the Idempotency-Key is not usable', {
      hint: `1 to ${MAX_KEY} printable characters without blanks, new for every new intent`,
    });
  }

  /**
   * A name of what the caller means to do, the same at every repetition: what the work makes elsewhere is found again by
   * it when an earlier try died before its answer was kept. Usable as a client token of ECS.
   */
  intentOf(call: Call, operation: string): string | undefined {
    const key = this.keyOf(call);
    return key === undefined ? undefined : contentHash([operation, call.principal?.id ?? '-', key]);
  }

  /**
   * Does the work once for this key. Without a key it is simply done.
   * @param parameters all that the work depends on
   * @throws AppError IDEMPOTENCY_KEY_REUSED, IDEMPOTENCY_KEY_BUSY
   */
  async run(call: Call, operation: string, parameters: unknown, work: () => Promise<Reply>): Promise<Reply> {
    const key = this.keyOf(call);
    if (key === undefined) return work();
    const recordKey: RecordKey = { partition: `IDEM#${operation}#${call.principal?.id ?? '-'}#${key}`, sort: '-' };
    const requestHash = contentHash(parameters);
    const claim = await this.claim(recordKey, { requestHash, by: call.requestId }, key);
    if (claim.reply !== undefined) {
      return { ...claim.reply, headers: { ...claim.reply.headers, 'idempotent-replayed': 'true' } };
    }
    return this.finish(recordKey, claim.record, call.requestId, work);
  }

  private async claim(
    recordKey: RecordKey,
    own: { readonly requestHash: string; readonly by: string },
    key: string,
  ): Promise<{ readonly record: IdempotencyRecord; readonly reply?: Reply }> {
    const startedMs = this.deps.clock.nowMs();
    const record: IdempotencyRecord = { ...own, startedMs };
    const expiresAtMs = startedMs + KEPT_MS;
    for (;;) {
      const known = await this.deps.records.get<IdempotencyRecord>(recordKey);
      if (known === undefined) {
        if (await this.took(recordKey, record, { expect: 'absent', expiresAtMs })) return { record };
        continue;
      }
      if (known.value.requestHash !== own.requestHash) throw reused(key);
      if (known.value.reply !== undefined) return { record: known.value, reply: known.value.reply };
      if (startedMs - known.value.startedMs < ABANDONED_MS) throw busy(key);
      if (await this.took(recordKey, record, { expect: { version: known.version }, expiresAtMs })) return { record };
    }
  }

  private async took(
    recordKey: RecordKey,
    record: IdempotencyRecord,
    options: { readonly expect: Expect; readonly expiresAtMs: number },
  ): Promise<boolean> {
    try {
      return (await this.deps.records.put(recordKey, record, options)).outcome === 'written';
    } catch (error) {
      // It may be there all the same, and the key would be busy with nobody at it.
      await this.release(recordKey, record);
      throw error;
    }
  }

  /** Lets the key be claimed again, unless another call has it. When the store stays out, the claim is abandoned in time. */
  private async release(recordKey: RecordKey, { by }: IdempotencyRecord): Promise<void> {
    const { records, clock } = this.deps;
    await insist(clock, RELEASE_MS, async () => {
      const known = await records.get<IdempotencyRecord>(recordKey);
      // An answer that was kept unheard stands.
      if (known === undefined || known.value.by !== by || known.value.reply !== undefined) return;
      await records.delete(recordKey, { expect: { version: known.version } });
    }).catch(() => undefined);
  }

  private async finish(
    recordKey: RecordKey,
    record: IdempotencyRecord,
    requestId: string,
    work: () => Promise<Reply>,
  ): Promise<Reply> {
    const expiresAtMs = record.startedMs + KEPT_MS;
    try {
      const reply = await work();
      await this.deps.records.put(recordKey, { ...record, reply }, { expiresAtMs });
      return reply;
    } catch (error) {
      const known = toAppError(error);
      if (known.retryable || known.kind === 'unavailable' || known.kind === 'internal') {
        // Nothing was decided: the same key may try again.
        await this.release(recordKey, record);
        throw error;
      }
      const problem = problemOf(error, requestId);
      const reply: Reply = {
        status: problem.status,
        body: problem,
        headers: { 'content-type': 'application/problem+json' },
      };
      await this.deps.records.put(recordKey, { ...record, reply }, { expiresAtMs });
      throw error;
    }
  }
}

function reused(key: string): AppError {
  return new AppError('IDEMPOTENCY_KEY_REUSED', `Idempotency-Key ${key} came before with other parameters`, {
    kind: 'conflict',
    hint: 'a new key for a new request',
  });
}

function busy(key: string): AppError {
  return new AppError('IDEMPOTENCY_KEY_BUSY', `the first request with Idempotency-Key ${key} is still under way`, {
    kind: 'conflict',
    retryable: true,
    hint: 'the same request again in a moment',
  });
}
