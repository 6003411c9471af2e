/**
 * `ADD https://…`: one file with mode 0600 and the time of Last-Modified. Its bytes are stored as they are and read
 * where they lie; beside them stands by which URL and ETag they came, so that the next build may ask "changed?".
 */
import { AppError } from '../../errors/index.js';
import { EntryList, ImageTree } from '../../layers/index.js';
import { type Digest, digestHex, MediaType } from '../../oci/index.js';
import type { Clock, ContentStore, RecordKey, RecordStore } from '../../store/index.js';
import { hashParts } from '../keys/framing.js';
import { type GuardedFetch, type GuardedResponse, shown } from './guarded-fetch.js';
import { authorization, type RemoteCall, type RemoteFiles } from './remote-files.js';
import type { RemoteRef } from '../plan/steps.js';

type HttpRef = RemoteRef & { readonly kind: 'http' };

export interface HttpSourceDeps {
  readonly content: ContentStore;
  readonly records: RecordStore;
  readonly clock: Clock;
  readonly fetch: GuardedFetch;
}

/** A file that was fetched. */
interface FetchedFile {
  readonly digest: Digest;
  readonly sizeBytes: number;
  readonly mtimeSeconds: number;
  readonly etag?: string;
  readonly lastModified?: string;
}

const KEEP_MS = 90 * 24 * 3600 * 1000;

export class HttpSource {
  constructor(private readonly deps: HttpSourceDeps) {}

  async fetch(remote: HttpRef, call: RemoteCall): Promise<RemoteFiles> {
    const partition = partitionOf(remote.url, call.scope);
    const file = (await this.pinned(remote, partition)) ?? (await this.download(remote, partition, call));
    return this.files(remote, file);
  }

  /** A file of this URL with that checksum, fetched before: nothing has to be asked. */
  private async pinned(remote: HttpRef, partition: string): Promise<FetchedFile | undefined> {
    return remote.checksum === undefined ? undefined : this.known({ partition, sort: remote.checksum });
  }

  private async known(key: RecordKey): Promise<FetchedFile | undefined> {
    const record = await this.deps.records.get<FetchedFile>(key);
    if (record === undefined) return undefined;
    return (await this.hold(key, record.value.digest)) ? record.value : undefined;
  }

  /** Keeps the bytes from the collector for as long as the record lives. */
  private async hold(key: RecordKey, digest: Digest): Promise<boolean> {
    return (await this.deps.content.hold(digest, key.partition, { forMs: KEEP_MS })) !== undefined;
  }

  private async download(remote: HttpRef, partition: string, call: RemoteCall): Promise<FetchedFile> {
    const url = new URL(remote.url);
    const last = await this.known({ partition, sort: 'LAST' });
    const names = { header: `HTTP_AUTH_HEADER_${url.host}`, token: `HTTP_AUTH_TOKEN_${url.host}` };
    const credentials = authorization(call.secrets, names, (token) => `Bearer ${token}`);
    const headers = {
      ...(credentials === undefined ? {} : { authorization: credentials }),
      ...(last?.etag === undefined ? {} : { 'if-none-match': last.etag }),
      ...(last?.etag !== undefined || last?.lastModified === undefined
        ? {}
        : { 'if-modified-since': last.lastModified }),
    };
    const response = await this.deps.fetch.get(url, headers, call.signal);
    try {
      const file = response.status === 304 && last !== undefined ? last : await this.store(url, response, call.signal);
      if (remote.checksum !== undefined && file.digest !== remote.checksum) {
        throw mismatch(shown(url), remote.checksum, file.digest);
      }
      await this.remember(partition, file);
      return file;
    } finally {
      response.drop();
    }
  }

  private async store(url: URL, response: GuardedResponse, signal: AbortSignal): Promise<FetchedFile> {
    if (response.status !== 200) {
      throw new AppError('BUILD_REMOTE_REFUSED', `${shown(url)} answered with status ${response.status}`, {
        kind: 'failed',
        retryable: response.status >= 500 || response.status === 429,
        ...(response.status === 401 || response.status === 403
          ? { hint: `give the build a secret HTTP_AUTH_TOKEN_${url.host} or HTTP_AUTH_HEADER_${url.host}` }
          : {}),
      });
    }
    const { digest, sizeBytes } = await this.deps.content.put(response.body, { signal });
    const lastModified = response.header('last-modified');
    const etag = response.header('etag');
    const time = lastModified === undefined ? Number.NaN : Date.parse(lastModified);
    return {
      digest,
      sizeBytes,
      // Without a time of its own the file has docker's: the epoch.
      mtimeSeconds: Number.isNaN(time) ? 0 : Math.max(0, Math.floor(time / 1000)),
      ...(lastModified === undefined ? {} : { lastModified }),
      ...(etag === undefined ? {} : { etag }),
    };
  }

  private async remember(partition: string, file: FetchedFile): Promise<void> {
    await this.hold({ partition, sort: '-' }, file.digest);
    const options = { expiresAtMs: this.deps.clock.nowMs() + KEEP_MS };
    for (const sort of ['LAST', file.digest]) await this.deps.records.put({ partition, sort }, file, options);
  }

  private files({ name }: HttpRef, { digest, sizeBytes, mtimeSeconds }: FetchedFile): RemoteFiles {
    const descriptor = { mediaType: MediaType.ociLayer, digest, size: sizeBytes };
    const file = { type: 'file', mode: 0o600, uid: 0, gid: 0, mtimeSeconds, sizeBytes } as const;
    const entries = EntryList.of([{ ...file, path: name }]);
    const index = { descriptor, diffId: digest, uncompressedBytes: sizeBytes, entries };
    return {
      blob: digest,
      identity: { sha256: digestHex(digest) },
      ...(mtimeSeconds === 0 ? {} : { timeSeconds: mtimeSeconds }),
      tree: ImageTree.empty(this.deps.content).withLayer(index),
      fileHashes: async () => () => digestHex(digest),
    };
  }
}

/** The name and the query may be a secret: only their hash is kept. */
function partitionOf(url: string, scope: string): string {
  const parts = [
    { name: 'scope', value: scope },
    { name: 'url', value: url },
  ];
  return `REMOTE#${hashParts('wharf.remote.v1', parts)}`;
}

export function mismatch(what: string, expected: string, actual: string): AppError {
  return new AppError('BUILD_CHECKSUM_MISMATCH', `${what} has ${actual}, and --checksum says ${expected}`, {
    kind: 'failed',
    hint: 'when the change is meant, write the new checksum',
    details: { expected, actual, word: '--checksum' },
  });
}
