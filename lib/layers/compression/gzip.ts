/**
 * Gzip with a fixed header (no time, no name, OS 255: what Go writes), so that the same bytes give the same blob. The
 * input is cut into blocks of one size first: what zlib emits must not depend on how the bytes happened to arrive. The
 * blocks are compressed side by side, each with the end of the one before as its dictionary, as pigz does it.
 */
import { availableParallelism } from 'node:os';
import { promisify } from 'node:util';
import { constants, crc32, deflateRaw } from 'node:zlib';
import type { ByteSource } from '../../store/index.js';
import { rechunk } from '../byte-stream.js';

const BLOCK_BYTES = 1024 * 1024;
/** As far as deflate looks back (RFC 1951, section 2). */
const WINDOW_BYTES = 32 * 1024;
/** An empty last block: what each block before ends with is a flush, so it begins at a whole byte. */
export const GZIP_END = Uint8Array.of(3, 0);
export const GZIP_PARALLEL = Math.min(8, availableParallelism());
/** The most one stored block holds (RFC 1951, section 3.2.4). */
export const STORED_BYTES = 65_535;

/** @param level 0 (stored) to 9 */
export async function* gzip(source: ByteSource, level: number): ByteSource {
  let crc = 0;
  let size = 0;
  const counted = async function* (chunks: ByteSource): ByteSource {
    for await (const chunk of chunks) {
      crc = crc32(chunk, crc);
      size += chunk.length;
      yield chunk;
    }
  };
  yield gzipHeader(level);
  if (level === 0) yield* stored(counted(rechunk(source, STORED_BYTES)));
  else yield* deflated(counted(rechunk(source, BLOCK_BYTES)), level);
  yield gzipTrailer(crc, size);
}

export function gzipTrailer(crc: number, sizeBytes: number): Uint8Array {
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32LE(crc, 0);
  trailer.writeUInt32LE(sizeBytes % 2 ** 32, 4);
  return trailer;
}

export function gzipHeader(level: number): Uint8Array {
  const extra = level === 9 ? 2 : level === 1 ? 4 : 0;
  return Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, extra, 255);
}

const deflate = promisify<Uint8Array, object, Buffer>(deflateRaw);

/** One block, whole and flushed to a byte, in memory of its own. */
export async function deflateBlock(block: Uint8Array, level: number, dictionary?: Uint8Array): Promise<Uint8Array> {
  const preset = dictionary === undefined ? {} : { dictionary };
  // Room for all that comes, even where it does not get smaller: one turn of the event loop for each block.
  const chunkSize = block.length + (block.length >> 8) + 1024;
  const bytes = await deflate(block, { level, finishFlush: constants.Z_SYNC_FLUSH, chunkSize, ...preset });
  // What was not needed of the room would stay in memory while the result waits to be written.
  return new Uint8Array(bytes);
}

/** In order; so many blocks at once that every core has one, and the next one is being read. */
async function* deflated(source: ByteSource, level: number): ByteSource {
  const running: Promise<Uint8Array>[] = [];
  let before: Uint8Array | undefined;
  for await (const block of source) {
    const deflating = deflateBlock(block, level, before?.subarray(-WINDOW_BYTES));
    // Its failure is met where it is awaited.
    deflating.catch(() => {});
    running.push(deflating);
    before = block;
    const first = running.length > GZIP_PARALLEL ? running.shift() : undefined;
    if (first !== undefined) yield await first;
  }
  for (const deflating of running) yield await deflating;
  yield GZIP_END;
}

/** Stored blocks, and an empty final one, as Go's compressor closes. */
async function* stored(source: ByteSource): ByteSource {
  for await (const chunk of source) {
    yield storedHeader(chunk.length, false);
    yield chunk;
  }
  yield storedHeader(0, true);
}

/** What is before stored bytes, where the block begins at a whole byte. */
export function storedHeader(length: number, final: boolean): Uint8Array {
  const bytes = Buffer.alloc(5);
  bytes[0] = final ? 1 : 0;
  bytes.writeUInt16LE(length, 1);
  bytes.writeUInt16LE(0xffff - length, 3);
  return bytes;
}
