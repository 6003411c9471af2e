import { describe, expect, test } from '@jest/globals';
import { sseResponse } from '../../lib/http/sse.js';
import { manualClock } from '../fakes/manual-clock.js';

const event = (n: number) => ({ id: String(n), event: 'n', data: { n } });

/** Hands out events one by one, and tells how many were taken. */
function source() {
  const waiting: ((n: number | undefined) => void)[] = [];
  const told: (number | undefined)[] = [];
  const state = { taken: 0, ended: false };
  return {
    state,
    tell(n: number | undefined) {
      const next = waiting.shift();
      if (next === undefined) told.push(n);
      else next(n);
    },
    async *open(signal: AbortSignal) {
      try {
        while (!signal.aborted) {
          const n =
            told.length > 0
              ? told.shift()
              : await new Promise<number | undefined>((resolve) => {
                  waiting.push(resolve);
                  signal.addEventListener('abort', () => resolve(undefined), { once: true });
                });
          if (n === undefined) return;
          state.taken += 1;
          yield event(n);
        }
      } finally {
        state.ended = true;
      }
    },
  };
}

function reader(response: Response) {
  const stream = response.body?.getReader();
  return {
    next: async () => {
      const result = await stream?.read();
      return result?.done === true ? undefined : new TextDecoder().decode(result?.value);
    },
    cancel: () => stream?.cancel(),
  };
}

const idle = () => new AbortController().signal;

describe('a stream of events', () => {
  test('carries each with its id, its kind and its data on one line', async () => {
    const events = source();
    const read = reader(sseResponse((signal) => events.open(signal), { clock: manualClock(), signal: idle() }));
    events.tell(1);
    expect(await read.next()).toBe('id: 1\nevent: n\ndata: {"n":1}\n\n');
    events.tell(undefined);
    expect(await read.next()).toBeUndefined();
  });

  test('keeps the connection alive while nothing happens, and loses nothing by it', async () => {
    const clock = manualClock();
    const events = source();
    const read = reader(sseResponse((signal) => events.open(signal), { clock, signal: idle(), heartbeatMs: 1000 }));
    const beat = read.next();
    await new Promise((resolve) => setImmediate(resolve));
    clock.advance(1000);
    expect(await beat).toBe(': keep-alive\n\n');
    events.tell(1);
    expect(await read.next()).toContain('id: 1');
    await read.cancel();
  });

  test('takes from the source only what is read', async () => {
    const events = source();
    const read = reader(sseResponse((signal) => events.open(signal), { clock: manualClock(), signal: idle() }));
    for (const n of [1, 2, 3, 4, 5]) events.tell(n);
    await read.next();
    await new Promise((resolve) => setImmediate(resolve));
    expect(events.state.taken).toBeLessThanOrEqual(3);
    await read.cancel();
  });

  test('tells the source when the reader goes away, and when the server closes', async () => {
    const left = source();
    const first = reader(sseResponse((signal) => left.open(signal), { clock: manualClock(), signal: idle() }));
    left.tell(1);
    await first.next();
    await first.cancel();
    expect(left.state.ended).toBe(true);
    const closing = new AbortController();
    const closed = source();
    const second = reader(
      sseResponse((signal) => closed.open(signal), { clock: manualClock(), signal: closing.signal }),
    );
    const end = second.next();
    closing.abort();
    expect(await end).toBeUndefined();
  });

  test('finds nothing wrong with a reader that goes away while it waits', async () => {
    const failures: unknown[] = [];
    const events = source();
    const options = { clock: manualClock(), signal: idle(), onError: (error: unknown) => failures.push(error) };
    const read = reader(sseResponse((signal) => events.open(signal), options));
    const waiting = read.next();
    await new Promise((resolve) => setImmediate(resolve));
    await read.cancel();
    expect(await waiting).toBeUndefined();
    await new Promise((resolve) => setImmediate(resolve));
    expect(failures).toEqual([]);
  });

  test('breaks off, and says so here, when the source fails', async () => {
    const failures: unknown[] = [];
    // eslint-disable-next-line require-yield
    async function* failing(): AsyncIterable<ReturnType<typeof event>> {
      throw new Error('the log is gone');
    }
    const options = { clock: manualClock(), signal: idle(), onError: (error: unknown) => failures.push(error) };
    await expect(reader(sseResponse(() => failing(), options)).next()).rejects.toThrow('the log is gone');
    expect(failures).toHaveLength(1);
  });
});
