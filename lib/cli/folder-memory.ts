/**
 * What is remembered of a folder between builds: the hash of each file, so that one whose size, times and inode are as
 * they were is not read again; and the digest of the whole list, so that a folder in which nothing changed need not be
 * listed. One file for each folder in the user's cache; it may be lost or damaged at any time.
 *
 * The file: a line of JSON, then the stamps as numbers of eight bytes, the hashes in hex, the paths.
 */
import { createHash } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readFileSync, readSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { FileStamp } from '../layers/index.js';
import type { Digest } from '../oci/index.js';
import type { Clock } from '../store/index.js';
import { readMemory } from '../store/folder/read-memory-fs.js';

interface Head {
  readonly format: string;
  readonly files: number;
  /** What the folder printed whose list has this digest. */
  readonly whole?: { readonly print: string; readonly context: Digest };
}

const FORMAT = 'wharf.folder.v2';
const MAX_HEAD_BYTES = 1024;
const STAMP_NUMBERS = 4;
const SHA256_HEX = 64;
const EMPTY = createHash('sha256').digest('hex');
/** A file that changed so shortly before it was read may change again without its times telling. */
const SETTLED_NS = 2_000_000_000n;
const PIECE_BYTES = 1024 * 1024;

/** Where a folder is remembered; undefined where the user has no place for such things. */
export function folderMemoryPath(env: Readonly<Record<string, string | undefined>>, root: string): string | undefined {
  const home = env['HOME'];
  const cache = env['XDG_CACHE_HOME'] ?? (home === undefined || home === '' ? undefined : join(home, '.cache'));
  if (cache === undefined || cache === '') return undefined;
  return join(cache, 'wharf', 'files', createHash('sha256').update(root).digest('hex').slice(0, 32));
}

/** The context that was remembered for this print. */
export function rememberedContext(path: string | undefined, print: string): Digest | undefined {
  if (path === undefined) return undefined;
  try {
    const file = openSync(path, 'r');
    try {
      const bytes = Buffer.alloc(MAX_HEAD_BYTES);
      const { whole } = headOf(bytes.subarray(0, readSync(file, bytes))).head;
      return whole?.print === print ? whole.context : undefined;
    } finally {
      closeSync(file);
    }
  } catch {
    return undefined;
  }
}

export class FolderMemory {
  private readonly known: KnownFiles;
  private readonly paths: string[] = [];
  private readonly stamps: FileStamp[] = [];
  private readonly hashes: string[] = [];
  private isSettled = true;

  /**
   * @param path without one every file is read
   * @param trust false when what is remembered has turned out to be wrong
   */
  constructor(
    private readonly path: string | undefined,
    private readonly clock: Clock,
    trust = true,
  ) {
    this.known = (path === undefined || !trust ? undefined : read(path)) ?? new KnownFiles([], new BigInt64Array(), '');
  }

  /** SHA-256 in hex. @param full path to read @param stamp from just before */
  hashOf(path: string, full: string, stamp: FileStamp): string {
    if (stamp.sizeBytes === 0) return EMPTY;
    const known = this.known.hashOf(path, stamp);
    if (known !== undefined) return this.keep(path, stamp, known);
    const beganNs = BigInt(this.clock.nowMs()) * 1_000_000n;
    const sha256 = hashFile(full);
    const newest = stamp.mtimeNs > stamp.ctimeNs ? stamp.mtimeNs : stamp.ctimeNs;
    if (newest < beganNs - SETTLED_NS) return this.keep(path, stamp, sha256);
    this.isSettled = false;
    return sha256;
  }

  /** Remembers what was asked for. A cache that cannot be written is none. */
  save(print: string, context: Digest): void {
    if (this.path === undefined) return;
    const head: Head = {
      format: FORMAT,
      files: this.paths.length,
      ...(this.isSettled ? { whole: { print, context } } : {}),
    };
    const making = `${this.path}.${process.pid}`;
    try {
      mkdirSync(dirname(this.path), { recursive: true, mode: 0o700 });
      writeFileSync(making, this.encode(head), { mode: 0o600 });
      renameSync(making, this.path);
    } catch {
      // The next build reads the files once more.
    }
  }

  private keep(path: string, stamp: FileStamp, sha256: string): string {
    this.paths.push(path);
    this.stamps.push(stamp);
    this.hashes.push(sha256);
    return sha256;
  }

  private encode(head: Head): Buffer {
    const stamps = new BigInt64Array(this.stamps.length * STAMP_NUMBERS);
    for (const [at, { sizeBytes, mtimeNs, ctimeNs, inode }] of this.stamps.entries()) {
      const first = at * STAMP_NUMBERS;
      stamps[first] = BigInt(sizeBytes);
      stamps[first + 1] = mtimeNs;
      stamps[first + 2] = ctimeNs;
      stamps[first + 3] = inode;
    }
    return Buffer.concat([
      Buffer.from(`${JSON.stringify(head)}\n`),
      new Uint8Array(stamps.buffer),
      Buffer.from(this.hashes.join(''), 'latin1'),
      Buffer.from(this.paths.join('\0')),
    ]);
  }
}

/** The files of last time, mostly asked for in the order of then. */
class KnownFiles {
  private next = 0;
  private numbers: ReadonlyMap<string, number> | undefined;

  constructor(
    private readonly paths: readonly string[],
    private readonly stamps: BigInt64Array,
    private readonly hashes: string,
  ) {}

  /** Undefined when it has to be read. */
  hashOf(path: string, stamp: FileStamp): string | undefined {
    const number = this.numberOf(path);
    if (number === undefined || !this.has(number, stamp)) return undefined;
    return this.hashes.slice(number * SHA256_HEX, (number + 1) * SHA256_HEX);
  }

  private numberOf(path: string): number | undefined {
    let number: number | undefined = this.next;
    if (this.paths[number] !== path) {
      this.numbers ??= new Map(this.paths.map((each, at) => [each, at]));
      number = this.numbers.get(path);
    }
    if (number !== undefined) this.next = number + 1;
    return number;
  }

  private has(number: number, { sizeBytes, mtimeNs, ctimeNs, inode }: FileStamp): boolean {
    const { stamps } = this;
    const first = number * STAMP_NUMBERS;
    return (
      stamps[first] === BigInt(sizeBytes) &&
      stamps[first + 1] === mtimeNs &&
      stamps[first + 2] === ctimeNs &&
      stamps[first + 3] === inode
    );
  }
}

function read(path: string): KnownFiles | undefined {
  try {
    const bytes = readFileSync(path);
    const { head, end } = headOf(bytes);
    const hashesAt = end + head.files * STAMP_NUMBERS * 8;
    const pathsAt = hashesAt + head.files * SHA256_HEX;
    // Copied: numbers of eight bytes must lie at a multiple of eight.
    const stamps = new BigInt64Array(Uint8Array.prototype.slice.call(bytes, end, hashesAt).buffer);
    const paths = head.files === 0 ? [] : bytes.toString('utf8', pathsAt).split('\0');
    return paths.length === head.files
      ? new KnownFiles(paths, stamps, bytes.toString('latin1', hashesAt, pathsAt))
      : undefined;
  } catch {
    // Absent or damaged.
    return undefined;
  }
}

/** @throws Error when it is not ours */
function headOf(bytes: Buffer): { readonly head: Head; readonly end: number } {
  const end = bytes.indexOf('\n') + 1;
  const head = JSON.parse(bytes.toString('utf8', 0, end)) as Head;
  if (head.format !== FORMAT) throw new Error(`it is not ${FORMAT}`);
  return { head, end };
}

const buffer = readMemory(PIECE_BYTES);

function hashFile(path: string): string {
  const hash = createHash('sha256');
  const file = openSync(path, 'r');
  try {
    for (let at = 0; ;) {
      const bytes = readSync(file, buffer, 0, PIECE_BYTES, at);
      if (bytes === 0) return hash.digest('hex');
      hash.update(buffer.subarray(0, bytes));
      at += bytes;
    }
  } finally {
    closeSync(file);
  }
}
