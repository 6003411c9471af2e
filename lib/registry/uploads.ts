/**
 * Upload sessions of a repository over the store's resumable uploads. The id a client gets is the store's own, sealed
 * together with the repository: a session can be used only through the repository it was started in, and telling so
 * needs no record.
 */
import { createHmac } from 'node:crypto';
import type { Digest, DigestAlgorithm } from '../oci/index.js';
import { sameText } from '../auth/index.js';
import type {
  AppendOptions,
  AppendResult,
  ByteSource,
  ContentInfo,
  ContentStore,
  Ids,
  SecretStore,
} from '../store/index.js';
import type { Blobs } from './blobs.js';

export interface UploadsDeps {
  readonly content: ContentStore;
  readonly secrets: SecretStore;
  readonly ids: Ids;
  readonly blobs: Blobs;
}

export type UploadCommit =
  | { readonly outcome: 'committed'; readonly info: ContentInfo }
  | { readonly outcome: 'digest-mismatch'; readonly actual: Digest }
  | { readonly outcome: 'absent' };

const SECRET = 'registry/upload-seal';
/** Base64url characters: 132 bits. */
const SEAL_LENGTH = 22;

export class Uploads {
  private sealKey: Promise<string> | undefined;

  constructor(private readonly deps: UploadsDeps) {}

  async start(repository: string, algorithm?: DigestAlgorithm): Promise<string> {
    const id = await this.deps.content.blobs.uploads.start(algorithm);
    return `${id}.${await this.seal(repository, id)}`;
  }

  /** @param offset undefined: wherever the upload stands */
  async append(
    repository: string,
    session: string,
    offset: number | undefined,
    source: ByteSource,
    signal?: AbortSignal,
    options: AppendOptions = {},
  ): Promise<AppendResult> {
    const id = await this.unseal(repository, session);
    if (id === undefined) return { outcome: 'absent' };
    return this.deps.content.blobs.uploads.append(id, offset, source, signal, options);
  }

  async status(repository: string, session: string): Promise<{ readonly offset: number } | undefined> {
    const id = await this.unseal(repository, session);
    return id === undefined ? undefined : this.deps.content.blobs.uploads.status(id);
  }

  /** The uploaded bytes become a blob of the repository, where they lie. */
  async commit(repository: string, session: string, digest: Digest): Promise<UploadCommit> {
    const id = await this.unseal(repository, session);
    if (id === undefined) return { outcome: 'absent' };
    const result = await this.deps.content.blobs.uploads.commit(id, digest);
    if (result.outcome !== 'committed') return result;
    return { outcome: 'committed', info: await this.deps.blobs.adopt(repository, result.blob) };
  }

  /** @returns false when there is no such session here */
  async abort(repository: string, session: string): Promise<boolean> {
    const id = await this.unseal(repository, session);
    if (id === undefined || (await this.deps.content.blobs.uploads.status(id)) === undefined) return false;
    await this.deps.content.blobs.uploads.abort(id);
    return true;
  }

  /**
   * A whole blob in one stream, without a session.
   * @throws AppError DIGEST_MISMATCH
   */
  async put(repository: string, digest: Digest, source: ByteSource, signal?: AbortSignal): Promise<ContentInfo> {
    const { blobs } = this.deps.content;
    const blob = await blobs.put(source, { expected: digest, ...(signal === undefined ? {} : { signal }) });
    return this.deps.blobs.adopt(repository, blob);
  }

  private async unseal(repository: string, session: string): Promise<string | undefined> {
    const dot = session.lastIndexOf('.');
    if (dot <= 0) return undefined;
    const id = session.slice(0, dot);
    return sameText(session.slice(dot + 1), await this.seal(repository, id)) ? id : undefined;
  }

  private async seal(repository: string, id: string): Promise<string> {
    this.sealKey ??= this.loadSealKey().catch((error: unknown) => {
      this.sealKey = undefined;
      throw error;
    });
    const mac = createHmac('sha256', await this.sealKey)
      .update(`${repository}\n${id}`)
      .digest('base64url');
    return mac.slice(0, SEAL_LENGTH);
  }

  private async loadSealKey(): Promise<string> {
    const known = await this.deps.secrets.get(SECRET);
    if (known !== undefined) return known;
    await this.deps.secrets.put(SECRET, this.deps.ids.hex(32));
    // Read back: another process may have written meanwhile, and everyone must seal alike.
    return (await this.deps.secrets.get(SECRET)) ?? '';
  }
}
