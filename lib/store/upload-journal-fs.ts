/**
 * What is known of resumable uploads on disk: `<id>.log` is an append-only journal, what the upload is and then one line
 * for each acknowledged offset. Its last lines are kept in memory as long as nobody else has written to it, which its
 * size tells.
 */
import { join } from 'node:path';
import { errnoCode } from '../errors/index.js';
import type { DigestAlgorithm } from '../oci/index.js';
import type { DirectorySyncs } from './durable-file-fs.js';
import { type Files, remove } from './files-fs.js';

export interface UploadState {
  readonly algorithm: DigestAlgorithm;
  readonly startedMs: number;
  /** Acknowledged bytes. */
  readonly offset: number;
}

interface Known {
  readonly sizeBytes: number;
  readonly state: UploadState;
  /** The journal's name is known to survive a power failure. */
  readonly isSettled: boolean;
}

/** Bytes; longer than any two lines. */
const JOURNAL_END = 512;
const SUFFIX = '.log';

export class UploadJournals {
  private readonly known = new Map<string, Known>();

  constructor(
    private readonly directory: string,
    private readonly files: Files,
    private readonly syncs: DirectorySyncs,
    private readonly temporaryPath: () => string,
  ) {}

  /** Not synced: an upload without any byte survives its process, not a power failure. */
  async create(id: string, head: Omit<UploadState, 'offset'>): Promise<void> {
    const making = this.temporaryPath();
    let sizeBytes: number;
    try {
      sizeBytes = await this.append(making, 'wx', head);
      // Another process that sweeps the folder sees all of it or nothing.
      await this.files.rename(making, this.path(id));
    } catch (error) {
      await remove(making, this.files);
      throw error;
    }
    this.known.set(id, { sizeBytes, state: { ...head, offset: 0 }, isSettled: false });
  }

  /** The upload as last acknowledged; undefined when there is none. */
  async read(id: string): Promise<UploadState | undefined> {
    try {
      const { size } = await this.files.stat(this.path(id));
      const known = this.known.get(id);
      if (known?.sizeBytes === size) return known.state;
      const state = await this.readFile(id, size);
      if (state !== undefined) this.known.set(id, { sizeBytes: size, state, isSettled: false });
      return state;
    } catch (error) {
      if (errnoCode(error) !== 'ENOENT') throw error;
      this.known.delete(id);
      return undefined;
    }
  }

  /** The upload stands at this offset, also after a power failure. The bytes before it are synced already. */
  async advance(id: string, state: UploadState): Promise<void> {
    const before = this.known.get(id);
    const written = this.append(this.path(id), 'as', { offset: state.offset });
    const settled = before?.isSettled === true ? undefined : this.syncs.sync(this.directory);
    const [bytes] = await Promise.all([written, settled]);
    this.known.set(id, { sizeBytes: (before?.sizeBytes ?? 0) + bytes, state, isSettled: true });
  }

  async remove(id: string): Promise<void> {
    this.known.delete(id);
    await remove(this.path(id), this.files);
  }

  /** Ids of all uploads, as names lie in the folder. */
  async ids(): Promise<readonly string[]> {
    const names = await this.files.readdir(this.directory);
    return names.filter((name) => name.endsWith(SUFFIX)).map((name) => name.slice(0, -SUFFIX.length));
  }

  /** @returns bytes written */
  private async append(path: string, flags: 'wx' | 'as', value: object): Promise<number> {
    // On a new line of its own, because a crash may have cut the one before short.
    const line = Buffer.from(`\n${JSON.stringify(value)}\n`);
    const file = await this.files.open(path, flags, 0o600);
    try {
      for (let done = 0; done < line.length;) {
        done += (await file.write(line, done, line.length - done, null)).bytesWritten;
      }
    } finally {
      await file.close();
    }
    return line.length;
  }

  /** Only both ends are read: an upload of many small chunks has a long journal. */
  private async readFile(id: string, sizeBytes: number): Promise<UploadState | undefined> {
    const file = await this.files.open(this.path(id), 'r');
    try {
      const part = async (position: number): Promise<string> => {
        const bytes = Buffer.alloc(JOURNAL_END);
        const { bytesRead } = await file.read(bytes, 0, JOURNAL_END, position);
        return bytes.toString('utf8', 0, bytesRead);
      };
      const head = headOf((await part(0)).split('\n')[1] ?? '');
      const lines = (await part(Math.max(0, sizeBytes - JOURNAL_END))).split('\n');
      const offset = lines.map(offsetOf).findLast((found) => found !== undefined);
      return head === undefined ? undefined : { ...head, offset: offset ?? 0 };
    } finally {
      await file.close();
    }
  }

  private path(id: string): string {
    return join(this.directory, id + SUFFIX);
  }
}

/** Undefined for a journal without bytes, as a power failure may leave it. */
function headOf(line: string): Omit<UploadState, 'offset'> | undefined {
  try {
    return JSON.parse(line) as Omit<UploadState, 'offset'>;
  } catch {
    return undefined;
  }
}

function offsetOf(text: string): number | undefined {
  const match = /^\{"offset":(\d+)\}$/.exec(text);
  return match === null ? undefined : Number(match[1]);
}
