/** Reads a byte source in pieces of an exact length, and knows where it stands. */
import type { ByteSource } from '../../store/index.js';

const NOTHING = Buffer.alloc(0);

export class ByteCursor {
  private readonly iterator: AsyncIterator<Uint8Array>;
  private chunk: Buffer = NOTHING;
  private ended = false;
  /** Bytes taken so far. */
  offset = 0;

  constructor(source: ByteSource) {
    this.iterator = source[Symbol.asyncIterator]();
  }

  /** Exactly `length` bytes; fewer only where the source ends. The buffer may be a view of a chunk. */
  async take(length: number): Promise<Buffer> {
    if (this.chunk.length === 0) await this.pull();
    if (this.chunk.length >= length) return this.cut(length);
    const parts: Buffer[] = [];
    let missing = length;
    while (missing > 0 && (await this.more())) {
      const part = this.cut(Math.min(missing, this.chunk.length));
      parts.push(part);
      missing -= part.length;
    }
    return Buffer.concat(parts, length - missing);
  }

  /** Whatever is at hand, at most `max` bytes; undefined where the source ends. */
  async some(max: number): Promise<Buffer | undefined> {
    return (await this.more()) ? this.cut(Math.min(max, this.chunk.length)) : undefined;
  }

  /** Passes over `length` bytes and says how many there were. */
  async skip(length: number): Promise<number> {
    let missing = length;
    while (missing > 0 && (await this.more())) missing -= this.cut(Math.min(missing, this.chunk.length)).length;
    return length - missing;
  }

  /** Lets go of the source. */
  async close(): Promise<void> {
    this.ended = true;
    this.chunk = NOTHING;
    await this.iterator.return?.();
  }

  private cut(length: number): Buffer {
    const part = this.chunk.subarray(0, length);
    this.chunk = this.chunk.subarray(length);
    this.offset += length;
    return part;
  }

  private async more(): Promise<boolean> {
    if (this.chunk.length === 0) await this.pull();
    return this.chunk.length > 0;
  }

  private async pull(): Promise<void> {
    while (!this.ended && this.chunk.length === 0) {
      const next = await this.iterator.next();
      if (next.done === true) this.ended = true;
      else this.chunk = Buffer.from(next.value.buffer, next.value.byteOffset, next.value.byteLength);
    }
  }
}
