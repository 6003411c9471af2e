/**
 * Server-sent events over a fetch Response: each event carries an id from which the client resumes with
 * `Last-Event-ID`; a comment every few seconds keeps proxies from closing an idle stream. Pull-based, so a slow reader
 * slows the source and nothing piles up.
 */
import { errnoCode } from '../errors/index.js';
import type { Clock } from '../store/index.js';

export interface SseEvent {
  readonly id: string;
  readonly event: string;
  /** Sent as JSON. */
  readonly data: unknown;
}

export interface StreamOptions {
  readonly clock: Clock;
  /** Ends the stream; the source is told. */
  readonly signal: AbortSignal;
  /** 15 s when absent. */
  readonly heartbeatMs?: number;
  /** Called with what the source failed of, after which the stream breaks off. */
  readonly onError?: (error: unknown) => void;
}

const HEARTBEAT_MS = 15_000;

/** @param open makes the source, with the signal that ends it */
export function sseResponse(open: (signal: AbortSignal) => AsyncIterable<SseEvent>, options: StreamOptions): Response {
  return streamResponse('text/event-stream', open, formatEvent, ': keep-alive\n\n', options);
}

export function textResponse(open: (signal: AbortSignal) => AsyncIterable<string>, options: StreamOptions): Response {
  return streamResponse('text/plain; charset=utf-8', open, (text) => text, undefined, options);
}

export function formatEvent(event: SseEvent): string {
  return `id: ${event.id}\nevent: ${event.event}\ndata: ${JSON.stringify(event.data)}\n\n`;
}

function streamResponse<T>(
  type: string,
  open: (signal: AbortSignal) => AsyncIterable<T>,
  format: (item: T) => string,
  heartbeat: string | undefined,
  options: StreamOptions,
): Response {
  const ending = new AbortController();
  const signal = AbortSignal.any([ending.signal, options.signal]);
  const source = open(signal)[Symbol.asyncIterator]();
  const encoder = new TextEncoder();
  let next: Promise<IteratorResult<T>> | undefined;
  let hasLeft = false;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      next ??= source.next();
      try {
        const beat = new AbortController();
        const result = await Promise.race([
          next,
          aborted(signal, beat.signal),
          ...(heartbeat === undefined ? [] : [pause(options, beat.signal)]),
        ]).finally(() => beat.abort());
        if (hasLeft) return;
        if (result === 'pause') {
          controller.enqueue(encoder.encode(heartbeat));
          return;
        }
        next = undefined;
        if (result === 'aborted' || result.done === true) {
          ending.abort();
          controller.close();
        } else controller.enqueue(encoder.encode(format(result.value)));
      } catch (error) {
        ending.abort();
        if (hasLeft) return;
        if (!isAbort(error)) options.onError?.(error);
        controller.error(error);
      }
    },
    async cancel() {
      hasLeft = true;
      ending.abort();
      await source.return?.();
    },
  });
  const headers = { 'content-type': type, 'cache-control': 'no-store', 'x-accel-buffering': 'no' };
  return new Response(body, { headers });
}

async function pause(options: StreamOptions, signal: AbortSignal): Promise<'pause'> {
  try {
    await options.clock.sleep(options.heartbeatMs ?? HEARTBEAT_MS, signal);
  } catch {
    // The race is over; nobody waits for this any more.
  }
  return 'pause';
}

function aborted(signal: AbortSignal, over: AbortSignal): Promise<'aborted'> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve('aborted');
    else signal.addEventListener('abort', () => resolve('aborted'), { once: true, signal: over });
  });
}

function isAbort(error: unknown): boolean {
  return (error instanceof Error && error.name === 'AbortError') || errnoCode(error) === 'ABORT_ERR';
}
