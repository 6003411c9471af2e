/**
 * BlobStore over a folder, for embedded mode:
 *   blobs/<2 hex>/<hex>.<ulid>   committed, never overwritten; the name tells the digest
 *   temp/<process>.<ulid>        being written; swept when its process is gone
 *   uploads/<id>.log, .data      see blob-uploads-fs.ts
 * A blob appears by rename after its bytes are synced, so a crash at any moment leaves all of it or nothing.
 */
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { errnoCode } from '../../errors/index.js';
import { digestAlgorithm, digestHex, type Digest } from '../../oci/index.js';
import { checkRange, digestMismatch } from '../blob-rules.js';
import { FsBlobUploads } from './blob-uploads-fs.js';
import { abortable } from '../byte-source.js';
import {
  diskError,
  DirectorySyncs,
  isMarkAlive,
  makeDirectory,
  processMark,
  syncDirectory,
} from './durable-file-fs.js';
import { readStream } from './file-stream-fs.js';
import { type Files, type OpenFile, remove, systemFiles } from './files-fs.js';
import { appendHashed, forgetHash, type RunningHash } from './hashed-append.js';
import { SharedPieces } from './shared-pieces.js';
import type {
  BlobKey,
  BlobStore,
  ByteRange,
  ByteSource,
  Clock,
  Ids,
  ListedBlob,
  PutOptions,
  StoredBlob,
} from '../ports.js';

const KEY = /^blobs\/[0-9a-f]{2}\/([0-9a-f]{64}|[0-9a-f]{128})\.[0-9A-Z]{26}$/;

export class FsBlobStore implements BlobStore {
  readonly uploads: FsBlobUploads;
  private readonly syncs: DirectorySyncs;
  private readonly pieces = new SharedPieces();
  private readonly mark = processMark(process.pid) ?? String(process.pid);
  /** Shards that are known to survive a power failure. */
  private readonly shards = new Map<string, Promise<void>>();

  constructor(
    private readonly directory: string,
    private readonly deps: { readonly clock: Clock; readonly ids: Ids },
    private readonly files: Files = systemFiles,
  ) {
    this.syncs = new DirectorySyncs(files);
    this.uploads = new FsBlobUploads(join(directory, 'uploads'), deps, {
      files,
      syncs: this.syncs,
      publish: (path, digest) => this.publish(path, digest),
    });
  }

  async stat(key: BlobKey): Promise<{ readonly sizeBytes: number } | undefined> {
    const path = this.pathOf(key);
    const found = path === undefined ? undefined : await this.files.stat(path).catch(absent);
    return found === undefined ? undefined : { sizeBytes: found.size };
  }

  async open(key: BlobKey, range?: ByteRange): Promise<Readable | undefined> {
    const path = this.pathOf(key);
    const file = path === undefined ? undefined : await this.files.open(path, 'r').catch(absent);
    if (file === undefined) return undefined;
    try {
      const { size } = await file.stat();
      if (range !== undefined) checkRange(range, size);
      if (size > 0) return await readStream(file, size, { pieces: this.pieces, name: key }, range);
    } catch (error) {
      await file.close();
      throw error;
    }
    await file.close();
    return Readable.from([]);
  }

  async *list(): AsyncIterable<ListedBlob> {
    for (const shard of await this.names(join(this.directory, 'blobs'))) {
      for (const name of await this.names(join(this.directory, 'blobs', shard))) {
        const key = `blobs/${shard}/${name}`;
        const hex = KEY.exec(key)?.[1];
        const found = hex === undefined ? undefined : await this.files.stat(join(this.directory, key)).catch(absent);
        if (hex === undefined || found === undefined) continue;
        const digest = `${hex.length === 64 ? 'sha256' : 'sha512'}:${hex}` as Digest;
        yield { key: key as BlobKey, sizeBytes: found.size, modifiedMs: Math.floor(found.mtimeMs), digest };
      }
    }
  }

  async readUrl(): Promise<undefined> {
    return undefined;
  }

  async put(source: ByteSource, options: PutOptions = {}): Promise<StoredBlob> {
    const path = this.temporaryPath();
    try {
      const { digest, sizeBytes } = await this.writeNew(path, source, options);
      if (options.expected !== undefined && options.expected !== digest) throw digestMismatch(options.expected, digest);
      return { key: await this.publish(path, digest), digest, sizeBytes };
    } catch (error) {
      await remove(path, this.files);
      throw diskError(error);
    }
  }

  async delete(key: BlobKey): Promise<void> {
    const path = this.pathOf(key);
    if (path !== undefined) await remove(path, this.files);
  }

  /** Removes what processes that are gone left half done. Safe beside other processes on the same folder. */
  async sweep(): Promise<void> {
    const temp = join(this.directory, 'temp');
    for (const name of await this.names(temp)) {
      if (isMarkAlive(name.slice(0, name.indexOf('.')))) continue;
      await this.files.rm(join(temp, name), { recursive: true, force: true });
    }
    await this.uploads.sweep();
  }

  private async writeNew(
    path: string,
    source: ByteSource,
    { expected, signal, handsOver = false }: PutOptions,
  ): Promise<{ readonly digest: Digest; readonly sizeBytes: number }> {
    const algorithm = expected === undefined ? 'sha256' : digestAlgorithm(expected);
    let file: OpenFile | undefined;
    let hash: RunningHash | undefined;
    try {
      file = await this.files.open(path, 'wx', 0o600);
      const appended = await appendHashed(
        file,
        { offset: 0, algorithm },
        undefined,
        abortable(source, signal),
        handsOver,
      );
      ({ hash } = appended);
      if (appended.failure !== undefined) throw appended.failure.error;
      if (hash === undefined) throw new Error('the thread that hashed the blob ended');
      const digest = await hash.digest();
      await file.sync();
      return { digest, sizeBytes: hash.sizeBytes };
    } finally {
      forgetHash(hash);
      await file?.close();
    }
  }

  /** Moves a written and synced file to its place; from here on it is a blob. */
  private async publish(path: string, digest: Digest): Promise<BlobKey> {
    const hex = digestHex(digest);
    const shard = await this.shard(hex.slice(0, 2));
    const key = `blobs/${hex.slice(0, 2)}/${hex}.${this.deps.ids.ulid()}` as BlobKey;
    await this.files.rename(path, join(this.directory, key));
    await this.syncs.sync(shard);
    return key;
  }

  /** Who finds a shard that another made must not count on its maker having synced it already. */
  private async shard(name: string): Promise<string> {
    const path = join(this.directory, 'blobs', name);
    let made = this.shards.get(name);
    if (made === undefined) {
      made = this.files
        .mkdir(path, { recursive: true, mode: 0o700 })
        .then(() => this.syncs.sync(join(this.directory, 'blobs')));
      this.shards.set(name, made);
      made.catch(() => this.shards.delete(name));
    }
    await made;
    return path;
  }

  private async names(directory: string): Promise<string[]> {
    return (await this.files.readdir(directory).catch(absent)) ?? [];
  }

  private temporaryPath(): string {
    return join(this.directory, 'temp', `${this.mark}.${this.deps.ids.ulid()}`);
  }

  /** Undefined for a key that this store cannot have made: nothing outside the folder is ever touched. */
  private pathOf(key: BlobKey): string | undefined {
    return KEY.test(key) ? join(this.directory, key) : undefined;
  }
}

/** Opens the blob store of a folder, makes its folders and sweeps what a crash left. */
export async function openFsBlobs(
  directory: string,
  deps: { readonly clock: Clock; readonly ids: Ids },
  files: Files = systemFiles,
): Promise<FsBlobStore> {
  try {
    for (const name of ['blobs', 'temp', 'uploads']) await makeDirectory(join(directory, name), files);
    // Also where a process that made them was cut off before it got there.
    await syncDirectory(directory, files);
    const store = new FsBlobStore(directory, deps, files);
    await store.sweep();
    return store;
  } catch (error) {
    throw diskError(error);
  }
}

function absent(error: unknown): undefined {
  if (errnoCode(error) === 'ENOENT') return undefined;
  throw error;
}
