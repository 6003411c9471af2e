/**
 * Resumable uploads on disk. `uploads/<id>/data` grows; `uploads/<id>/log` is an append-only journal: what the upload
 * is, then one line per acknowledged offset. After a crash the data file is cut back to the last of them. The hash
 * lives in memory only; when it is not there, or another algorithm is wanted, commit reads the file once more. Nothing is
 * synced before bytes are acknowledged: an upload without any survives its process, not a power failure.
 */
import {
  appendFile,
  mkdir,
  open,
  readdir,
  rename,
  rm,
  stat,
  truncate,
  writeFile,
  type FileHandle,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errnoCode } from '../errors/index.js';
import { Digester, digestAlgorithm, type Digest, type DigestAlgorithm } from '../oci/index.js';
import { uploadAborted } from './blob-rules.js';
import { abortable } from './byte-source.js';
import { diskError, syncDirectory } from './durable-file-fs.js';
import { writeStream } from './file-stream-fs.js';
import { KeyedLock } from './keyed-lock.js';
import type {
  AppendOptions,
  AppendResult,
  BlobKey,
  BlobUploads,
  ByteSource,
  Clock,
  CommitResult,
  Ids,
} from './ports.js';

/** What the store lends to its uploads. */
export interface FsBlobPlaces {
  temporaryPath(): string;
  publish(path: string, digest: Digest): Promise<BlobKey>;
}

interface UploadState {
  readonly algorithm: DigestAlgorithm;
  readonly startedMs: number;
  /** Acknowledged bytes. */
  readonly offset: number;
}

const ID = /^[0-9a-f]{40}$/;
/** Bytes; longer than any two lines. */
const JOURNAL_END = 512;

export class FsBlobUploads implements BlobUploads {
  /** Hash states of uploads that this process wrote to, at their acknowledged offset. */
  private readonly digesters = new Map<string, Digester>();
  /** Uploads whose folder is known to survive a power failure. */
  private readonly settled = new Set<string>();
  /** Ends the append that runs, so that an abort need not wait for a slow client. */
  private readonly running = new Map<string, AbortController>();
  private readonly lock = new KeyedLock();

  constructor(
    private readonly directory: string,
    private readonly deps: { readonly clock: Clock; readonly ids: Ids },
    private readonly places: FsBlobPlaces,
  ) {}

  async start(algorithm: DigestAlgorithm = 'sha256'): Promise<string> {
    const id = this.deps.ids.hex(20);
    const making = this.places.temporaryPath();
    try {
      await mkdir(making, { mode: 0o700 });
      const log = line({ algorithm, startedMs: this.deps.clock.nowMs() });
      await Promise.all([createFile(join(making, 'data'), ''), createFile(join(making, 'log'), log)]);
      await rename(making, this.folder(id));
    } catch (error) {
      await rm(making, { recursive: true, force: true });
      throw diskError(error);
    }
    this.digesters.set(id, new Digester(algorithm));
    return id;
  }

  async append(
    id: string,
    offset: number | undefined,
    source: ByteSource,
    signal?: AbortSignal,
    { last = false }: AppendOptions = {},
  ): Promise<AppendResult> {
    return this.lock.run(id, async () => {
      const state = await this.read(id);
      if (state === undefined) return { outcome: 'absent' };
      if (offset !== undefined && offset !== state.offset) return { outcome: 'wrong-offset', offset: state.offset };
      const stop = new AbortController();
      this.running.set(id, stop);
      try {
        const either = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
        return { outcome: 'appended', offset: await this.write(id, state, source, either, last) };
      } finally {
        this.running.delete(id);
      }
    });
  }

  async status(id: string): Promise<{ readonly offset: number; readonly startedMs: number } | undefined> {
    const state = await this.read(id);
    return state === undefined ? undefined : { offset: state.offset, startedMs: state.startedMs };
  }

  async commit(id: string, expected: Digest): Promise<CommitResult> {
    return this.lock.run(id, async () => {
      const state = await this.read(id);
      if (state === undefined) return { outcome: 'absent' };
      const actual = await this.digest(id, state, digestAlgorithm(expected));
      if (actual !== expected) {
        await this.settle(id);
        return { outcome: 'digest-mismatch', actual };
      }
      try {
        const key = await this.places.publish(join(this.folder(id), 'data'), expected);
        await this.remove(id);
        return { outcome: 'committed', blob: { key, digest: expected, sizeBytes: state.offset } };
      } catch (error) {
        throw diskError(error);
      }
    });
  }

  async abort(id: string): Promise<void> {
    this.running.get(id)?.abort(uploadAborted(id));
    await this.lock.run(id, () => this.remove(id));
  }

  async *stale(beforeMs: number): AsyncIterable<string> {
    for (const id of await readdir(join(this.directory, 'uploads'))) {
      const state = await this.read(id);
      if (state !== undefined && state.startedMs < beforeMs) yield id;
    }
  }

  /**
   * Appends at the acknowledged offset and gives the new one. The bytes are on disk when this resolves; and so is that
   * the upload has them, unless a commit follows that makes it unimportant.
   */
  private async write(
    id: string,
    state: UploadState,
    source: ByteSource,
    signal: AbortSignal,
    last: boolean,
  ): Promise<number> {
    const data = join(this.folder(id), 'data');
    let digester = this.digesters.get(id);
    if (digester?.sizeBytes !== state.offset) digester = undefined;
    this.digesters.delete(id);
    let offset = state.offset;
    let file: FileHandle | undefined;
    let failure: { readonly error: unknown } | undefined;
    try {
      await truncate(data, offset);
      file = await open(data, 'r+');
      try {
        const hash = (bytes: Uint8Array): void => digester?.update(bytes);
        await writeStream(file, abortable(source, signal), offset, hash, (bytes) => (offset += bytes));
      } catch (error) {
        // What did arrive is kept, so that the client can go on from there.
        failure = { error };
      }
      await file.sync();
      if (offset > state.offset) await appendFile(join(this.folder(id), 'log'), line({ offset }));
      if (!last || failure !== undefined) await this.settle(id);
    } catch (error) {
      throw diskError(failure?.error ?? error);
    } finally {
      await file?.close();
    }
    if (digester?.sizeBytes === offset) this.digesters.set(id, digester);
    if (failure !== undefined) throw diskError(failure.error);
    return offset;
  }

  /** The journal is on disk, and its folder where this process has not seen to that yet. */
  private async settle(id: string): Promise<void> {
    const folder = this.folder(id);
    const folders = this.settled.has(id) ? [] : [folder, dirname(folder)];
    await Promise.all([syncFile(join(folder, 'log')), ...folders.map(syncDirectory)]);
    this.settled.add(id);
  }

  private async digest(id: string, state: UploadState, algorithm: DigestAlgorithm): Promise<Digest> {
    const live = this.digesters.get(id);
    if (live?.algorithm === algorithm && live.sizeBytes === state.offset) return live.digest();
    const digester = new Digester(algorithm);
    const data = join(this.folder(id), 'data');
    await truncate(data, state.offset);
    const file = await open(data, 'r');
    for await (const chunk of file.createReadStream({ highWaterMark: 1 << 20 })) digester.update(chunk as Buffer);
    return digester.digest();
  }

  private async remove(id: string): Promise<void> {
    this.digesters.delete(id);
    this.settled.delete(id);
    if (ID.test(id)) await rm(this.folder(id), { recursive: true, force: true });
  }

  /** The upload as last acknowledged; undefined when there is none. */
  private async read(id: string): Promise<UploadState | undefined> {
    if (!ID.test(id)) return undefined;
    try {
      await stat(join(this.folder(id), 'data'));
      return await readJournal(join(this.folder(id), 'log'));
    } catch (error) {
      if (errnoCode(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  private folder(id: string): string {
    return join(this.directory, 'uploads', id);
  }
}

/** Starts on a new line of its own, because a crash may have cut the one before short. */
function line(value: object): string {
  return `\n${JSON.stringify(value)}\n`;
}

/** Only both ends are read: an upload of many small chunks has a long journal. */
async function readJournal(path: string): Promise<UploadState> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const start = (await file.read(Buffer.alloc(JOURNAL_END), 0, JOURNAL_END, 0)).buffer.toString('utf8');
    const end = (await file.read(Buffer.alloc(JOURNAL_END), 0, JOURNAL_END, Math.max(0, size - JOURNAL_END))).buffer;
    const head = JSON.parse(start.split('\n')[1] ?? '') as Omit<UploadState, 'offset'>;
    const offset = end
      .toString('utf8')
      .split('\n')
      .map(offsetOf)
      .findLast((found) => found !== undefined);
    return { ...head, offset: offset ?? 0 };
  } finally {
    await file.close();
  }
}

function offsetOf(text: string): number | undefined {
  const match = /^\{"offset":(\d+)\}$/.exec(text);
  return match === null ? undefined : Number(match[1]);
}

async function createFile(path: string, text: string): Promise<void> {
  await writeFile(path, text, { flag: 'wx', mode: 0o600 });
}

async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r+');
  try {
    await file.datasync();
  } finally {
    await file.close();
  }
}
