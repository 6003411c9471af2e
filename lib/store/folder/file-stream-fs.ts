/**
 * Streams into and out of files in large pieces: what comes from a connection is gathered first, the hash is computed
 * and the next piece gathered while the disk takes the one before.
 */
import { Readable } from 'node:stream';
import { writeAll } from './durable-file-fs.js';
import { FileReadable, type Sharing } from './file-readable-fs.js';
import type { OpenFile } from './files-fs.js';
import type { ByteRange, ByteSource } from '../ports.js';
import type { ThreadHash } from '../write-threads.js';

/** Bytes; what one stream holds in memory is about three such pieces. */
const PIECE_BYTES = 1 << 20;
/** A piece with what its last chunk is too long. */
const MEMORY_BYTES = PIECE_BYTES + 64 * 1024;
/** So few that the disk has work while the next bytes come. */
const SYNC_BYTES = 4 << 20;
/** What a thread is handed at a time, and how often before it has answered. */
const HANDED_BYTES = 256 * 1024;
const HANDED_AT_ONCE = 4;
/** A blob up to here is read at once. */
const SMALL_BYTES = 64 * 1024;

/**
 * Writes a source from `position` on. The caller syncs; of a large one most is on disk by then. When the source fails,
 * what came before is written first.
 * @param seen told each piece in order
 * @param advanced told how many more bytes are written
 */
export async function writeStream(
  file: OpenFile,
  source: ByteSource,
  position: number,
  seen: (bytes: Uint8Array) => void,
  advanced: (bytes: number) => void = () => {},
): Promise<void> {
  let at = position;
  let writing: Promise<void> = Promise.resolve();
  const behind = new BackgroundSync(file);
  try {
    for await (const piece of gathered(source)) {
      await writing;
      writing = writeAll(file, piece, at).then(() => {
        behind.wrote(piece.length);
        advanced(piece.length);
      });
      // Its failure is met where it is awaited next.
      writing.catch(() => {});
      seen(piece);
      at += piece.length;
    }
  } finally {
    await writing;
    await behind.end();
  }
}

/** What the beginning of a source tells, and all of it. */
export interface Opening {
  /** It has more bytes than are worth handing to a thread. */
  readonly isLong: boolean;
  readonly whole: ByteSource;
}

export async function openingOf(source: ByteSource): Promise<Opening> {
  const first: Uint8Array[] = [];
  const rest = source[Symbol.asyncIterator]();
  let failure: { readonly error: unknown } | undefined;
  let bytes = 0;
  try {
    while (bytes < HANDED_BYTES) {
      const next = await rest.next();
      if (next.done === true) break;
      first.push(next.value);
      bytes += next.value.length;
    }
  } catch (error) {
    failure = { error };
  }
  const whole = async function* (): ByteSource {
    yield* first;
    if (failure !== undefined) throw failure.error;
    yield* { [Symbol.asyncIterator]: () => rest };
  };
  return { isLong: bytes >= HANDED_BYTES, whole: whole() };
}

/** Like `writeStream`, but hash and writes are a thread's work. @param file with a descriptor of the system */
export async function writeByThread(
  file: OpenFile & { readonly fd: number },
  hash: ThreadHash,
  source: ByteSource,
  position: number,
  options: { readonly handsOver: boolean; advanced(bytes: number): void },
): Promise<void> {
  const behind = new BackgroundSync(file);
  const running: Promise<void>[] = [];
  let failure: { readonly error: unknown } | undefined;
  let at = position;
  let chunks: Uint8Array[] = [];
  let bytes = 0;
  const hand = (): void => {
    const size = bytes;
    const writing = hash.write(file.fd, chunks, at, options.handsOver).then(
      () => {
        // After one that failed nothing counts.
        if (failure !== undefined) return;
        behind.wrote(size);
        options.advanced(size);
      },
      (error: unknown) => void (failure ??= { error }),
    );
    running.push(writing);
    at += size;
    chunks = [];
    bytes = 0;
  };
  try {
    for await (const chunk of source) {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes < HANDED_BYTES) continue;
      hand();
      if (running.length >= HANDED_AT_ONCE) await running.shift();
      if (failure !== undefined) break;
    }
  } finally {
    if (bytes > 0) hand();
    await Promise.all(running);
    await behind.end();
  }
  if (failure !== undefined) throw failure.error;
}

/** Keeps the bytes that wait for the disk few, so that the sync at the end is short whatever the size. */
class BackgroundSync {
  private waiting = 0;
  private running: Promise<void> | undefined;
  /** The system tells of bytes that were lost only once. */
  private failure: { readonly error: unknown } | undefined;

  constructor(private readonly file: OpenFile) {}

  wrote(bytes: number): void {
    this.waiting += bytes;
    if (this.waiting < SYNC_BYTES || this.running !== undefined) return;
    this.waiting = 0;
    this.running = this.file
      .datasync()
      .catch((error: unknown) => void (this.failure ??= { error }))
      .finally(() => (this.running = undefined));
  }

  async end(): Promise<void> {
    await this.running;
    if (this.failure !== undefined) throw this.failure.error;
  }
}

/**
 * The bytes of an open file, which is closed at their end.
 * @param sizeBytes of the file, not 0
 */
export async function readStream(
  file: OpenFile,
  sizeBytes: number,
  sharing: Sharing,
  range?: ByteRange,
): Promise<Readable> {
  const start = range?.start ?? 0;
  const end = Math.min(range?.end ?? Infinity, sizeBytes - 1);
  const length = end - start + 1;
  if (length > SMALL_BYTES) return new FileReadable(file, start, end, sharing);
  const bytes = Buffer.allocUnsafe(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await file.read(bytes, done, length - done, start + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  await file.close();
  return Readable.from([bytes.subarray(0, done)]);
}

/**
 * The same bytes in pieces of about 1 MiB; when the source fails, what was gathered comes before the failure. Large ones
 * lie in two pieces of memory in turn, so each is good until the next but one is asked for: new memory for every piece
 * keeps the collector of garbage busier than the disk.
 */
async function* gathered(source: ByteSource): ByteSource {
  const memory: Buffer[] = [];
  let turn = 0;
  let waiting: Uint8Array[] = [];
  let bytes = 0;
  const take = (): Uint8Array => {
    const chunks = waiting;
    const size = bytes;
    waiting = [];
    bytes = 0;
    if (chunks.length === 1 && chunks[0] !== undefined) return chunks[0];
    if (size < PIECE_BYTES || size > MEMORY_BYTES) return Buffer.concat(chunks, size);
    const piece = (memory[turn] ??= Buffer.allocUnsafeSlow(MEMORY_BYTES));
    turn = 1 - turn;
    let at = 0;
    for (const chunk of chunks) {
      piece.set(chunk, at);
      at += chunk.length;
    }
    return piece.subarray(0, size);
  };
  try {
    for await (const chunk of source) {
      waiting.push(chunk);
      bytes += chunk.length;
      if (bytes >= PIECE_BYTES) yield take();
    }
  } catch (error) {
    if (bytes > 0) yield take();
    throw error;
  }
  if (bytes > 0) yield take();
}
