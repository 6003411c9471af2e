/**
 * A part of a file to be read. As a stream it is like any other; poured, it takes two pieces of memory however long it
 * is, where a stream takes new memory for each piece, which is most of what sending a large file costs.
 */
import { Readable } from 'node:stream';
import type { OpenFile } from './files-fs.js';
import type { ByteSource } from '../ports.js';

const PIECE_BYTES = 256 * 1024;
/** As a stream: waking a thread for each piece costs more than the bytes themselves. */
const STREAM_PIECE_BYTES = 1024 * 1024;

export class FileReadable extends Readable {
  private at: number;

  /** @param end inclusive. The file is closed when the stream ends. */
  constructor(
    private readonly file: OpenFile,
    start: number,
    private readonly end: number,
  ) {
    super({ highWaterMark: STREAM_PIECE_BYTES });
    this.at = start;
  }

  /** Instead of reading the stream. A piece is good until the next one is asked for; that is read meanwhile. */
  async *pieces(pieceBytes = PIECE_BYTES): ByteSource {
    const size = Math.min(pieceBytes, this.end - this.at + 1);
    let [piece, other] = [Buffer.allocUnsafe(size), Buffer.allocUnsafe(size)];
    let reading = this.fill(piece);
    try {
      for (let bytes = await reading; bytes > 0; bytes = await reading) {
        reading = this.fill(other);
        // Met where it is awaited.
        reading.catch(() => {});
        yield piece.subarray(0, bytes);
        [piece, other] = [other, piece];
      }
    } finally {
      // It ends before the file is closed.
      await reading.catch(() => {});
      this.destroy();
    }
  }

  override _read(): void {
    const piece = Buffer.allocUnsafe(Math.min(STREAM_PIECE_BYTES, Math.max(1, this.end - this.at + 1)));
    this.fill(piece).then(
      (bytes) => this.push(bytes === 0 ? null : piece.subarray(0, bytes)),
      (error: unknown) => this.destroy(error instanceof Error ? error : new Error(String(error))),
    );
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.file.close().then(
      () => done(error),
      (failure: unknown) => done(error ?? (failure instanceof Error ? failure : null)),
    );
  }

  private async fill(piece: Buffer): Promise<number> {
    const wanted = Math.min(piece.length, this.end - this.at + 1);
    if (wanted <= 0) return 0;
    const { bytesRead } = await this.file.read(piece, 0, wanted, this.at);
    if (bytesRead === 0) throw new Error(`the file ends at ${this.at}, ${this.end - this.at + 1} bytes early`);
    this.at += bytesRead;
    return bytesRead;
  }
}

/** Hands over all bytes of a stream in order, one piece at a time; a piece is good until `write` has resolved. */
export async function pour(stream: Readable, write: (bytes: Uint8Array) => Promise<void>): Promise<void> {
  for await (const piece of piecesOf(stream)) await write(piece);
}

/** The bytes of a stream; each piece is good until the next one is asked for. */
export function piecesOf(stream: Readable, pieceBytes?: number): ByteSource {
  return stream instanceof FileReadable ? stream.pieces(pieceBytes) : (stream as ByteSource);
}
