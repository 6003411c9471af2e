/**
 * BlobStore over a folder, for embedded mode:
 *   blobs/<2 hex>/<hex>.<ulid>   committed, never overwritten; the name tells the digest
 *   temp/<process>.<ulid>        being written; swept when its process is gone
 *   uploads/<id>/                see blob-uploads-fs.ts
 * A blob appears by rename after its bytes are synced, so a crash at any moment leaves all of it or nothing.
 */
import { open, readdir, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { errnoCode } from '../errors/index.js';
import { Digester, digestAlgorithm, digestHex, type Digest } from '../oci/index.js';
import { checkRange, digestMismatch } from './blob-rules.js';
import { FsBlobUploads } from './blob-uploads-fs.js';
import { abortable } from './byte-source.js';
import { diskError, isMarkAlive, makeDirectory, processMark, syncDirectory } from './durable-file-fs.js';
import { readStream, writeStream } from './file-stream-fs.js';
import type {
  BlobKey,
  BlobStore,
  BlobUploads,
  ByteRange,
  ByteSource,
  Clock,
  Ids,
  ListedBlob,
  PutOptions,
  StoredBlob,
} from './ports.js';

const KEY = /^blobs\/[0-9a-f]{2}\/([0-9a-f]{64}|[0-9a-f]{128})\.[0-9A-Z]{26}$/;

export class FsBlobStore implements BlobStore {
  readonly uploads: BlobUploads;

  constructor(
    private readonly directory: string,
    private readonly deps: { readonly clock: Clock; readonly ids: Ids },
  ) {
    this.uploads = new FsBlobUploads(directory, deps, {
      temporaryPath: () => this.temporaryPath(),
      publish: (path, digest) => this.publish(path, digest),
    });
  }

  async stat(key: BlobKey): Promise<{ readonly sizeBytes: number } | undefined> {
    const path = this.pathOf(key);
    const found = path === undefined ? undefined : await stat(path).catch(absent);
    return found === undefined ? undefined : { sizeBytes: found.size };
  }

  async open(key: BlobKey, range?: ByteRange): Promise<Readable | undefined> {
    const path = this.pathOf(key);
    const file = path === undefined ? undefined : await open(path, 'r').catch(absent);
    if (file === undefined) return undefined;
    try {
      const { size } = await file.stat();
      if (range !== undefined) checkRange(range, size);
      if (size > 0) return await readStream(file, size, range);
    } catch (error) {
      await file.close();
      throw error;
    }
    await file.close();
    return Readable.from([]);
  }

  async *list(): AsyncIterable<ListedBlob> {
    for (const shard of await names(join(this.directory, 'blobs'))) {
      for (const name of await names(join(this.directory, 'blobs', shard))) {
        const key = `blobs/${shard}/${name}`;
        const hex = KEY.exec(key)?.[1];
        const found = hex === undefined ? undefined : await stat(join(this.directory, key)).catch(absent);
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
      const digester = await this.writeNew(path, source, options);
      const digest = digester.digest();
      if (options.expected !== undefined && options.expected !== digest) throw digestMismatch(options.expected, digest);
      return { key: await this.publish(path, digest), digest, sizeBytes: digester.sizeBytes };
    } catch (error) {
      await rm(path, { force: true });
      throw diskError(error);
    }
  }

  async delete(key: BlobKey): Promise<void> {
    const path = this.pathOf(key);
    if (path !== undefined) await rm(path, { force: true });
  }

  /** Removes what processes that are gone left half done. Safe beside other processes on the same folder. */
  async sweep(): Promise<void> {
    const temp = join(this.directory, 'temp');
    for (const name of await names(temp)) {
      if (!isMarkAlive(name.slice(0, name.indexOf('.')))) await rm(join(temp, name), { recursive: true, force: true });
    }
    const uploads = join(this.directory, 'uploads');
    for (const id of await names(uploads)) {
      // Committed, but killed before the rest was removed.
      const data = await stat(join(uploads, id, 'data')).catch(absent);
      if (data === undefined) await rm(join(uploads, id), { recursive: true, force: true });
    }
  }

  private async writeNew(path: string, source: ByteSource, options: PutOptions): Promise<Digester> {
    const digester = new Digester(options.expected === undefined ? 'sha256' : digestAlgorithm(options.expected));
    let file: FileHandle | undefined;
    try {
      file = await open(path, 'wx', 0o600);
      await writeStream(file, abortable(source, options.signal), 0, (bytes) => digester.update(bytes));
      await file.sync();
    } finally {
      await file?.close();
    }
    return digester;
  }

  /** Moves a written and synced file to its place; from here on it is a blob. */
  private async publish(path: string, digest: Digest): Promise<BlobKey> {
    const hex = digestHex(digest);
    const shard = join(this.directory, 'blobs', hex.slice(0, 2));
    const key = `blobs/${hex.slice(0, 2)}/${hex}.${this.deps.ids.ulid()}` as BlobKey;
    await makeDirectory(shard);
    await rename(path, join(this.directory, key));
    await syncDirectory(shard);
    return key;
  }

  private temporaryPath(): string {
    return join(this.directory, 'temp', `${processMark(process.pid) ?? process.pid}.${this.deps.ids.ulid()}`);
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
): Promise<FsBlobStore> {
  try {
    for (const name of ['blobs', 'temp', 'uploads']) await makeDirectory(join(directory, name));
    const store = new FsBlobStore(directory, deps);
    await store.sweep();
    return store;
  } catch (error) {
    throw diskError(error);
  }
}

async function names(directory: string): Promise<string[]> {
  return (await readdir(directory).catch(absent)) ?? [];
}

function absent(error: unknown): undefined {
  if (errnoCode(error) === 'ENOENT') return undefined;
  throw error;
}
