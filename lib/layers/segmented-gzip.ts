/**
 * Gzip of a layer by segments. Each segment is compressed by itself, so its compressed bytes follow from its own bytes
 * alone: what an earlier layer has of them is the same as what would be made anew, and the blob does not depend on
 * what was there to be taken.
 */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { ByteSource } from '../store/index.js';
import { deflateBlock, GZIP_END, GZIP_PARALLEL, gzipHeader, gzipTrailer } from './gzip.js';
import type { TarCuts } from './tar-cuts.js';

/** Where the compressed bytes of a segment are. */
export interface Segment {
  /** Of the uncompressed bytes, in hex. */
  readonly sha256: string;
  /** In the blob. */
  readonly offset: number;
  readonly length: number;
  /** CRC-32 of the compressed bytes. */
  readonly crc: number;
}

/** Compressed segments that are there already. */
export interface SegmentSource {
  has(sha256: string): boolean;
  /** Called for one segment at a time; undefined when the bytes cannot be had, or are not what they were. */
  read(sha256: string): Promise<Uint8Array | undefined>;
}

export interface SegmentedGzipOptions {
  /** 1 to 9. */
  readonly level: number;
  readonly cuts: TarCuts;
  readonly known?: SegmentSource;
  readonly onSegment?: (segment: Segment) => void;
}

/** A segment without a cut in it ends here: memory is bounded by it. */
const MAX_SEGMENT_BYTES = 1024 * 1024;

/** Names what made compressed bytes: with anything else in it they are not the same. */
export function segmentCoder(level: number): string {
  return `deflate ${process.versions.zlib} level ${level} in segments 1`;
}

export async function* segmentedGzip(source: ByteSource, options: SegmentedGzipOptions): ByteSource {
  const { level, cuts, known, onSegment } = options;
  let crc = 0;
  let size = 0;
  let offset = 0;
  const running: Promise<Work>[] = [];
  const take = async (next: Promise<Work>): Promise<Uint8Array> => {
    const { segment, sha256, deflated } = await next;
    const bytes = deflated ?? (await known?.read(sha256)) ?? (await deflateBlock(segment, level));
    onSegment?.({ sha256, offset, length: bytes.length, crc: crc32(bytes) });
    offset += bytes.length;
    return bytes;
  };
  const header = gzipHeader(level);
  offset += header.length;
  yield header;
  for await (const segment of segmentsOf(source, cuts)) {
    crc = crc32(segment, crc);
    size += segment.length;
    const work = begin(segment, level, known);
    // Its failure is met where it is awaited.
    work.catch(() => {});
    running.push(work);
    const first = running.length > GZIP_PARALLEL ? running.shift() : undefined;
    if (first !== undefined) yield await take(first);
  }
  for (const work of running) yield await take(work);
  yield GZIP_END;
  yield gzipTrailer(crc, size);
}

interface Work {
  readonly segment: Uint8Array;
  readonly sha256: string;
  /** Absent when it is known. */
  readonly deflated?: Uint8Array;
}

async function begin(segment: Uint8Array, level: number, known: SegmentSource | undefined): Promise<Work> {
  // On the spot: handing it to another thread copies it first, and waking that thread takes longer than hashing it.
  const sha256 = createHash('sha256').update(segment).digest('hex');
  if (known?.has(sha256) === true) return { segment, sha256 };
  return { segment, sha256, deflated: await deflateBlock(segment, level) };
}

async function* segmentsOf(source: ByteSource, cuts: TarCuts): ByteSource {
  let parts: Uint8Array[] = [];
  let held = 0;
  let start = 0;
  const end = (): Uint8Array => {
    const segment = Buffer.concat(parts, held);
    start += held;
    parts = [];
    held = 0;
    return segment;
  };
  for await (const chunk of source) {
    for (let rest = chunk; rest.length > 0;) {
      const cut = Math.min(cuts.next(start), start + MAX_SEGMENT_BYTES);
      const part = rest.subarray(0, cut - start - held);
      parts.push(part);
      held += part.length;
      rest = rest.subarray(part.length);
      if (start + held === cut) yield end();
    }
  }
  if (held > 0) yield end();
}
