/**
 * The event log of a build: append-only batches, numbered from 1 without gaps, readable from any place while it grows
 * and after any restart. A batch is written only if nobody else wrote that number, so a worker that lost its lease
 * cannot spoil the log of the one that took over.
 */
import { EventEmitter } from 'node:events';
import { AppError } from '../errors/index.js';
import type { Clock, RecordKey, RecordStore, RecordWrite } from '../store/index.js';
import { buildKey, type BuildRecord, isFinal } from './build-records.js';
import type { BuildEvent, LoggedBuildEvent } from './types.js';

interface Batch {
  readonly events: readonly LoggedBuildEvent[];
}

/** How long a follower waits before it looks again, when no one in this process tells it to. */
const POLL_MS = 250;

export class BuildLog {
  private readonly changes = new EventEmitter().setMaxListeners(0);

  constructor(
    private readonly records: RecordStore,
    private readonly clock: Clock,
  ) {}

  /** Sequence of the last event; 0 when there is none. */
  async lastSequence(id: string): Promise<number> {
    const page = await this.records.query<Batch>(buildKey(id).partition, { prefix: 'E#', reverse: true, limit: 1 });
    return page.records[0]?.value.events.at(-1)?.sequence ?? 0;
  }

  /** The write of a batch, to be part of a transaction. Call `changed` after it. */
  batch(id: string, events: readonly LoggedBuildEvent[]): RecordWrite {
    return { op: 'put', key: batchKey(id, events), value: { events }, expect: 'absent' };
  }

  async append(id: string, events: readonly LoggedBuildEvent[]): Promise<'written' | 'lost'> {
    const { outcome } = await this.records.put(batchKey(id, events), { events }, { expect: 'absent' });
    if (outcome === 'written') this.changed(id);
    return outcome;
  }

  /** Wakes followers and workers of this process. */
  changed(id: string): void {
    this.changes.emit(id);
  }

  /** Calls back when something about the build changed in this process. */
  onChange(id: string, listener: () => void): () => void {
    this.changes.on(id, listener);
    return () => this.changes.off(id, listener);
  }

  /** @throws AppError BUILD_UNKNOWN */
  async *follow(id: string, afterSequence: number, signal?: AbortSignal): AsyncIterable<LoggedBuildEvent> {
    let after = afterSequence;
    const isOver = (): boolean => signal?.aborted === true;
    while (!isOver()) {
      const wake = this.nextChange(id, signal);
      try {
        const state = await this.records.get<BuildRecord>(buildKey(id));
        if (state === undefined) {
          throw new AppError('BUILD_UNKNOWN', `there is no build ${JSON.stringify(id)}`, { kind: 'not-found' });
        }
        for await (const logged of this.read(id, after)) {
          after = logged.sequence;
          yield logged;
          if (logged.event.type === 'finished') return;
        }
        // The last event is written together with the final state, which was read before the events.
        if (isFinal(state.value.build)) return;
        await wake.done;
      } finally {
        wake.cancel();
      }
    }
  }

  private async *read(id: string, after: number): AsyncIterable<LoggedBuildEvent> {
    let cursor: string | undefined;
    do {
      const page = await this.records.query<Batch>(buildKey(id).partition, {
        after: sortKey(after),
        before: 'E$',
        limit: 50,
        ...(cursor === undefined ? {} : { cursor }),
      });
      for (const record of page.records) {
        for (const logged of record.value.events) if (logged.sequence > after) yield logged;
      }
      cursor = page.cursor;
    } while (cursor !== undefined);
  }

  /** Resolves at the next change here, after the poll time, or when the signal says so; never rejects. */
  private nextChange(id: string, signal?: AbortSignal): { readonly done: Promise<void>; readonly cancel: () => void } {
    const stop = new AbortController();
    const cancel = (): void => stop.abort();
    const off = this.onChange(id, cancel);
    signal?.addEventListener('abort', cancel, { once: true });
    const done = this.clock
      .sleep(POLL_MS, stop.signal)
      .catch(() => undefined)
      .finally(() => {
        off();
        signal?.removeEventListener('abort', cancel);
      });
    return { done, cancel };
  }
}

/** A batch is filed under its last sequence, so that "after n" finds the batch n+1 is in. */
function batchKey(id: string, events: readonly LoggedBuildEvent[]): RecordKey {
  return { partition: buildKey(id).partition, sort: sortKey(events.at(-1)?.sequence ?? 0) };
}

const sortKey = (sequence: number): string => `E#${String(sequence).padStart(10, '0')}`;

export type EmitEvent = (event: BuildEvent) => void;

const FLUSH_MS = 100;
const FLUSH_CHARACTERS = 64 * 1024;

/**
 * Collects a running build's events and writes them in batches, so that a chatty RUN costs ten writes a second and
 * not ten thousand. @throws AppError BUILD_LEASE_LOST from `close` and `finish` when another writer was there
 */
export class BuildLogWriter {
  private waiting: LoggedBuildEvent[] = [];
  private characters = 0;
  private writing: Promise<void> = Promise.resolve();
  private timer: AbortController | undefined;
  private failure: unknown;

  constructor(
    private readonly log: BuildLog,
    private readonly clock: Clock,
    private readonly id: string,
    private sequence: number,
    /** Told once, when a batch cannot be written. */
    private readonly onFailure: (error: unknown) => void,
  ) {}

  readonly emit: EmitEvent = (event) => {
    const last = this.waiting.at(-1);
    if (event.type === 'step-output' && last?.event.type === 'step-output' && this.joins(last.event, event)) {
      this.waiting[this.waiting.length - 1] = { ...last, event: { ...event, text: last.event.text + event.text } };
    } else {
      this.sequence += 1;
      this.waiting.push({ sequence: this.sequence, timeMs: this.clock.nowMs(), event });
    }
    this.characters += event.type === 'step-output' ? event.text.length : 200;
    if (this.characters >= FLUSH_CHARACTERS) this.flush();
    else this.schedule();
  };

  private joins(last: BuildEvent & { type: 'step-output' }, next: BuildEvent & { type: 'step-output' }): boolean {
    return last.step === next.step && last.stream === next.stream && last.text.length < 8192;
  }

  private schedule(): void {
    if (this.timer !== undefined) return;
    const timer = new AbortController();
    this.timer = timer;
    this.clock.sleep(FLUSH_MS, timer.signal).then(
      () => this.flush(),
      () => undefined,
    );
  }

  private flush(): void {
    this.timer?.abort();
    this.timer = undefined;
    const events = this.waiting;
    if (events.length === 0) return;
    this.waiting = [];
    this.characters = 0;
    this.writing = this.writing
      .then(() => (this.failure === undefined ? this.write(events) : undefined))
      .catch((error: unknown) => {
        this.failure = error;
        this.onFailure(error);
      });
  }

  private async write(events: readonly LoggedBuildEvent[]): Promise<void> {
    if ((await this.log.append(this.id, events)) === 'lost') throw leaseLost(this.id);
  }

  /** Writes what is waiting. */
  async close(): Promise<void> {
    this.flush();
    await this.writing;
    if (this.failure !== undefined) throw this.failure;
  }

  /** Closes, and makes the last event for the caller to write together with the build's final state. */
  async finish(event: BuildEvent & { type: 'finished' }): Promise<LoggedBuildEvent> {
    await this.close();
    this.sequence += 1;
    return { sequence: this.sequence, timeMs: this.clock.nowMs(), event };
  }
}

export function leaseLost(id: string): AppError {
  return new AppError('BUILD_LEASE_LOST', `another worker has taken build ${id}`, { kind: 'conflict' });
}
