/** Text of lines, while it streams by. */
import type { ByteSource } from '../store/index.js';

/** @param cut tells of a last line without an end */
export async function* splitLines(source: ByteSource, cut: () => Error): AsyncGenerator<string, void, undefined> {
  let rest = '';
  const decoder = new TextDecoder();
  for await (const chunk of source) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = parts.pop() ?? '';
    yield* parts;
  }
  if (rest !== '') throw cut();
}
