/**
 * What is known of resumable uploads on disk. What an upload is, its id says; that it is there, its bytes say, none at
 * first. `<id>.log` is an append-only journal with one line for each acknowledged offset, and is there once one was. Its
 * last line is kept in memory as long as nobody else has written to it, which its size tells.
 */
import { join } from 'node:path';
import { errnoCode } from '../../errors/index.js';
import type { DigestAlgorithm } from '../../oci/index.js';
import type { DirectorySyncs } from './durable-file-fs.js';
import { type Files, type OpenFile, remove } from './files-fs.js';
import type { Ids } from '../ports.js';

export interface UploadHead {
  readonly algorithm: DigestAlgorithm;
  readonly startedMs: number;
}

interface Known {
  readonly sizeBytes: number;
  readonly offset: number;
  /** The journal's name is known to survive a power failure. */
  readonly isSettled: boolean;
}

/** Bytes; longer than any two lines. */
const JOURNAL_END = 512;
/** Start in epoch milliseconds, algorithm, 112 random bits; in hex. */
const ID = /^([0-9a-f]{11})([12])[0-9a-f]{28}$/;
const RANDOM_BYTES = 14;
const ALGORITHMS: Readonly<Record<string, DigestAlgorithm>> = { '1': 'sha256', '2': 'sha512' };

export function newUploadId({ algorithm, startedMs }: UploadHead, ids: Ids): string {
  const started = Math.max(0, Math.floor(startedMs)).toString(16).padStart(11, '0').slice(-11);
  return `${started}${algorithm === 'sha256' ? '1' : '2'}${ids.hex(RANDOM_BYTES)}`;
}

/** Undefined for what is no upload's id. */
export function uploadHead(id: string): UploadHead | undefined {
  const match = ID.exec(id);
  const algorithm = ALGORITHMS[match?.[2] ?? ''];
  return algorithm === undefined ? undefined : { algorithm, startedMs: Number.parseInt(match?.[1] ?? '', 16) };
}

export class UploadJournals {
  private readonly known = new Map<string, Known>();

  constructor(
    private readonly directory: string,
    private readonly files: Files,
    private readonly syncs: DirectorySyncs,
  ) {}

  /** The offset last acknowledged; undefined when none was. */
  async read(id: string): Promise<number | undefined> {
    try {
      const { size } = await this.files.stat(this.path(id));
      const known = this.known.get(id);
      if (known?.sizeBytes === size) return known.offset;
      const offset = await this.readEnd(id, size);
      this.known.set(id, { sizeBytes: size, offset, isSettled: false });
      return offset;
    } catch (error) {
      if (errnoCode(error) !== 'ENOENT') throw error;
      this.known.delete(id);
      return undefined;
    }
  }

  /** The upload stands at this offset, also after a power failure. The bytes before it are synced already. */
  async advance(id: string, offset: number): Promise<void> {
    const before = this.known.get(id);
    const file = await this.files.open(this.path(id), 'as', 0o600);
    try {
      const settled = before?.isSettled === true ? undefined : this.syncs.sync(this.directory);
      const [bytes] = await Promise.all([append(file, { offset }), settled]);
      this.known.set(id, { sizeBytes: (before?.sizeBytes ?? 0) + bytes, offset, isSettled: true });
    } finally {
      await file.close();
    }
  }

  /** @param looks false: what this process has not read is not there */
  async remove(id: string, looks = true): Promise<void> {
    if (!this.known.delete(id) && !looks) return;
    await remove(this.path(id), this.files);
  }

  /** Only the end is read: an upload of many small chunks has a long journal. 0 without a whole line. */
  private async readEnd(id: string, sizeBytes: number): Promise<number> {
    const file = await this.files.open(this.path(id), 'r');
    try {
      const bytes = Buffer.alloc(JOURNAL_END);
      const { bytesRead } = await file.read(bytes, 0, JOURNAL_END, Math.max(0, sizeBytes - JOURNAL_END));
      const lines = bytes.toString('utf8', 0, bytesRead).split('\n');
      return lines.map(offsetOf).findLast((found) => found !== undefined) ?? 0;
    } finally {
      await file.close();
    }
  }

  private path(id: string): string {
    return join(this.directory, `${id}.log`);
  }
}

/** @returns bytes written */
async function append(file: OpenFile, value: object): Promise<number> {
  // On a new line of its own, because a crash may have cut the one before short.
  const line = Buffer.from(`\n${JSON.stringify(value)}\n`);
  for (let done = 0; done < line.length;) {
    done += (await file.write(line, done, line.length - done, null)).bytesWritten;
  }
  return line.length;
}

function offsetOf(text: string): number | undefined {
  const match = /^\{"offset":(\d+)\}$/.exec(text);
  return match === null ? undefined : Number(match[1]);
}
