/**
 * Queue over a RecordStore, for embedded mode. In the partition `QUEUE#<name>`:
 *   MSG#<id>               the message; its receipt changes with every delivery
 *   DUE#<epoch ms>#<id>    when it may be received next; always written together with its message
 *   DEAD#<id>              given up after `maxDeliveries`
 *   SENT#<dedupe id>       expires after five minutes
 * A receiver that dies gives its messages back when their time comes.
 */
import type { Clock, Ids, Queue, QueueMessage, RecordKey, RecordStore, RecordWrite, StoredRecord } from '../ports.js';
import { DEDUPE_SECONDS, MAX_RECEIVE, checkSend } from '../queue-rules.js';

export interface RecordsQueueOptions {
  readonly name: string;
  /** Deliveries after which a message becomes a dead letter; default 5. */
  readonly maxDeliveries?: number;
}

interface MessageRecord {
  readonly body: string;
  readonly deliveries: number;
  readonly dueMs: number;
  readonly receipt: string;
}

/** How soon a waiting receiver sees what another process sent, in milliseconds. Senders in this process wake it at once. */
const POLL_MS = 250;
const DEAD_LETTERS = 1000;
/** Messages looked at beyond those asked for, since other receivers may take the first ones. */
const SPARE = 10;

export class RecordsQueue implements Queue {
  private readonly partition: string;
  private readonly maxDeliveries: number;
  private readonly sleepers = new Set<AbortController>();
  private changes = 0;

  constructor(
    private readonly records: RecordStore,
    private readonly deps: { readonly clock: Clock; readonly ids: Ids },
    options: RecordsQueueOptions,
  ) {
    this.partition = `QUEUE#${options.name}`;
    this.maxDeliveries = options.maxDeliveries ?? 5;
  }

  async send(
    body: string,
    options: { readonly delaySeconds?: number; readonly dedupeId?: string } = {},
  ): Promise<void> {
    checkSend(body, options.delaySeconds);
    const nowMs = this.deps.clock.nowMs();
    const id = this.deps.ids.ulid();
    const message = { body, deliveries: 0, dueMs: nowMs + (options.delaySeconds ?? 0) * 1000, receipt: '' };
    const writes: RecordWrite[] = [
      { op: 'put', key: this.messageKey(id), value: message, expect: 'absent' },
      { op: 'put', key: this.dueKey(id, message.dueMs), value: {} },
    ];
    if (options.dedupeId !== undefined) {
      const key = { partition: this.partition, sort: `SENT#${options.dedupeId}` };
      writes.push({ op: 'put', key, value: {}, expect: 'absent', expiresAtMs: nowMs + DEDUPE_SECONDS * 1000 });
    }
    // Only the dedupe record can be lost: ids are new.
    if ((await this.records.transact(writes)).outcome === 'written') this.wake();
  }

  async receive(options: {
    readonly max?: number;
    readonly visibilitySeconds: number;
    readonly waitSeconds?: number;
    readonly signal?: AbortSignal;
  }): Promise<readonly QueueMessage[]> {
    const deadlineMs = this.deps.clock.nowMs() + (options.waitSeconds ?? 0) * 1000;
    for (;;) {
      options.signal?.throwIfAborted();
      const seen = this.changes;
      const messages = await this.take(Math.min(options.max ?? 1, MAX_RECEIVE), options.visibilitySeconds);
      const leftMs = deadlineMs - this.deps.clock.nowMs();
      if (messages.length > 0 || leftMs <= 0) return messages;
      if (seen === this.changes) await this.pause(Math.min(leftMs, POLL_MS), options.signal);
    }
  }

  async acknowledge(receipt: string): Promise<void> {
    const message = await this.held(receipt);
    if (message === undefined) return;
    await this.records.transact([
      { op: 'delete', key: message, expect: { version: message.version } },
      { op: 'delete', key: this.dueKey(idOf(message), message.value.dueMs) },
    ]);
  }

  async extend(receipt: string, visibilitySeconds: number): Promise<void> {
    const message = await this.held(receipt);
    if (message === undefined) return;
    const dueMs = this.deps.clock.nowMs() + visibilitySeconds * 1000;
    if ((await this.move(message, { ...message.value, dueMs })) && visibilitySeconds === 0) this.wake();
  }

  async deadLetters(): Promise<readonly { readonly id: string; readonly body: string }[]> {
    const page = await this.records.query<{ body: string }>(this.partition, { prefix: 'DEAD#', limit: DEAD_LETTERS });
    return page.records.map((record) => ({ id: idOf(record), body: record.value.body }));
  }

  private async take(max: number, visibilitySeconds: number): Promise<QueueMessage[]> {
    const nowMs = this.deps.clock.nowMs();
    const before = `DUE#${digits(nowMs + 1)}`;
    const due = await this.records.query(this.partition, { prefix: 'DUE#', before, limit: max + SPARE });
    const taken: QueueMessage[] = [];
    for (const record of due.records) {
      if (taken.length === max) break;
      const id = idOf(record);
      const message = await this.records.get<MessageRecord>(this.messageKey(id));
      if (message === undefined || message.value.dueMs > nowMs) continue;
      if (message.value.deliveries >= this.maxDeliveries) {
        await this.bury(message);
        continue;
      }
      const deliveries = message.value.deliveries + 1;
      const receipt = `${id}.${this.deps.ids.hex(8)}`;
      const next = { body: message.value.body, deliveries, dueMs: nowMs + visibilitySeconds * 1000, receipt };
      if (await this.move(message, next)) taken.push({ id, body: next.body, receipt, deliveries });
    }
    return taken;
  }

  /** False when another was faster. */
  private async move(message: StoredRecord<MessageRecord>, next: MessageRecord): Promise<boolean> {
    const id = idOf(message);
    const writes: RecordWrite[] = [{ op: 'put', key: message, value: next, expect: { version: message.version } }];
    if (next.dueMs !== message.value.dueMs) {
      writes.push({ op: 'delete', key: this.dueKey(id, message.value.dueMs) });
      writes.push({ op: 'put', key: this.dueKey(id, next.dueMs), value: {} });
    }
    return (await this.records.transact(writes)).outcome === 'written';
  }

  private async bury(message: StoredRecord<MessageRecord>): Promise<void> {
    const id = idOf(message);
    await this.records.transact([
      { op: 'delete', key: message, expect: { version: message.version } },
      { op: 'delete', key: this.dueKey(id, message.value.dueMs) },
      { op: 'put', key: { partition: this.partition, sort: `DEAD#${id}` }, value: { body: message.value.body } },
    ]);
  }

  /** The message of a receipt that still counts. */
  private async held(receipt: string): Promise<StoredRecord<MessageRecord> | undefined> {
    const message = await this.records.get<MessageRecord>(this.messageKey(receipt.split('.')[0] || '-'));
    return message?.value.receipt === receipt ? message : undefined;
  }

  private wake(): void {
    this.changes += 1;
    for (const sleeper of this.sleepers) sleeper.abort();
  }

  private async pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
    const sleeper = new AbortController();
    const stop = (): void => sleeper.abort();
    this.sleepers.add(sleeper);
    signal?.addEventListener('abort', stop, { once: true });
    try {
      await this.deps.clock.sleep(ms, sleeper.signal);
    } catch (error) {
      if (!sleeper.signal.aborted) throw error;
    } finally {
      this.sleepers.delete(sleeper);
      signal?.removeEventListener('abort', stop);
    }
  }

  private messageKey(id: string): RecordKey {
    return { partition: this.partition, sort: `MSG#${id}` };
  }

  private dueKey(id: string, dueMs: number): RecordKey {
    return { partition: this.partition, sort: `DUE#${digits(dueMs)}#${id}` };
  }
}

function idOf(key: RecordKey): string {
  return key.sort.slice(key.sort.lastIndexOf('#') + 1);
}

function digits(ms: number): string {
  return String(Math.floor(ms)).padStart(15, '0');
}
