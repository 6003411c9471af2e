/**
 * A part of a file to be read. As a stream it is like any other; poured, it goes through memory that is used again, and
 * shared with others that read the same file, where a stream takes new memory for each piece.
 */
import { Readable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import type { OpenFile } from './files-fs.js';
import { readMemory } from './read-memory-fs.js';
import { PIECE_BYTES, type SharedPieces, type TakenPiece } from './shared-pieces.js';
import type { ByteSource } from '../ports.js';

/** Of a reader that has two pieces for itself. */
const OWN_PIECE_BYTES = 256 * 1024;

/**
 * So many pieces of a large body are sent in a turn: with one, small ones that come and go overtake it again and again, and
 * the slowest of all pulls are those of large layers (decision 132).
 */
const LARGE_TURN = 2;
const LARGE_BYTES = 16 * 1024 * 1024;

/** For files whose bytes never change. */
export interface Sharing {
  readonly pieces: SharedPieces;
  /** Of the file, and of no other. */
  readonly name: string;
}

export class FileReadable extends Readable {
  private at: number;
  private own: [Buffer, Buffer] | undefined;
  private isAlone = false;

  /** @param end inclusive. The file is closed when the stream ends. */
  constructor(
    private readonly file: OpenFile,
    start: number,
    private readonly end: number,
    private readonly sharing?: Sharing,
  ) {
    super({ highWaterMark: PIECE_BYTES });
    this.at = start;
  }

  /**
   * Instead of reading the stream. A piece is good until the next one is asked for; what follows is read meanwhile.
   * @param alone nobody else reads this now: it goes through two pieces of its own, and leaves none for others
   */
  async *pieces(alone = false): ByteSource {
    this.isAlone = alone;
    const turn = alone || this.end - this.at < LARGE_BYTES ? 1 : LARGE_TURN;
    const taken: TakenPiece[] = [];
    try {
      this.readAhead(taken, turn);
      for (let sent = 1, piece = taken[0]; piece !== undefined; sent++, piece = taken[0]) {
        const bytes = await piece.bytes;
        this.readAhead(taken, turn + 1);
        yield bytes;
        piece.done();
        taken.shift();
        // While the system takes all at once, what comes from memory would never leave the others a turn.
        if (sent % turn === 0 && taken.length > 0) await setImmediate();
      }
    } finally {
      // What is being read ends before the file is closed.
      await Promise.allSettled(taken.map(({ bytes }) => bytes));
      for (const piece of taken) piece.done();
      this.destroy();
    }
  }

  override _read(): void {
    const size = Math.min(PIECE_BYTES, this.end - this.at + 1);
    if (size === 0) {
      this.push(null);
      return;
    }
    const at = this.at;
    this.at += size;
    this.fill(readMemory(size), at).then(
      (bytes) => this.push(bytes),
      (error: unknown) => this.destroy(error instanceof Error ? error : new Error(String(error))),
    );
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.file.close().then(
      () => done(error),
      (failure: unknown) => done(error ?? (failure instanceof Error ? failure : null)),
    );
  }

  /** @param taken the piece that is sent, and those behind it: two in any case, more while there is memory for all */
  private readAhead(taken: TakenPiece[], most: number): void {
    while (taken.length < most && this.at <= this.end) {
      const isSpare = taken.length >= 2;
      if (isSpare && this.sharing?.pieces.isScarce === true) return;
      const left = this.end - this.at + 1;
      const piece = this.sharedPiece(left) ?? (isSpare ? undefined : this.ownPiece(left));
      if (piece === undefined) return;
      // Met where it is awaited.
      piece.bytes.catch(() => {});
      taken.push(piece);
    }
  }

  /** Those begin at whole pieces of the file, so that they are the same for all. */
  private sharedPiece(left: number): TakenPiece | undefined {
    const { at, sharing } = this;
    if (this.isAlone || sharing === undefined || at % PIECE_BYTES !== 0) return undefined;
    const size = Math.min(PIECE_BYTES, left);
    const place = `${sharing.name}@${at}+${size}`;
    const piece = sharing.pieces.take(place, (memory) => this.fill(memory.subarray(0, size), at));
    if (piece !== undefined) this.at += size;
    return piece;
  }

  private ownPiece(left: number): TakenPiece {
    const most = this.isAlone ? PIECE_BYTES : OWN_PIECE_BYTES;
    // Up to where shared ones begin.
    const size = Math.min(most, left, PIECE_BYTES - (this.at % PIECE_BYTES));
    this.own ??= [readMemory(Math.min(most, left)), readMemory(Math.min(most, left))];
    const [memory, other] = this.own;
    this.own = [other, memory];
    const bytes = this.fill(memory.subarray(0, size), this.at);
    this.at += size;
    return { bytes, done: () => {} };
  }

  /** All of it. */
  private async fill(memory: Buffer, position: number): Promise<Buffer> {
    for (let done = 0; done < memory.length;) {
      const { bytesRead } = await this.file.read(memory, done, memory.length - done, position + done);
      if (bytesRead === 0) {
        const missing = this.end - position - done + 1;
        throw new Error(`the file ends at ${position + done}, ${missing} bytes early`);
      }
      done += bytesRead;
    }
    return memory;
  }
}

/** Hands over all bytes of a stream in order, one piece at a time; a piece is good until `write` has resolved. */
export async function pour(stream: Readable, write: (bytes: Uint8Array) => Promise<void>): Promise<void> {
  for await (const piece of piecesOf(stream)) await write(piece);
}

/** The bytes of a stream; each piece is good until the next one is asked for. @param alone as `FileReadable.pieces` has it */
export function piecesOf(stream: Readable, alone = false): ByteSource {
  return stream instanceof FileReadable ? stream.pieces(alone) : (stream as ByteSource);
}
