/**
 * Gzip of a layer by segments. Each segment is compressed by itself, so its compressed bytes follow from its own bytes
 * alone: what an earlier layer has of them is the same as what would be made anew, and the blob does not depend on
 * what was there to be taken.
 */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { type Digest, Digester } from '../../oci/index.js';
import { type ByteSource, type TakenBytes, ThreadHash } from '../../store/index.js';
import { deflateSegment } from './deflate-segment.js';
import { GZIP_END, GZIP_PARALLEL, gzipHeader, gzipTrailer } from '../compression/gzip.js';
import { giveBack, segmentsOf, type SharedBytes } from './segment-memory.js';
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
  read(sha256: string): Promise<ReadSegment | undefined>;
}

export interface ReadSegment {
  readonly bytes: Uint8Array;
  /** CRC-32 of them. */
  readonly crc: number;
}

export interface SegmentedGzipOptions {
  /** 1 to 9. */
  readonly level: number;
  readonly cuts: TarCuts;
  readonly known?: SegmentSource;
  readonly onSegment?: (segment: Segment) => void;
  /** Told of the uncompressed bytes, when all of them have passed. */
  readonly onEnd?: (plain: { readonly digest: Digest; readonly sizeBytes: number }) => void;
}

/** Names what made compressed bytes: with anything else in it they are not the same. */
export function segmentCoder(level: number): string {
  return `deflate ${process.versions.zlib} level ${level} in segments 2`;
}

/** So many that every core has one, one is being hashed, and the next one is read. */
const AT_ONCE = GZIP_PARALLEL + 2;

/** @param source its chunks are copied at once */
export async function* segmentedGzip(source: ByteSource, options: SegmentedGzipOptions): ByteSource {
  const { level, cuts, known, onSegment, onEnd } = options;
  const header = gzipHeader(level);
  let { length: offset } = header;
  let hash: PlainHash | undefined;
  let crc = 0;
  const running: { readonly segment: SharedBytes; readonly work: Promise<Work> }[] = [];
  const take = async ({ segment, work }: { segment: SharedBytes; work: Promise<Work> }): Promise<Uint8Array> => {
    const { plain, deflated } = await work;
    const read = deflated === undefined ? await known?.read(plain.sha256) : undefined;
    const bytes = read?.bytes ?? deflated ?? (await deflateSegment(segment, level));
    giveBack(segment);
    crc = plain.crc;
    onSegment?.({ sha256: plain.sha256, offset, length: bytes.length, crc: read?.crc ?? crc32(bytes) });
    offset += bytes.length;
    return bytes;
  };
  yield header;
  try {
    for await (const { segment, isOnly } of segmentsOf(source, cuts)) {
      hash ??= isOnly ? new HashHere() : new ThreadHash('sha256');
      const work = begin(segment, hash, level, known);
      // Its failure is met where it is awaited.
      work.catch(() => {});
      running.push({ segment, work });
      const first = running.length >= AT_ONCE ? running.shift() : undefined;
      if (first !== undefined) yield await take(first);
    }
    for (let first = running.shift(); first !== undefined; first = running.shift()) yield await take(first);
    hash ??= new HashHere();
    onEnd?.({ digest: await hash.digest(), sizeBytes: hash.sizeBytes });
    // A copy: who takes the chunks takes their memory too.
    yield GZIP_END.slice();
    yield gzipTrailer(crc, hash.sizeBytes);
  } finally {
    // Whoever still reads a segment ends before another one lies there.
    await Promise.allSettled(running.map(({ work }) => work));
    for (const { segment } of running) giveBack(segment);
    hash?.drop();
  }
}

interface Work {
  readonly plain: TakenBytes;
  /** Absent when it is known. */
  readonly deflated?: Uint8Array;
}

async function begin(
  segment: SharedBytes,
  hash: PlainHash,
  level: number,
  known: SegmentSource | undefined,
): Promise<Work> {
  const taken = hash.take(segment);
  // Where nothing is known, nobody waits for the hash.
  if (known === undefined) {
    const [plain, deflated] = await Promise.all([taken, deflateSegment(segment, level)]);
    return { plain, deflated };
  }
  const plain = await taken;
  return known.has(plain.sha256) ? { plain } : { plain, deflated: await deflateSegment(segment, level) };
}

/** Of all uncompressed bytes: `ThreadHash`, or for few of them one in this thread. */
interface PlainHash {
  readonly sizeBytes: number;
  take(segment: SharedBytes): Promise<TakenBytes>;
  digest(): Promise<Digest>;
  drop(): void;
}

class HashHere implements PlainHash {
  private readonly digester = new Digester();
  private crc = 0;

  get sizeBytes(): number {
    return this.digester.sizeBytes;
  }

  async take(segment: SharedBytes): Promise<TakenBytes> {
    this.digester.update(segment);
    this.crc = crc32(segment, this.crc);
    return { sha256: createHash('sha256').update(segment).digest('hex'), crc: this.crc };
  }

  async digest(): Promise<Digest> {
    return this.digester.digest();
  }

  drop(): void {}
}
