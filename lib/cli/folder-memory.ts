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

interface Head {
  readonly format: string;
  readonly files: number;
  /** What the folder printed whose list has this digest. */
  readonly whole?: { readonly print: string; readonly context: Digest };
}

interface KnownFile {
  readonly stamp: FileStamp;
  readonly sha256: string;
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
  private readonly known: ReadonlyMap<string, KnownFile>;
  private readonly seen = new Map<string, KnownFile>();
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
    this.known = path === undefined || !trust ? new Map<string, KnownFile>() : read(path);
  }

  /** SHA-256 in hex. @param full path to read @param stamp from just before */
  hashOf(path: string, full: string, stamp: FileStamp): string {
    if (stamp.sizeBytes === 0) return EMPTY;
    const known = this.known.get(path);
    if (known !== undefined && isSame(known.stamp, stamp)) {
      this.seen.set(path, known);
      return known.sha256;
    }
    const beganNs = BigInt(this.clock.nowMs()) * 1_000_000n;
    const sha256 = hashFile(full);
    const newest = stamp.mtimeNs > stamp.ctimeNs ? stamp.mtimeNs : stamp.ctimeNs;
    if (newest < beganNs - SETTLED_NS) this.seen.set(path, { stamp, sha256 });
    else this.isSettled = false;
    return sha256;
  }

  /** Remembers what was asked for. A cache that cannot be written is none. */
  save(print: string, context: Digest): void {
    if (this.path === undefined) return;
    const whole = this.isSettled ? { whole: { print, context } } : {};
    const making = `${this.path}.${process.pid}`;
    try {
      mkdirSync(dirname(this.path), { recursive: true, mode: 0o700 });
      writeFileSync(making, encode(this.seen, { format: FORMAT, files: this.seen.size, ...whole }), { mode: 0o600 });
      renameSync(making, this.path);
    } catch {
      // The next build reads the files once more.
    }
  }
}

function encode(files: ReadonlyMap<string, KnownFile>, head: Head): Buffer {
  const stamps = new BigInt64Array(files.size * STAMP_NUMBERS);
  const hashes: string[] = [];
  for (const { stamp, sha256 } of files.values()) {
    putStamp(stamps, hashes.length, stamp);
    hashes.push(sha256);
  }
  return Buffer.concat([
    Buffer.from(`${JSON.stringify(head)}\n`),
    new Uint8Array(stamps.buffer),
    Buffer.from(hashes.join(''), 'latin1'),
    Buffer.from([...files.keys()].join('\0')),
  ]);
}

function read(path: string): ReadonlyMap<string, KnownFile> {
  try {
    const bytes = readFileSync(path);
    const { head, end } = headOf(bytes);
    const hashesAt = end + head.files * STAMP_NUMBERS * 8;
    const pathsAt = hashesAt + head.files * SHA256_HEX;
    // Copied: numbers of eight bytes must lie at a multiple of eight.
    const stamps = new BigInt64Array(Uint8Array.prototype.slice.call(bytes, end, hashesAt).buffer);
    const hashes = bytes.toString('latin1', hashesAt, pathsAt);
    const paths = bytes.toString('utf8', pathsAt).split('\0');
    if (head.files > 0 && paths.length !== head.files) return new Map<string, KnownFile>();
    return new Map(
      Array.from({ length: head.files }, (_, i) => [
        paths[i] ?? '',
        { stamp: stampAt(stamps, i), sha256: hashes.slice(i * SHA256_HEX, (i + 1) * SHA256_HEX) },
      ]),
    );
  } catch {
    // Absent or damaged.
  }
  return new Map<string, KnownFile>();
}

/** @throws Error when it is not ours */
function headOf(bytes: Buffer): { readonly head: Head; readonly end: number } {
  const end = bytes.indexOf('\n') + 1;
  const head = JSON.parse(bytes.toString('utf8', 0, end)) as Head;
  if (head.format !== FORMAT) throw new Error(`it is not ${FORMAT}`);
  return { head, end };
}

function putStamp(numbers: BigInt64Array, at: number, { sizeBytes, mtimeNs, ctimeNs, inode }: FileStamp): void {
  const first = at * STAMP_NUMBERS;
  numbers[first] = BigInt(sizeBytes);
  numbers[first + 1] = mtimeNs;
  numbers[first + 2] = ctimeNs;
  numbers[first + 3] = inode;
}

function stampAt(numbers: BigInt64Array, at: number): FileStamp {
  const number = (field: number): bigint => numbers[at * STAMP_NUMBERS + field] ?? 0n;
  return { sizeBytes: Number(number(0)), mtimeNs: number(1), ctimeNs: number(2), inode: number(3) };
}

function isSame(a: FileStamp, b: FileStamp): boolean {
  return a.sizeBytes === b.sizeBytes && a.mtimeNs === b.mtimeNs && a.ctimeNs === b.ctimeNs && a.inode === b.inode;
}

const buffer = Buffer.allocUnsafe(PIECE_BYTES);

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
