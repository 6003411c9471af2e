/**
 * The engine's events to somebody's HTTP endpoint: one POST for each, in order, signed, tried again with back-off. The
 * queue is bounded; when it is full the oldest event goes, and that is logged. The engine never waits for it.
 *
 * Headers: `x-wharf-event-id`, `x-wharf-timestamp` (epoch seconds), and `x-wharf-signature`, which is `sha256=` and the
 * HMAC-SHA256 in hexadecimal digits of the timestamp, a dot and the body, under the secret both sides know.
 */
import { createHmac } from 'node:crypto';
import type { Clock, Logger } from '../../store/index.js';
import type { EngineEvent } from '../types.js';
import type { EventSink } from './event-sink.js';

export interface EventWebhookDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly fetch?: typeof fetch;
}

export interface EventWebhookOptions {
  readonly url: string;
  readonly secret: string;
  /** Events that may wait. @default 1000 */
  readonly queue?: number;
  /** Tries for one event before it is given up. @default 8 */
  readonly tries?: number;
  /** Before the second try; doubles up to a minute. @default 1000 */
  readonly backOffMs?: number;
}

const QUEUE = 1000;
const TRIES = 8;
const BACK_OFF_MS = 1000;
const LONGEST_BACK_OFF_MS = 60_000;
const ANSWER_MS = 10_000;

export class EventWebhook implements EventSink {
  readonly #queue: EngineEvent[] = [];
  readonly #closing = new AbortController();
  #dropped = 0;
  #sending: Promise<void> | undefined;

  constructor(
    private readonly deps: EventWebhookDeps,
    private readonly options: EventWebhookOptions,
  ) {}

  take(event: EngineEvent): void {
    if (this.#closing.signal.aborted) return;
    this.#queue.push(event);
    if (this.#queue.length > (this.options.queue ?? QUEUE)) {
      this.#queue.shift();
      this.#dropped += 1;
    }
    this.#sending ??= this.#send();
  }

  /** What waits for another try is given up. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#sending;
  }

  async #send(): Promise<void> {
    for (let event = this.#queue.shift(); event !== undefined; event = this.#queue.shift()) {
      await this.#deliver(event);
      if (this.#dropped === 0) continue;
      this.deps.logger.warn('events were dropped: the webhook takes them too slowly', { count: this.#dropped });
      this.#dropped = 0;
    }
    this.#sending = undefined;
  }

  async #deliver(event: EngineEvent): Promise<void> {
    const { logger } = this.deps;
    const { tries = TRIES, backOffMs = BACK_OFF_MS } = this.options;
    for (let attempt = 1; ; attempt += 1) {
      const problem = await this.#post(event);
      if (problem === undefined) return;
      const isLast = problem.isFinal || attempt >= tries || this.#closing.signal.aborted;
      const about = { eventId: event.id, attempt, problem: problem.text };
      if (isLast) return logger.error('an event was not delivered to the webhook', about);
      logger.warn('an event is sent to the webhook again', about);
      const waitMs = Math.min(LONGEST_BACK_OFF_MS, backOffMs * 2 ** (attempt - 1));
      await this.deps.clock.sleep(waitMs, this.#closing.signal).catch(() => undefined);
    }
  }

  /** @returns what went wrong; undefined when it was taken */
  async #post(event: EngineEvent): Promise<{ readonly text: string; readonly isFinal: boolean } | undefined> {
    const body = JSON.stringify(event);
    const timestamp = String(Math.floor(this.deps.clock.nowMs() / 1000));
    const signature = createHmac('sha256', this.options.secret).update(`${timestamp}.${body}`).digest('hex');
    try {
      const response = await (this.deps.fetch ?? fetch)(this.options.url, {
        method: 'POST',
        body,
        redirect: 'error',
        headers: {
          'content-type': 'application/json',
          'x-wharf-event-id': event.id,
          'x-wharf-timestamp': timestamp,
          'x-wharf-signature': `sha256=${signature}`,
        },
        signal: AbortSignal.any([this.#closing.signal, AbortSignal.timeout(ANSWER_MS)]),
      });
      await response.body?.cancel();
      if (response.ok) return undefined;
      const { status } = response;
      // It was understood and refused: the same again would be refused again.
      const isFinal = status >= 400 && status < 500 && status !== 408 && status !== 429;
      return { text: `status ${String(status)}`, isFinal };
    } catch (error) {
      return { text: String(error), isFinal: false };
    }
  }
}
