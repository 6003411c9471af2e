/**
 * Segments of a layer in shared memory: what compresses, hashes and takes them reads them where they lie, and the memory
 * is used again by the next ones. However large a layer is, it passes through a few MiB.
 */
import type { ByteSource } from '../../store/index.js';
import type { TarCuts } from './tar-cuts.js';

export type SharedBytes = Uint8Array<SharedArrayBuffer>;

export interface PlainSegment {
  /** To be given back when nobody reads it any more. */
  readonly segment: SharedBytes;
  /** There is no other one. */
  readonly isOnly: boolean;
}

/** A segment without a cut in it ends here: memory is bounded by it. */
const MAX_SEGMENT_BYTES = 1024 * 1024;
/** Kept for the next layer. */
const MOST_FREE = 8;

const free: SharedArrayBuffer[] = [];

export function giveBack(segment: SharedBytes): void {
  if (free.length < MOST_FREE) free.push(segment.buffer);
}

function taken(): SharedBytes {
  return new Uint8Array(free.pop() ?? new SharedArrayBuffer(MAX_SEGMENT_BYTES));
}

/** @param source its chunks are copied at once */
export async function* segmentsOf(source: ByteSource, cuts: TarCuts): AsyncGenerator<PlainSegment, void, undefined> {
  let memory = taken();
  let held = 0;
  let start = 0;
  let before: SharedBytes | undefined;
  for await (const chunk of source) {
    for (let at = 0; at < chunk.length;) {
      const end = Math.min(cuts.next(start), start + MAX_SEGMENT_BYTES);
      const part = chunk.subarray(at, at + end - start - held);
      memory.set(part, held);
      held += part.length;
      at += part.length;
      if (start + held < end) continue;
      if (before !== undefined) yield { segment: before, isOnly: false };
      before = memory.subarray(0, held);
      memory = taken();
      start = end;
      held = 0;
    }
  }
  const last = held > 0 ? memory.subarray(0, held) : undefined;
  if (last === undefined) giveBack(memory);
  const isOnly = start + held === (before ?? last)?.length;
  for (const segment of [before, last]) if (segment !== undefined) yield { segment, isOnly };
}
