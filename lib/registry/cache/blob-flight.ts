/**
 * One blob on its way from an upstream into our store, and everyone who waits for it. Whoever is there from the start
 * reads along while the bytes arrive; who comes later, or cannot keep up, goes on from the store once it has the blob.
 * The end of the blob is given to nobody before it is stored and its digest is right.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Digest } from '../../oci/index.js';
import type { ByteRange, ByteSource } from '../../store/index.js';

export interface FlightDeps {
  /** Stores all of the source or nothing, and makes it readable by `open`. */
  readonly store: (source: ByteSource) => Promise<void>;
  readonly open: (range: ByteRange) => Promise<ByteSource>;
}

/** A reader who is so many bytes behind reads on from the store. */
const MAX_BEHIND_BYTES = 8 * 1024 * 1024;

export class BlobFlight {
  /** Ends when the blob is stored; rejects when it will not be. */
  readonly landed: Promise<void>;
  private readonly readers = new Set<LiveReader>();
  private isMoving = false;
  private isOver = false;

  constructor(
    readonly digest: Digest,
    readonly sizeBytes: number,
    source: ByteSource,
    private readonly deps: FlightDeps,
  ) {
    this.landed = deps.store(this.tapped(source)).finally(() => {
      this.isOver = true;
      for (const reader of this.readers) reader.tell();
    });
    // Nobody may be waiting.
    this.landed.catch(() => undefined);
  }

  /** The bytes, or a part of them. @throws what keeps the blob from being stored */
  read(range?: ByteRange): ByteSource {
    if (range !== undefined || this.isMoving) return this.readStored(range ?? { start: 0, end: this.sizeBytes - 1 });
    const reader = new LiveReader();
    this.readers.add(reader);
    return this.readLive(reader);
  }

  private async *tapped(source: ByteSource): ByteSource {
    // Whoever started this reads along from the first byte.
    await nextTurn();
    for await (const chunk of source) {
      this.isMoving = true;
      for (const reader of this.readers) reader.push(chunk);
      yield chunk;
    }
  }

  private async *readLive(reader: LiveReader): ByteSource {
    let offset = 0;
    try {
      for (;;) {
        const chunk = reader.take();
        if (chunk !== undefined) {
          offset += chunk.length;
          if (offset >= this.sizeBytes) await this.landed;
          yield chunk;
        } else if (this.isOver || reader.isLost) break;
        else await reader.news();
      }
    } finally {
      this.readers.delete(reader);
    }
    yield* this.readStored({ start: offset, end: this.sizeBytes - 1 });
  }

  private async *readStored(range: ByteRange): ByteSource {
    await this.landed;
    if (range.start <= range.end) yield* await this.deps.open(range);
  }
}

/** What has arrived for one reader and was not taken yet. */
class LiveReader {
  /** It fell behind: its bytes were let go. */
  isLost = false;
  private chunks: Uint8Array[] = [];
  private bytes = 0;
  private wake: (() => void) | undefined;

  push(chunk: Uint8Array): void {
    if (this.isLost) return;
    this.chunks.push(chunk);
    this.bytes += chunk.length;
    if (this.bytes > MAX_BEHIND_BYTES) {
      this.isLost = true;
      this.chunks = [];
    }
    this.tell();
  }

  take(): Uint8Array | undefined {
    const chunk = this.chunks.shift();
    this.bytes -= chunk?.length ?? 0;
    return chunk;
  }

  news(): Promise<void> {
    return new Promise((resolve) => (this.wake = resolve));
  }

  tell(): void {
    this.wake?.();
    this.wake = undefined;
  }
}
