/**
 * Pieces of files on their way out, in memory that is used again. Machines that are told to run an image pull it at the same
 * time: what one of them had read is there for those behind it, as long as they are near. Reading costs as much as sending,
 * and new memory for every piece keeps the collector of garbage busy.
 */
import { readMemory } from './read-memory-fs.js';

export const PIECE_BYTES = 1024 * 1024;
const MOST_PIECES = 48;
/** Then the memory is given back. */
const IDLE_MS = 30_000;

interface Piece {
  readonly memory: Buffer;
  readonly bytes: Promise<Uint8Array>;
  users: number;
}

/** A piece in use: its memory stays as it is until `done` is called. */
export interface TakenPiece {
  readonly bytes: Promise<Uint8Array>;
  done(): void;
}

export class SharedPieces {
  /** By place, the one asked for last at the end. */
  private readonly pieces = new Map<string, Piece>();
  private readonly spare: Buffer[] = [];
  private made = 0;
  /** Pieces with users. */
  private inUse = 0;
  private idle: NodeJS.Timeout | undefined;

  constructor(private readonly most = MOST_PIECES) {}

  /** Fewer than half are free: nobody should read further ahead than it needs. */
  get isScarce(): boolean {
    return this.inUse * 2 > this.most;
  }

  /**
   * @param place names bytes that never change
   * @param read called unless they are here; gives the part of the memory that it filled
   * @returns undefined when all memory is in use
   */
  take(place: string, read: (memory: Buffer) => Promise<Uint8Array>): TakenPiece | undefined {
    const piece = this.pieces.get(place) ?? this.filled(place, read);
    if (piece === undefined) return undefined;
    this.pieces.delete(place);
    this.pieces.set(place, piece);
    if (piece.users++ === 0 && this.inUse++ === 0) clearTimeout(this.idle);
    return { bytes: piece.bytes, done: () => this.done(piece) };
  }

  private done(piece: Piece): void {
    if (--piece.users > 0 || --this.inUse > 0) return;
    this.idle = setTimeout(() => this.forget(), IDLE_MS).unref();
  }

  private filled(place: string, read: (memory: Buffer) => Promise<Uint8Array>): Piece | undefined {
    const memory = this.memory();
    if (memory === undefined) return undefined;
    const piece: Piece = { memory, bytes: read(memory), users: 0 };
    // Whoever took it meets the failure; the next one tries again.
    piece.bytes.catch(() => {
      this.pieces.delete(place);
      this.spare.push(memory);
    });
    return piece;
  }

  /** Memory that nobody reads from or into. */
  private memory(): Buffer | undefined {
    const spare = this.spare.pop();
    if (spare !== undefined) return spare;
    if (this.made < this.most) {
      this.made++;
      return readMemory(PIECE_BYTES);
    }
    for (const [place, piece] of this.pieces) {
      if (piece.users > 0) continue;
      this.pieces.delete(place);
      return piece.memory;
    }
    return undefined;
  }

  private forget(): void {
    this.pieces.clear();
    this.spare.length = 0;
    this.made = 0;
  }
}
