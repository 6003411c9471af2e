/** Text of lines, while it streams by. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ByteSource } from '../store/index.js';

/** Bytes of text at once: where more of it lives for long, it grows old, and garbage that is old stays for long. */
const TEXT_BYTES = 64 * 1024;

/** How a text of lines may be wrong. */
export interface LineProblems {
  /** The last line has no end. */
  readonly cut: () => Error;
  /** A line has more bytes than that; any number may be when absent. */
  readonly long?: { readonly maxBytes: number; readonly error: () => Error };
}

/**
 * The lines, some at a time: a promise for each of them would take longer than most have to be looked at. Others have
 * their turn in between, also where the bytes are all there.
 */
export async function* lineBatches(source: ByteSource, problems: LineProblems): AsyncGenerator<readonly string[]> {
  const { cut, long } = problems;
  let rest = '';
  const decoder = new TextDecoder();
  for await (const chunk of source) {
    for (let at = 0; at < chunk.length; at += TEXT_BYTES) {
      const text = decoder.decode(chunk.subarray(at, at + TEXT_BYTES), { stream: true });
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      yield lines;
      if (long !== undefined && rest.length > long.maxBytes) throw long.error();
      await nextTurn();
    }
  }
  if (rest !== '') throw cut();
}
