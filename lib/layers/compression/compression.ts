/** Compression of layers and contexts: which kinds there are, how to tell them apart, how to read and write them. */
import * as zlib from 'node:zlib';
import type { Transform } from 'node:stream';
import { AppError, errnoCode } from '../../errors/index.js';
import type { Compression } from '../../oci/index.js';
import type { ByteSource } from '../../store/index.js';
import { type ByteTransform, peek, through } from '../byte-stream.js';
import { gzip } from './gzip.js';
import { hostDecompress } from './host-decompressor.js';
import { FIELD } from '../tar/tar-format.js';
import { decodeHeader, isZeroBlock } from '../tar/tar-header.js';
import { unzstd } from './zstd.js';
import { writeZstd } from './zstd-writer.js';

/** What can be read; `bzip2` and `xz` only where the host has the program. */
export type ReadableCompression = Compression | 'bzip2' | 'xz';

export interface DecompressLimits {
  /** Uncompressed bytes; unlimited when absent. */
  readonly maxBytes?: number;
  /** Uncompressed bytes for each compressed one; unlimited when absent. */
  readonly maxRatio?: number;
  /** The ratio counts only from so many uncompressed bytes on; 10 MiB when absent. */
  readonly ratioFromBytes?: number;
}

export const DEFAULT_GZIP_LEVEL = 6;
const DEFAULT_ZSTD_LEVEL = 3;
const PIECE_BYTES = 16 * 1024;

/**
 * A transform to one kind of compression; the same bytes and level always give the same result on one version of Node.
 * @param level 0 (stored) to 9 for gzip, 1 to 22 for zstd
 * @throws AppError COMPRESSION_LEVEL
 */
export function compress(kind: Compression, level?: number): ByteTransform {
  if (kind === 'none') return (source) => source;
  if (kind === 'gzip') {
    checkLevel(kind, level ?? DEFAULT_GZIP_LEVEL, 0, 9);
    return (source) => gzip(source, level ?? DEFAULT_GZIP_LEVEL);
  }
  const zstdLevel = level ?? DEFAULT_ZSTD_LEVEL;
  checkLevel(kind, zstdLevel, 1, 22);
  const create = nodeZstd()?.createZstdCompress;
  if (create === undefined) return (source) => writeZstd(source, zstdLevel);
  return (source) => through(source, create({ params: { [ZSTD_COMPRESSION_LEVEL]: zstdLevel } }));
}

function checkLevel(kind: Compression, level: number, least: number, most: number): void {
  if (Number.isInteger(level) && level >= least && level <= most) return;
  throw new AppError('COMPRESSION_LEVEL', `${kind} has no level ${level}`, { hint: `${least} to ${most}` });
}

/**
 * The uncompressed bytes.
 * @param kind `sniff` tells by the first bytes
 * @throws AppError COMPRESSION_UNKNOWN, COMPRESSION_UNSUPPORTED, COMPRESSION_INVALID, COMPRESSION_BOMB
 */
export async function* decompress(
  source: ByteSource,
  kind: ReadableCompression | 'sniff',
  limits: DecompressLimits = {},
): ByteSource {
  let compressed = 0;
  let uncompressed = 0;
  const counted = async function* (chunks: ByteSource): ByteSource {
    for await (const chunk of chunks) {
      // In small pieces, so that what counts as read is not far ahead of what was unpacked.
      for (let at = 0; at < chunk.length; at += PIECE_BYTES) {
        const piece = chunk.subarray(at, at + PIECE_BYTES);
        compressed += piece.length;
        yield piece;
      }
    }
  };
  const { maxBytes = Infinity, maxRatio = Infinity, ratioFromBytes = 10 * 1024 * 1024 } = limits;
  for await (const chunk of await open(counted(source), kind)) {
    uncompressed += chunk.length;
    if (uncompressed > maxBytes) throw bomb(`more than ${maxBytes} bytes when uncompressed`);
    if (uncompressed > ratioFromBytes && uncompressed > compressed * maxRatio) {
      throw bomb(`${compressed} bytes unfold to more than ${maxRatio} times as many`);
    }
    yield chunk;
  }
}

async function open(source: ByteSource, kind: ReadableCompression | 'sniff'): Promise<ByteSource> {
  if (kind === 'sniff') {
    const peeked = await peek(source, 512);
    const found = sniffCompression(peeked.head);
    if (found === undefined) {
      throw new AppError('COMPRESSION_UNKNOWN', 'the bytes are neither a tar nor a compressed tar', {
        hint: 'tar, plain or compressed with gzip, zstd, bzip2 or xz',
      });
    }
    return open(peeked.source, found);
  }
  if (kind === 'none') return source;
  if (kind === 'gzip') return translated(through(source, zlib.createGunzip({ chunkSize: 64 * 1024 })), kind);
  if (kind === 'bzip2' || kind === 'xz') return hostDecompress(source, kind);
  const create = nodeZstd()?.createZstdDecompress;
  return create === undefined ? unzstd(source) : translated(through(source, create({})), kind);
}

/** What the first 512 bytes (fewer, where there are no more) begin; undefined when nothing that is known. */
export function sniffCompression(head: Uint8Array): ReadableCompression | undefined {
  const hex = Buffer.from(head.subarray(0, 6)).toString('hex');
  if (hex.startsWith('1f8b08')) return 'gzip';
  if (hex.startsWith('28b52ffd') || /^5.2a4d18/.test(hex)) return 'zstd';
  if (/^425a683[1-9]/.test(hex)) return 'bzip2';
  if (hex === 'fd377a585a00') return 'xz';
  if (head.length < 512) return undefined;
  const block = Buffer.from(head.subarray(0, 512));
  if (block.toString('latin1', FIELD.magic.at, FIELD.magic.at + 5) === 'ustar') return 'none';
  return isZeroBlock(block) || typeof decodeHeader(block) !== 'string' ? 'none' : undefined;
}

/** Errors of the decoder become ours; those of the source pass. */
async function* translated(source: ByteSource, kind: string): ByteSource {
  try {
    yield* source;
  } catch (error) {
    if (errnoCode(error)?.startsWith('Z_') === true || errnoCode(error)?.startsWith('ZSTD_') === true) {
      const message = error instanceof Error ? error.message : 'malformed';
      throw new AppError('COMPRESSION_INVALID', `${kind}: ${message}`, { cause: error });
    }
    throw error;
  }
}

function bomb(problem: string): AppError {
  return new AppError('COMPRESSION_BOMB', `refused: ${problem}`, { kind: 'too-large' });
}

interface NodeZstd {
  readonly createZstdCompress?: (options: object) => Transform;
  readonly createZstdDecompress?: (options: object) => Transform;
}

/** ZSTD_c_compressionLevel in zstd.h. */
const ZSTD_COMPRESSION_LEVEL = 100;

/** Node 22.15 and newer have zstd; the types are those of Node 20. */
function nodeZstd(): NodeZstd | undefined {
  return 'createZstdDecompress' in zlib ? (zlib as unknown as NodeZstd) : undefined;
}
