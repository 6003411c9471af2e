/**
 * Streams into and out of files in large pieces: what comes from a connection is gathered first, the hash is computed
 * and the next piece gathered while the disk takes the one before.
 */
import { Readable } from 'node:stream';
import { writeAll } from './durable-file-fs.js';
import { FileReadable } from './file-readable-fs.js';
import type { OpenFile } from './files-fs.js';
import type { ByteRange, ByteSource } from './ports.js';

/** Bytes; what one stream holds in memory is at most three such pieces. */
const PIECE_BYTES = 1 << 20;
const SYNC_BYTES = 16 << 20;
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

/** The bytes of an open file, which is closed at their end. @param sizeBytes of the file, not 0 */
export async function readStream(file: OpenFile, sizeBytes: number, range?: ByteRange): Promise<Readable> {
  const start = range?.start ?? 0;
  const end = Math.min(range?.end ?? Infinity, sizeBytes - 1);
  const length = end - start + 1;
  if (length > SMALL_BYTES) return new FileReadable(file, start, end);
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

/** The same bytes in pieces of about 1 MiB; when the source fails, what was gathered comes before the failure. */
async function* gathered(source: ByteSource): ByteSource {
  let waiting: Uint8Array[] = [];
  let bytes = 0;
  const take = (): Uint8Array => {
    const piece = waiting.length === 1 && waiting[0] !== undefined ? waiting[0] : Buffer.concat(waiting, bytes);
    waiting = [];
    bytes = 0;
    return piece;
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
