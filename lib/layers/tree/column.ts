/**
 * Columns of numbers and bytes that grow by pieces: what is there stays where it is. One array that is made anew whenever
 * it is full leaves twice its size as garbage, which lies outside of the heap and is collected late.
 */
type Numbers = Uint8Array | Uint16Array | Uint32Array | Float64Array;

const PIECE_BITS = 12;
const PIECE_ROWS = 2 ** PIECE_BITS;
const IN_PIECE = PIECE_ROWS - 1;
const FIRST_ROWS = 16;
const WIDEST = Float64Array.BYTES_PER_ELEMENT;

/**
 * Numbers by row; zero where none was put. Each piece is as narrow as what is in it allows: sizes, times and owners may
 * have any number, and nearly all of them are small.
 */
export class Column {
  private readonly pieces: Numbers[] = [];

  at(row: number): number {
    return this.pieces[row >>> PIECE_BITS]?.[row & IN_PIECE] ?? 0;
  }

  put(row: number, value: number): void {
    const number = row >>> PIECE_BITS;
    const at = row & IN_PIECE;
    let piece = this.pieces[number];
    if (piece === undefined || at >= piece.length) {
      // Rows that end in zeros need no room.
      if (value === 0) return;
      piece = this.grow(number, at + 1);
    }
    piece[at] = value;
    while (piece[at] !== value && piece.BYTES_PER_ELEMENT < WIDEST) {
      piece = this.widen(number, piece);
      piece[at] = value;
    }
  }

  /** Only the first piece begins small: most lists are short. */
  private grow(number: number, rows: number): Numbers {
    for (let each = this.pieces.length; each < number; each += 1) this.pieces.push(new Uint8Array(0));
    const before = this.pieces[number];
    const room =
      number === 0 ? Math.min(PIECE_ROWS, Math.max(FIRST_ROWS, rows, (before?.length ?? 0) * 2)) : PIECE_ROWS;
    // As wide as its neighbour, which most often is wide enough.
    const piece = like(before ?? this.pieces[number - 1], room);
    if (before !== undefined) piece.set(before);
    this.pieces[number] = piece;
    return piece;
  }

  private widen(number: number, narrow: Numbers): Numbers {
    const piece = wider(narrow);
    piece.set(narrow);
    this.pieces[number] = piece;
    return piece;
  }
}

function like(other: Numbers | undefined, rows: number): Numbers {
  if (other instanceof Float64Array) return new Float64Array(rows);
  if (other instanceof Uint32Array) return new Uint32Array(rows);
  return other instanceof Uint16Array ? new Uint16Array(rows) : new Uint8Array(rows);
}

function wider({ length, BYTES_PER_ELEMENT }: Numbers): Numbers {
  if (BYTES_PER_ELEMENT === 1) return new Uint16Array(length);
  return BYTES_PER_ELEMENT === 2 ? new Uint32Array(length) : new Float64Array(length);
}

const BYTES_BITS = 16;
const PIECE_BYTES = 2 ** BYTES_BITS;
const FIRST_BYTES = 512;

/** Runs of bytes one after the other, none of them over the end of a piece. */
export class ByteRuns {
  private readonly pieces: Buffer[] = [];
  private end = 0;

  /** Where the next run of so many bytes begins: at most 65,536. */
  reserve(length: number): number {
    if (length > PIECE_BYTES) throw new RangeError(`a run of ${length} bytes; at most ${PIECE_BYTES}`);
    const left = PIECE_BYTES - (this.end & (PIECE_BYTES - 1));
    const start = length > left ? this.end + left : this.end;
    this.end = start + length;
    const number = start >>> BYTES_BITS;
    const room = (start & (PIECE_BYTES - 1)) + length;
    const before = this.pieces[number];
    if (before === undefined || before.length < room) {
      const wanted = Math.max(FIRST_BYTES, room, (before?.length ?? 0) * 2);
      const piece = Buffer.alloc(number === 0 ? Math.min(PIECE_BYTES, wanted) : PIECE_BYTES);
      if (before !== undefined) piece.set(before);
      this.pieces[number] = piece;
    }
    return start;
  }

  /** The piece that a run lies in; it is there from `inPiece(start)` on. */
  piece(start: number): Buffer {
    return this.pieces[start >>> BYTES_BITS] ?? NOTHING;
  }

  get sizeBytes(): number {
    return this.end;
  }
}

const NOTHING = Buffer.alloc(0);

/** Where in its piece a run begins. */
export const inPiece = (start: number): number => start & (PIECE_BYTES - 1);
