/**
 * Resumable uploads on disk: `uploads/<id>.data` is there from the start and becomes the blob; `uploads/<id>.log` is the
 * journal (upload-journal-fs.ts), which an upload that comes in one request never needs. After a crash the data file is
 * cut back to the last acknowledged offset. Bytes are synced while more of them come, so that neither an acknowledgement
 * nor a commit waits longer for a larger upload.
 */
import { join } from 'node:path';
import { errnoCode } from '../../errors/index.js';
import { digestAlgorithm, type Digest, type DigestAlgorithm } from '../../oci/index.js';
import { uploadAborted } from '../blob-rules.js';
import { abortable } from '../byte-source.js';
import { diskError, type DirectorySyncs } from './durable-file-fs.js';
import { type Files, type OpenFile, remove } from './files-fs.js';
import { appendHashed, forgetHash, type HashedAppend, type RunningHash } from './hashed-append.js';
import { KeyedLock } from '../keyed-lock.js';
import type {
  AppendOptions,
  AppendResult,
  BlobKey,
  BlobUploads,
  ByteSource,
  Clock,
  CommitResult,
  Ids,
} from '../ports.js';
import { TrailingHash } from './trailing-hash.js';
import { newUploadId, type UploadHead, uploadHead, UploadJournals } from './upload-journal-fs.js';
import { ThreadHash } from '../write-threads.js';

/** What the store lends to its uploads. */
export interface FsBlobPlaces {
  readonly files: Files;
  readonly syncs: DirectorySyncs;
  publish(path: string, digest: Digest): Promise<BlobKey>;
}

/** An upload as last acknowledged. */
interface UploadState extends UploadHead {
  readonly offset: number;
}

export class FsBlobUploads implements BlobUploads {
  private readonly journals: UploadJournals;
  /** Of uploads that this process wrote to, at the end of their bytes. */
  private readonly hashes = new Map<string, RunningHash>();
  /** Uploads whose bytes end beyond what their journal says, because their commit is to follow at once. */
  private readonly ahead = new Map<string, UploadState>();
  /** Uploads that this process started, and that have no byte yet. */
  private readonly untouched = new Set<string>();
  /** Ends the append that runs, so that an abort need not wait for a slow client. */
  private readonly running = new Map<string, AbortController>();
  private readonly lock = new KeyedLock();
  private readonly files: Files;

  constructor(
    private readonly directory: string,
    private readonly deps: { readonly clock: Clock; readonly ids: Ids },
    private readonly places: FsBlobPlaces,
  ) {
    this.files = places.files;
    this.journals = new UploadJournals(directory, places.files, places.syncs);
  }

  async start(algorithm: DigestAlgorithm = 'sha256'): Promise<string> {
    const id = newUploadId({ algorithm, startedMs: this.deps.clock.nowMs() }, this.deps.ids);
    try {
      // Not synced: an upload without any byte survives its process, not a power failure.
      await (await this.files.open(this.data(id), 'wx', 0o600)).close();
    } catch (error) {
      throw diskError(error);
    }
    this.untouched.add(id);
    return id;
  }

  async append(
    id: string,
    offset: number | undefined,
    source: ByteSource,
    signal?: AbortSignal,
    options: AppendOptions = {},
  ): Promise<AppendResult> {
    return this.lock.run(id, async () => {
      const state = await this.journaled(id);
      if (state === undefined) return { outcome: 'absent' };
      if (offset !== undefined && offset !== state.offset) {
        return (await this.hasData(id)) ? { outcome: 'wrong-offset', offset: state.offset } : { outcome: 'absent' };
      }
      const stop = new AbortController();
      this.running.set(id, stop);
      try {
        const either = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
        const reached = await this.write(id, state, abortable(source, either), options);
        return reached === undefined ? { outcome: 'absent' } : { outcome: 'appended', offset: reached };
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
      const state = await this.journaled(id);
      if (state === undefined) return { outcome: 'absent' };
      try {
        const actual = await this.digest(id, state, digestAlgorithm(expected));
        if (actual === undefined) return { outcome: 'absent' };
        if (actual !== expected) {
          if (this.ahead.has(id)) await this.acknowledge(id, state);
          return { outcome: 'digest-mismatch', actual };
        }
        const key = await this.places.publish(this.data(id), expected);
        await this.forget(id, false);
        return { outcome: 'committed', blob: { key, digest: expected, sizeBytes: state.offset } };
      } catch (error) {
        if (errnoCode(error) !== 'ENOENT') throw diskError(error);
        // Another process took it away meanwhile.
        await this.forget(id);
        return { outcome: 'absent' };
      }
    });
  }

  async abort(id: string): Promise<void> {
    if (uploadHead(id) === undefined) return;
    this.running.get(id)?.abort(uploadAborted(id));
    await this.lock.run(id, async () => {
      await remove(this.data(id), this.files);
      await this.forget(id);
    });
  }

  async *stale(beforeMs: number): AsyncIterable<string> {
    for (const name of await this.files.readdir(this.directory)) {
      const id = name.replace(/\.data$/, '');
      const head = name === id ? undefined : uploadHead(id);
      if (head !== undefined && head.startedMs < beforeMs) yield id;
    }
  }

  /** Removes what a crash left: journals whose bytes became a blob, or were aborted. */
  async sweep(): Promise<void> {
    const names = await this.files.readdir(this.directory);
    for (const name of names) {
      const id = name.replace(/\.(data|log)$/, '');
      const path = join(this.directory, name);
      if (name === id || uploadHead(id) === undefined) await this.files.rm(path, { force: true, recursive: true });
      else if (name.endsWith('.log') && !(await this.hasData(id))) await this.journals.remove(id);
    }
  }

  /**
   * Appends at the acknowledged offset and gives the new one; undefined when the bytes before it are gone. What was
   * written is on disk when this resolves; and so is that the upload has it, unless a commit follows that makes it
   * unimportant.
   */
  private async write(
    id: string,
    state: UploadState,
    source: ByteSource,
    { last = false, handsOver = false }: AppendOptions,
  ): Promise<number | undefined> {
    const file = await this.openData(id);
    if (file === undefined) return undefined;
    const known = this.takeHash(id, state.offset);
    let appended: HashedAppend;
    try {
      if (!this.untouched.delete(id)) await file.truncate(state.offset);
      appended = await appendHashed(file, state, known, source, handsOver);
      await this.settle(id, state, file, appended, last);
    } catch (error) {
      throw diskError(error);
    } finally {
      await file.close();
    }
    if (appended.hash !== undefined) this.hashes.set(id, appended.hash);
    if (appended.failure !== undefined) throw diskError(appended.failure.error);
    return appended.offset;
  }

  private async settle(
    id: string,
    state: UploadState,
    file: OpenFile,
    { offset, failure }: HashedAppend,
    last: boolean,
  ): Promise<void> {
    try {
      await file.sync();
      const reached = { ...state, offset };
      if (last && failure === undefined) this.ahead.set(id, reached);
      else if (offset > state.offset || this.ahead.has(id)) await this.acknowledge(id, reached);
    } catch (error) {
      throw failure?.error ?? error;
    }
  }

  private async acknowledge(id: string, state: UploadState): Promise<void> {
    await this.journals.advance(id, state.offset);
    this.ahead.delete(id);
  }

  /** Undefined when the bytes became a blob, or were never there. */
  private async digest(id: string, state: UploadState, algorithm: DigestAlgorithm): Promise<Digest | undefined> {
    const live = this.hashes.get(id);
    if (state.offset > 0 && live?.algorithm === algorithm && isAt(live, state.offset)) return live.digest();
    const file = await this.openData(id);
    if (file === undefined) return undefined;
    try {
      await file.truncate(state.offset);
      if (state.offset === 0) await file.sync();
      return (await new TrailingHash(file, algorithm, state.offset).finish()).digest();
    } finally {
      await file.close();
    }
  }

  private async openData(id: string): Promise<OpenFile | undefined> {
    try {
      return await this.files.open(this.data(id), 'r+');
    } catch (error) {
      if (errnoCode(error) === 'ENOENT') return undefined;
      throw diskError(error);
    }
  }

  private async hasData(id: string): Promise<boolean> {
    try {
      await this.files.stat(this.data(id));
      return true;
    } catch (error) {
      if (errnoCode(error) === 'ENOENT') return false;
      throw error;
    }
  }

  /** The hash of the bytes so far, if this process has it. */
  private takeHash(id: string, offset: number): RunningHash | undefined {
    const known = this.hashes.get(id);
    this.hashes.delete(id);
    if (offset > 0 && isAt(known, offset)) return known;
    forgetHash(known);
    return undefined;
  }

  /** @param looks false: a journal that this process has not read is not there */
  private async forget(id: string, looks = true): Promise<void> {
    forgetHash(this.hashes.get(id));
    this.hashes.delete(id);
    this.ahead.delete(id);
    this.untouched.delete(id);
    await this.journals.remove(id, looks);
  }

  private async read(id: string): Promise<UploadState | undefined> {
    const state = await this.journaled(id);
    return state === undefined || (state.offset === 0 && !(await this.hasData(id))) ? undefined : state;
  }

  /** Of an upload without a journal nobody knows yet whether it is there. */
  private async journaled(id: string): Promise<UploadState | undefined> {
    const head = uploadHead(id);
    if (head === undefined) return undefined;
    return this.ahead.get(id) ?? { ...head, offset: (await this.journals.read(id)) ?? 0 };
  }

  private data(id: string): string {
    return join(this.directory, `${id}.data`);
  }
}

function isAt(hash: RunningHash | undefined, offset: number): boolean {
  return hash?.sizeBytes === offset && !(hash instanceof ThreadHash && !hash.isKnown);
}
