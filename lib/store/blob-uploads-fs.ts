/**
 * Resumable uploads on disk: `uploads/<id>.log` is the journal (upload-journal-fs.ts), `uploads/<id>.data` grows beside
 * it from the first byte on. After a crash the data file is cut back to the last acknowledged offset. Bytes are synced
 * while more of them come, so that neither an acknowledgement nor a commit waits longer for a larger upload.
 */
import { join } from 'node:path';
import { errnoCode } from '../errors/index.js';
import { Digester, digestAlgorithm, type Digest, type DigestAlgorithm } from '../oci/index.js';
import { uploadAborted } from './blob-rules.js';
import { abortable } from './byte-source.js';
import { diskError, type DirectorySyncs } from './durable-file-fs.js';
import { writeStream } from './file-stream-fs.js';
import { type Files, type OpenFile, remove } from './files-fs.js';
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
import { TrailingHash } from './trailing-hash.js';
import { UploadJournals, type UploadState } from './upload-journal-fs.js';

/** What the store lends to its uploads. */
export interface FsBlobPlaces {
  readonly files: Files;
  readonly syncs: DirectorySyncs;
  temporaryPath(): string;
  publish(path: string, digest: Digest): Promise<BlobKey>;
}

const ID = /^[0-9a-f]{40}$/;

export class FsBlobUploads implements BlobUploads {
  private readonly journals: UploadJournals;
  /** Hash states of uploads that this process wrote to, at the end of their bytes. */
  private readonly digesters = new Map<string, Digester>();
  /** Uploads whose bytes end beyond what their journal says, because their commit is to follow at once. */
  private readonly ahead = new Map<string, UploadState>();
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
    this.journals = new UploadJournals(directory, places.files, places.syncs, () => places.temporaryPath());
  }

  async start(algorithm: DigestAlgorithm = 'sha256'): Promise<string> {
    const id = this.deps.ids.hex(20);
    try {
      await this.journals.create(id, { algorithm, startedMs: this.deps.clock.nowMs() });
    } catch (error) {
      throw diskError(error);
    }
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
        const reached = await this.write(id, state, source, either, last);
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
      const state = await this.read(id);
      if (state === undefined) return { outcome: 'absent' };
      try {
        const actual = await this.digest(id, state, digestAlgorithm(expected));
        if (actual === undefined) return { outcome: 'absent' };
        if (actual !== expected) {
          if (this.ahead.has(id)) await this.acknowledge(id, state);
          return { outcome: 'digest-mismatch', actual };
        }
        const key = await this.places.publish(this.data(id), expected);
        await this.forget(id);
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
    if (!ID.test(id)) return;
    this.running.get(id)?.abort(uploadAborted(id));
    await this.lock.run(id, async () => {
      await remove(this.data(id), this.files);
      await this.forget(id);
    });
  }

  async *stale(beforeMs: number): AsyncIterable<string> {
    for (const id of await this.journals.ids()) {
      const state = await this.read(id);
      if (state !== undefined && state.startedMs < beforeMs) yield id;
    }
  }

  /** Removes what a crash left: bytes without a journal, and journals whose bytes became a blob. */
  async sweep(): Promise<void> {
    for (const name of await this.files.readdir(this.directory)) {
      const id = name.replace(/\.(data|log)$/, '');
      const path = join(this.directory, name);
      if (!ID.test(id) || name === id) await this.files.rm(path, { force: true, recursive: true });
      else if (name.endsWith('.data')) {
        if ((await this.journals.read(id)) === undefined) await remove(path, this.files);
      } else {
        const state = await this.journals.read(id);
        const isDone = state === undefined || (state.offset > 0 && !(await this.hasData(id)));
        if (isDone) await this.journals.remove(id);
      }
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
    signal: AbortSignal,
    last: boolean,
  ): Promise<number | undefined> {
    const file = await this.openData(id, state.offset);
    if (file === undefined) return undefined;
    let digester = this.digesters.get(id) ?? (state.offset === 0 ? new Digester(state.algorithm) : undefined);
    if (digester?.sizeBytes !== state.offset) digester = undefined;
    this.digesters.delete(id);
    let offset = state.offset;
    let failure: { readonly error: unknown } | undefined;
    try {
      if (offset > 0) await file.truncate(offset);
      const trailing = digester === undefined ? new TrailingHash(file, state.algorithm, offset) : undefined;
      const written = (bytes: number): void => {
        offset += bytes;
        trailing?.advance(bytes);
      };
      try {
        await writeStream(file, abortable(source, signal), offset, (bytes) => digester?.update(bytes), written);
      } catch (error) {
        // What did arrive is kept, so that the client can go on from there.
        failure = { error };
      }
      digester ??= await trailing?.finish();
      await file.sync();
      const reached = { ...state, offset };
      if (last && failure === undefined) this.ahead.set(id, reached);
      else if (offset > state.offset || this.ahead.has(id)) await this.acknowledge(id, reached);
    } catch (error) {
      throw diskError(failure?.error ?? error);
    } finally {
      await file.close();
    }
    if (digester?.sizeBytes === offset) this.digesters.set(id, digester);
    if (failure !== undefined) throw diskError(failure.error);
    return offset;
  }

  private async acknowledge(id: string, state: UploadState): Promise<void> {
    await this.journals.advance(id, state);
    this.ahead.delete(id);
  }

  /** Undefined when the bytes became a blob, or were never there. */
  private async digest(id: string, state: UploadState, algorithm: DigestAlgorithm): Promise<Digest | undefined> {
    const live = this.digesters.get(id);
    if (live?.algorithm === algorithm && live.sizeBytes === state.offset && state.offset > 0) return live.digest();
    const file = await this.openData(id, state.offset);
    if (file === undefined) return undefined;
    try {
      if (state.offset === 0) await file.sync();
      else await file.truncate(state.offset);
      return (await new TrailingHash(file, algorithm, state.offset).finish()).digest();
    } finally {
      await file.close();
    }
  }

  /** The first byte makes the file. */
  private async openData(id: string, offset: number): Promise<OpenFile | undefined> {
    try {
      return await this.files.open(this.data(id), offset === 0 ? 'w+' : 'r+', 0o600);
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

  private async forget(id: string): Promise<void> {
    this.digesters.delete(id);
    this.ahead.delete(id);
    await this.journals.remove(id);
  }

  private async read(id: string): Promise<UploadState | undefined> {
    if (!ID.test(id)) return undefined;
    return this.ahead.get(id) ?? this.journals.read(id);
  }

  private data(id: string): string {
    return join(this.directory, `${id}.data`);
  }
}
