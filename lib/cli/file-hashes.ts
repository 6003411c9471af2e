/**
 * Hashes of a folder's files, remembered between builds: a file whose size, times and inode are as they were is not read
 * again. One file for each folder in the user's cache; it may be lost or damaged at any time.
 */
import { createHash } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readFileSync, readSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { FileStamp } from '../layers/context-folder-fs.js';
import type { Clock } from '../store/index.js';

type Line = readonly [path: string, size: number, mtime: string, ctime: string, inode: string, sha256: string];

const FORMAT = 'wharf.file-hashes.v1';
const EMPTY = createHash('sha256').digest('hex');
/** A file that changed so shortly before it was read may change again without its times telling. */
const SETTLED_NS = 2_000_000_000n;
const PIECE_BYTES = 1024 * 1024;

/** Where hashes of a folder are remembered; undefined where the user has no place for such things. */
export function fileHashesPath(env: Readonly<Record<string, string | undefined>>, root: string): string | undefined {
  const home = env['HOME'];
  const cache = env['XDG_CACHE_HOME'] ?? (home === undefined || home === '' ? undefined : join(home, '.cache'));
  if (cache === undefined || cache === '') return undefined;
  return join(cache, 'wharf', 'files', `${createHash('sha256').update(root).digest('hex').slice(0, 32)}.json`);
}

export class FileHashes {
  private readonly known: ReadonlyMap<string, Line>;
  private readonly seen: Line[] = [];
  private changed = false;

  /**
   * @param path of the memory; without one every file is read
   * @param trust false when what is remembered has turned out to be wrong
   */
  constructor(
    private readonly path: string | undefined,
    private readonly clock: Clock,
    trust = true,
  ) {
    this.known = path === undefined || !trust ? new Map<string, Line>() : read(path);
  }

  /** SHA-256 in hex. @param full path to read @param stamp from just before */
  of(path: string, full: string, stamp: FileStamp): string {
    if (stamp.sizeBytes === 0) return EMPTY;
    const known = this.known.get(path);
    if (known !== undefined && isSame(known, stamp)) {
      this.seen.push(known);
      return known[5];
    }
    this.changed = true;
    const beganNs = BigInt(this.clock.nowMs()) * 1_000_000n;
    const sha256 = hashFile(full);
    const newest = stamp.mtimeNs > stamp.ctimeNs ? stamp.mtimeNs : stamp.ctimeNs;
    if (newest < beganNs - SETTLED_NS) {
      this.seen.push([path, stamp.sizeBytes, ...stampText(stamp), sha256]);
    }
    return sha256;
  }

  /** Remembers what was asked for. A cache that cannot be written is none. */
  save(): void {
    if (this.path === undefined || (!this.changed && this.seen.length === this.known.size)) return;
    const making = `${this.path}.${process.pid}`;
    try {
      mkdirSync(dirname(this.path), { recursive: true, mode: 0o700 });
      writeFileSync(making, JSON.stringify({ format: FORMAT, files: this.seen }), { mode: 0o600 });
      renameSync(making, this.path);
    } catch {
      // The next build reads the files once more.
    }
  }
}

function read(path: string): ReadonlyMap<string, Line> {
  try {
    const value = JSON.parse(readFileSync(path, 'utf8')) as { readonly format?: string; readonly files: Line[] };
    if (value.format === FORMAT) return new Map(value.files.map((line) => [line[0], line]));
  } catch {
    // Absent or damaged.
  }
  return new Map<string, Line>();
}

const stampText = ({ mtimeNs, ctimeNs, inode }: FileStamp): [string, string, string] => [
  mtimeNs.toString(36),
  ctimeNs.toString(36),
  inode.toString(36),
];

function isSame([, size, mtime, ctime, inode]: Line, stamp: FileStamp): boolean {
  const [mtimeNow, ctimeNow, inodeNow] = stampText(stamp);
  return size === stamp.sizeBytes && mtime === mtimeNow && ctime === ctimeNow && inode === inodeNow;
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
