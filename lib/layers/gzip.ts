/**
 * Gzip with a fixed header (no time, no name, OS 255: what Go writes), so that the same bytes give the same blob. The
 * input is cut into chunks of one size first: what zlib emits must not depend on how the bytes happened to arrive.
 */
import { crc32, createDeflateRaw } from 'node:zlib';
import type { ByteSource } from '../store/index.js';
import { rechunk, through } from './byte-stream.js';

const CHUNK_BYTES = 64 * 1024;
/** The most one stored block holds (RFC 1951, section 3.2.4). */
const STORED_BYTES = 65_535;

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
  yield header(level);
  if (level === 0) yield* stored(counted(rechunk(source, STORED_BYTES)));
  else yield* through(counted(rechunk(source, CHUNK_BYTES)), createDeflateRaw({ level, chunkSize: CHUNK_BYTES }));
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32LE(crc, 0);
  trailer.writeUInt32LE(size % 2 ** 32, 4);
  yield trailer;
}

function header(level: number): Uint8Array {
  const extra = level === 9 ? 2 : level === 1 ? 4 : 0;
  return Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, extra, 255);
}

/** Stored blocks, and an empty final one, as Go's compressor closes. */
async function* stored(source: ByteSource): ByteSource {
  for await (const chunk of source) {
    yield storedHeader(chunk.length, false);
    yield chunk;
  }
  yield storedHeader(0, true);
}

function storedHeader(length: number, final: boolean): Uint8Array {
  const bytes = Buffer.alloc(5);
  bytes[0] = final ? 1 : 0;
  bytes.writeUInt16LE(length, 1);
  bytes.writeUInt16LE(0xffff - length, 3);
  return bytes;
}
