/**
 * A segment of a layer as deflate blocks. Stretches that cannot get smaller (pictures, archives, fonts) are stored as
 * they are; to find that out, deflate takes longer than for text.
 */
import { deflateBlock, STORED_BYTES, storedHeader } from '../compression/gzip.js';

/** What one look decides on. */
const WINDOW_BYTES = 8 * 1024;
/** Shorter stretches are not worth an end of the blocks before them. */
const LEAST_STORED_BYTES = 2 * WINDOW_BYTES;
/** Every fifth byte: an odd distance, so that each byte of wider numbers is met. */
const STRIDE = 5;

interface Part {
  readonly bytes: Uint8Array;
  readonly isStored: boolean;
}

/** The same bytes and level always give the same result on one version of zlib; it ends at a whole byte. */
export async function deflateSegment(segment: Uint8Array, level: number): Promise<Uint8Array> {
  const parts = partsOf(segment);
  const done = await Promise.all(
    parts.map(async ({ bytes, isStored }) => (isStored ? stored(bytes) : deflateBlock(bytes, level))),
  );
  const [only] = done;
  if (done.length === 1 && only !== undefined) return only;
  const whole = new Uint8Array(done.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const bytes of done) {
    whole.set(bytes, at);
    at += bytes.length;
  }
  return whole;
}

function partsOf(segment: Uint8Array): readonly Part[] {
  const parts: Part[] = [];
  let from = 0;
  const end = (to: number, isStored: boolean): void => {
    if (to > from) parts.push({ bytes: segment.subarray(from, to), isStored });
    from = to;
  };
  let began: number | undefined;
  for (let at = 0; at <= segment.length; at += WINDOW_BYTES) {
    const isRandom = at + WINDOW_BYTES <= segment.length && looksRandom(segment, at);
    if (isRandom) began ??= at;
    else if (began !== undefined) {
      if (at - began >= LEAST_STORED_BYTES) {
        end(began, false);
        end(at, true);
      }
      began = undefined;
    }
  }
  end(segment.length, false);
  return parts;
}

const counts = new Uint16Array(256);

/**
 * Whether all values come equally often, as far as chance allows: then no code is shorter than the bytes. (For n bytes
 * that chance alone has drawn, the squares of the counts sum up to n + n²/256 on average, give or take n/11.)
 */
function looksRandom(bytes: Uint8Array, from: number): boolean {
  counts.fill(0);
  let n = 0;
  for (let at = from; at < from + WINDOW_BYTES; at += STRIDE) {
    const byte = bytes[at] ?? 0;
    counts[byte] = (counts[byte] ?? 0) + 1;
    n += 1;
  }
  let squares = 0;
  for (const count of counts) squares += count * count;
  return squares < n + (n * n) / 256 + n / 2;
}

function stored(bytes: Uint8Array): Uint8Array {
  const count = Math.ceil(bytes.length / STORED_BYTES);
  const whole = new Uint8Array(bytes.length + count * 5);
  for (let i = 0; i < count; i += 1) {
    const piece = bytes.subarray(i * STORED_BYTES, (i + 1) * STORED_BYTES);
    whole.set(storedHeader(piece.length, false), i * (STORED_BYTES + 5));
    whole.set(piece, i * (STORED_BYTES + 5) + 5);
  }
  return whole;
}
