import { describe, expect, test } from '@jest/globals';
import { abortable } from '../../lib/store/byte-source.js';

const CHUNK = 1024 * 1024;

async function* chunks(count: number): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < count; i += 1) yield Buffer.alloc(CHUNK, i);
}

describe('a source that can be aborted', () => {
  test('holds no chunk that has been read (a 512 MiB upload once kept 512 MiB alive)', async () => {
    const before = process.memoryUsage().arrayBuffers;
    let read = 0;
    let peak = 0;
    for await (const chunk of abortable(chunks(512), new AbortController().signal)) {
      expect(chunk).toHaveLength(CHUNK);
      read += 1;
      if (read % 32 === 0) peak = Math.max(peak, process.memoryUsage().arrayBuffers);
    }
    expect(read).toBe(512);
    // Garbage may lie about for a while, but not all of it.
    expect(peak - before).toBeLessThan(448 * CHUNK);
  });

  test('ends with the reason of the abort while the next chunk does not come', async () => {
    const controller = new AbortController();
    const never: AsyncIterable<Uint8Array> = {
      [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }),
    };
    const reading = (async () => {
      for await (const chunk of abortable(never, controller.signal)) expect(chunk).toBeUndefined();
    })();
    controller.abort(new Error('enough'));
    await expect(reading).rejects.toThrow('enough');
  });
});
