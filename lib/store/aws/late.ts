/**
 * Ports whose adapter is loaded when it is first used. A function of AWS that starts cold reads every module it imports
 * before its first answer; what that answer does not need is an import of later, with the connection and the checks
 * that opening the adapter makes.
 */
import type { Readable } from 'node:stream';
import type { Digest, DigestAlgorithm } from '../../oci/index.js';
import type {
  AppendOptions,
  AppendResult,
  BlobKey,
  BlobStore,
  BlobUploads,
  ByteRange,
  ByteSource,
  CommitResult,
  Expect,
  ListedBlob,
  PutOptions,
  QueryOptions,
  Queue,
  QueueMessage,
  RecordKey,
  RecordPage,
  RecordStore,
  RecordWrite,
  SecretStore,
  StoredBlob,
  StoredRecord,
  TransactResult,
  WriteResult,
} from '../ports.js';

type Opened<T> = () => Promise<T>;

/** What `open` gives, opened once by whoever needs it first; when that fails, the next one tries again. */
export function late<T>(open: () => Promise<T>): Opened<T> {
  let opened: Promise<T> | undefined;
  return () => {
    opened ??= open().catch((error: unknown) => {
      opened = undefined;
      throw error;
    });
    return opened;
  };
}

export class LateRecordStore implements RecordStore {
  private readonly records: Opened<RecordStore>;

  constructor(open: () => Promise<RecordStore>) {
    this.records = late(open);
  }

  async get<T extends object>(key: RecordKey): Promise<StoredRecord<T> | undefined> {
    return (await this.records()).get<T>(key);
  }

  async put(
    key: RecordKey,
    value: object,
    options?: { readonly expect?: Expect; readonly expiresAtMs?: number },
  ): Promise<WriteResult> {
    return (await this.records()).put(key, value, options);
  }

  async delete(key: RecordKey, options?: { readonly expect?: Expect }): Promise<WriteResult> {
    return (await this.records()).delete(key, options);
  }

  async query<T extends object>(partition: string, options?: QueryOptions): Promise<RecordPage<T>> {
    return (await this.records()).query<T>(partition, options);
  }

  async transact(writes: readonly RecordWrite[]): Promise<TransactResult> {
    return (await this.records()).transact(writes);
  }
}

export class LateBlobStore implements BlobStore {
  readonly uploads: BlobUploads;
  private readonly blobs: Opened<BlobStore>;

  constructor(open: () => Promise<BlobStore>) {
    this.blobs = late(open);
    this.uploads = new LateBlobUploads(async () => (await this.blobs()).uploads);
  }

  async stat(key: BlobKey): Promise<{ readonly sizeBytes: number } | undefined> {
    return (await this.blobs()).stat(key);
  }

  async open(key: BlobKey, range?: ByteRange): Promise<Readable | undefined> {
    return (await this.blobs()).open(key, range);
  }

  async *list(): AsyncIterable<ListedBlob> {
    yield* (await this.blobs()).list();
  }

  async readUrl(key: BlobKey, seconds: number): Promise<string | undefined> {
    return (await this.blobs()).readUrl(key, seconds);
  }

  async put(source: ByteSource, options?: PutOptions): Promise<StoredBlob> {
    return (await this.blobs()).put(source, options);
  }

  async delete(key: BlobKey): Promise<void> {
    await (await this.blobs()).delete(key);
  }
}

class LateBlobUploads implements BlobUploads {
  constructor(private readonly uploads: Opened<BlobUploads>) {}

  async start(algorithm?: DigestAlgorithm): Promise<string> {
    return (await this.uploads()).start(algorithm);
  }

  async append(
    id: string,
    offset: number | undefined,
    source: ByteSource,
    signal?: AbortSignal,
    options?: AppendOptions,
  ): Promise<AppendResult> {
    return (await this.uploads()).append(id, offset, source, signal, options);
  }

  async status(id: string): Promise<{ readonly offset: number; readonly startedMs: number } | undefined> {
    return (await this.uploads()).status(id);
  }

  async commit(id: string, expected: Digest): Promise<CommitResult> {
    return (await this.uploads()).commit(id, expected);
  }

  async abort(id: string): Promise<void> {
    await (await this.uploads()).abort(id);
  }

  async *stale(beforeMs: number): AsyncIterable<string> {
    yield* (await this.uploads()).stale(beforeMs);
  }
}

export class LateQueue implements Queue {
  private readonly queue: Opened<Queue>;

  constructor(open: () => Promise<Queue>) {
    this.queue = late(open);
  }

  async send(body: string, options?: { readonly delaySeconds?: number; readonly dedupeId?: string }): Promise<void> {
    await (await this.queue()).send(body, options);
  }

  async receive(options: Parameters<Queue['receive']>[0]): Promise<readonly QueueMessage[]> {
    return (await this.queue()).receive(options);
  }

  async acknowledge(receipt: string): Promise<void> {
    await (await this.queue()).acknowledge(receipt);
  }

  async extend(receipt: string, visibilitySeconds: number): Promise<void> {
    await (await this.queue()).extend(receipt, visibilitySeconds);
  }

  async deadLetters(): ReturnType<Queue['deadLetters']> {
    return (await this.queue()).deadLetters();
  }
}

export class LateSecretStore implements SecretStore {
  private readonly secrets: Opened<SecretStore>;

  constructor(open: () => Promise<SecretStore>) {
    this.secrets = late(open);
  }

  async get(name: string): Promise<string | undefined> {
    return (await this.secrets()).get(name);
  }

  async put(name: string, value: string): Promise<void> {
    await (await this.secrets()).put(name, value);
  }

  async delete(name: string): Promise<void> {
    await (await this.secrets()).delete(name);
  }

  async list(prefix?: string): Promise<readonly string[]> {
    return (await this.secrets()).list(prefix);
  }
}
