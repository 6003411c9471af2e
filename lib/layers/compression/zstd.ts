/**
 * Reads zstd (RFC 8878) with fzstd where Node has no zstd of its own. fzstd decodes whatever it is handed at once, so
 * a few kilobytes could unfold to gigabytes in one call: here frames are cut at their blocks and handed over one block
 * (at most 128 KiB of content) at a time, and windows above 64 MiB are refused.
 */
import { Decompress } from 'fzstd';
import { AppError } from '../../errors/index.js';
import type { ByteSource } from '../../store/index.js';
import { ByteCursor } from '../tar/byte-cursor.js';

const FRAME_MAGIC = 0xfd2fb528;
const MAX_WINDOW_BYTES = 64 * 1024 * 1024;
const MAX_BLOCK_BYTES = 128 * 1024;

export async function* unzstd(source: ByteSource): ByteSource {
  const cursor = new ByteCursor(source);
  try {
    for (;;) {
      const magic = await cursor.take(4);
      if (magic.length === 0) return;
      const number = magic.length < 4 ? 0 : magic.readUInt32LE(0);
      if (number === FRAME_MAGIC) yield* frame(cursor, magic);
      else if (number >>> 4 === 0x184d2a5) await passSkippable(cursor);
      else throw invalid(cursor, 'no zstd frame begins here');
    }
  } finally {
    await cursor.close();
  }
}

async function* frame(cursor: ByteCursor, magic: Buffer): ByteSource {
  let decoded: Uint8Array[] = [];
  const decoder = new Decompress((chunk) => {
    // The decoder reuses its memory.
    if (chunk.length > 0) decoded.push(chunk.slice());
  });
  const push = (bytes: Uint8Array): void => {
    try {
      decoder.push(bytes.slice());
    } catch (error) {
      throw invalid(cursor, error instanceof Error ? error.message : 'malformed');
    }
  };
  const { bytes, hasChecksum } = await frameHeader(cursor);
  push(Buffer.concat([magic, bytes]));
  for (let last = false; !last;) {
    const head = await exactly(cursor, 3);
    const value = head.readUIntLE(0, 3);
    last = (value & 1) === 1;
    const type = (value >>> 1) & 3;
    const size = value >>> 3;
    if (type === 3 || size > MAX_BLOCK_BYTES) throw invalid(cursor, 'a block of a reserved type or size');
    push(Buffer.concat([head, await exactly(cursor, type === 1 ? 1 : size)]));
    yield* decoded;
    decoded = [];
  }
  // The last frame may be shorter than the decoder wants to see before it starts.
  const checksum = hasChecksum ? await exactly(cursor, 4) : Buffer.alloc(0);
  try {
    decoder.push(checksum, true);
  } catch (error) {
    throw invalid(cursor, error instanceof Error ? error.message : 'malformed');
  }
  yield* decoded;
}

async function frameHeader(cursor: ByteCursor): Promise<{ readonly bytes: Buffer; readonly hasChecksum: boolean }> {
  const descriptor = await exactly(cursor, 1);
  const flags = descriptor[0] ?? 0;
  const single = (flags & 0x20) !== 0;
  const dictionaryBytes = [0, 1, 2, 4][flags & 3] ?? 0;
  const sizeBytes = [single ? 1 : 0, 2, 4, 8][flags >>> 6] ?? 0;
  const rest = await exactly(cursor, (single ? 0 : 1) + dictionaryBytes + sizeBytes);
  if (dictionaryBytes > 0)
    throw new AppError('ZSTD_UNSUPPORTED', 'zstd with a dictionary is not supported', { kind: 'unsupported' });
  const window = single ? contentSize(rest, sizeBytes) : windowSize(rest[0] ?? 0);
  if (window > MAX_WINDOW_BYTES) {
    throw new AppError('ZSTD_UNSUPPORTED', `zstd window of ${window} bytes is too large`, {
      kind: 'unsupported',
      hint: `at most ${MAX_WINDOW_BYTES} bytes: compress without --long and --ultra`,
    });
  }
  return { bytes: Buffer.concat([descriptor, rest]), hasChecksum: (flags & 4) !== 0 };
}

function windowSize(byte: number): number {
  const base = 2 ** (10 + (byte >>> 3));
  return base + (base / 8) * (byte & 7);
}

function contentSize(bytes: Buffer, length: number): number {
  if (length === 8) return Number(bytes.readBigUInt64LE(0));
  return bytes.readUIntLE(0, length) + (length === 2 ? 256 : 0);
}

async function passSkippable(cursor: ByteCursor): Promise<void> {
  const size = (await exactly(cursor, 4)).readUInt32LE(0);
  if ((await cursor.skip(size)) < size) throw invalid(cursor, 'it ends inside a skippable frame');
}

async function exactly(cursor: ByteCursor, length: number): Promise<Buffer> {
  const bytes = await cursor.take(length);
  if (bytes.length < length) throw invalid(cursor, 'it ends inside a frame');
  return bytes;
}

function invalid(cursor: ByteCursor, problem: string): AppError {
  return new AppError('COMPRESSION_INVALID', `zstd at byte ${cursor.offset}: ${problem}`);
}
