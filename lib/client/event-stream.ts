/** Server-sent events as they are read (WHATWG HTML, section 9.2.6), and following them over broken connections. */
import { AppError, toAppError } from '../errors/index.js';
import type { CallOptions, Transport } from './transport.js';

export interface StreamedEvent {
  readonly id: string;
  readonly event: string;
  readonly data: string;
}

/** The events of one response; a half event at the end of a broken one is dropped. */
export async function* parseEvents(body: AsyncIterable<Uint8Array>): AsyncIterable<StreamedEvent> {
  const decoder = new TextDecoder();
  let rest = '';
  let id = '';
  let event = '';
  let data: string[] = [];
  for await (const chunk of body) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split(/\r?\n/);
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line === '') {
        if (data.length > 0) yield { id, event: event === '' ? 'message' : event, data: data.join('\n') };
        event = '';
        data = [];
        continue;
      }
      const [, field = '', value = ''] = /^([^:]*):? ?(.*)$/.exec(line) ?? [];
      if (field === 'id') id = value;
      else if (field === 'event') event = value;
      else if (field === 'data') data.push(value);
    }
  }
}

export interface FollowOptions {
  readonly query?: CallOptions['query'];
  readonly signal?: AbortSignal;
  /** Whether this event is the last: then the stream's end is the end, not a cut. */
  readonly isLast: (event: StreamedEvent) => boolean;
  /** Waits between attempts; a timer when absent. */
  readonly sleep?: (ms: number) => Promise<void>;
}

const ATTEMPTS = 8;
/** A host that cannot stream ends an answer every few seconds, whether anything happened or not: an hour and more of them. */
const QUIET_ANSWERS = 1000;
const FIRST_WAIT_MS = 100;

/** Follows a stream to its last event; a cut connection is opened again after the last event that was seen. */
export async function* follow(
  transport: Transport,
  path: string,
  options: FollowOptions,
): AsyncIterable<StreamedEvent> {
  const sleep = options.sleep ?? ((ms) => new Promise((resolve) => setTimeout(resolve, ms)));
  let lastId = '';
  let failures = 0;
  let quiet = 0;
  for (;;) {
    try {
      const { body } = await transport.send('GET', path, {
        headers: { accept: 'text/event-stream', ...(lastId === '' ? {} : { 'last-event-id': lastId }) },
        ...(options.query === undefined ? {} : { query: options.query }),
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      });
      for await (const event of parseEvents(body)) {
        lastId = event.id;
        failures = 0;
        quiet = 0;
        yield event;
        if (options.isLast(event)) return;
      }
      failures = 0;
    } catch (error) {
      if (options.signal?.aborted === true) return;
      // A refusal will be the same next time; a lost connection may not.
      if (error instanceof AppError && error.kind !== 'unavailable') throw error;
      failures += 1;
      if (failures >= ATTEMPTS) throw lost(path, error);
    }
    quiet += 1;
    if (quiet >= QUIET_ANSWERS) throw lost(path, undefined);
    await sleep(FIRST_WAIT_MS * 2 ** Math.max(0, failures - 1));
  }
}

function lost(path: string, cause: unknown): AppError {
  return new AppError('STREAM_LOST', `${path} broke off again and again`, {
    kind: 'unavailable',
    ...(cause === undefined ? {} : { cause: toAppError(cause) }),
  });
}
