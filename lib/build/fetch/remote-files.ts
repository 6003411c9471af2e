/**
 * RemoteFiles: what ADD names on the network, as a tree like any other source. Fetched before the keys are made,
 * since the key is what the content turned out to be; kept by content, so that an unchanged file is asked about with
 * its ETag and a file with a checksum is not asked for at all.
 */
import type { ImageTree, LayerIndexes } from '../../layers/index.js';
import type { Digest } from '../../oci/index.js';
import type { Clock, ContentStore, RecordStore } from '../../store/index.js';
import type { BuildSecretValues } from '../build-secrets.js';
import { EgressGuard, type EgressOptions } from './egress-guard.js';
import { GuardedFetch } from './guarded-fetch.js';
import { GitSource } from './remote-git.js';
import { HttpSource } from './remote-http.js';
import type { FileHashes } from '../keys/selection.js';
import type { RemoteRef } from '../plan/steps.js';

export interface RemoteFiles {
  /** What was fetched, in the store: the file as it is, or the commit's files as a plain tar. */
  readonly blob: Digest;
  /** What it is, by the name of the algorithm: the commit of a repository, the hash of a file. */
  readonly identity: Readonly<Record<string, string>>;
  /** When it is from, where that is known. */
  readonly timeSeconds?: number;
  readonly tree: ImageTree;
  readonly fileHashes: FileHashes;
}

export interface RemoteSourcesDeps {
  readonly content: ContentStore;
  readonly records: RecordStore;
  readonly indexes: LayerIndexes;
  readonly clock: Clock;
  /** What may be reached; public addresses only when absent. */
  readonly guard?: EgressGuard;
}

export interface RemoteSourcesOptions {
  readonly egress?: EgressOptions;
  /** Of one file, or of all a repository sends; 2 GiB when absent. */
  readonly maxBytes?: number;
  /** For one file or repository; ten minutes when absent. */
  readonly timeoutMs?: number;
  /** Where git works, a folder of this process alone; the temporary folder when absent. */
  readonly workPlace?: string;
}

/** What a fetch belongs to. */
export interface RemoteCall {
  /** Tenant: what one has fetched is not known to another. */
  readonly scope: string;
  readonly secrets: BuildSecretValues;
  readonly signal: AbortSignal;
}

const MAX_BYTES = 2 * 1024 * 1024 * 1024;
const TIMEOUT_MS = 10 * 60 * 1000;

export class RemoteSources {
  private readonly http: HttpSource;
  private readonly git: GitSource;

  constructor(deps: RemoteSourcesDeps, options: RemoteSourcesOptions = {}) {
    const limits = { maxBytes: options.maxBytes ?? MAX_BYTES, timeoutMs: options.timeoutMs ?? TIMEOUT_MS };
    const guard = deps.guard ?? new EgressGuard(options.egress);
    const fetch = new GuardedFetch({ guard, clock: deps.clock }, limits);
    this.http = new HttpSource({ ...deps, fetch });
    this.git = new GitSource({ ...deps, fetch, guard, workPlace: options.workPlace }, limits);
  }

  /** @throws AppError BUILD_EGRESS_REFUSED, BUILD_REMOTE_…, BUILD_CHECKSUM_MISMATCH, BUILD_GIT_… */
  fetch(remote: RemoteRef, call: RemoteCall): Promise<RemoteFiles> {
    return remote.kind === 'http' ? this.http.fetch(remote, call) : this.git.fetch(remote, call);
  }
}

/**
 * The Authorization header that the build's secrets hold for a host: `<prefix>_HEADER` as it is, `<prefix>_TOKEN` put
 * into one.
 */
export function authorization(
  secrets: BuildSecretValues,
  names: { readonly header: string; readonly token: string },
  wrap: (token: string) => string,
): string | undefined {
  const text = (name: string): string | undefined => {
    const value = secrets.get(name);
    return value === undefined ? undefined : Buffer.from(value).toString('utf8').trim();
  };
  const header = text(names.header);
  if (header !== undefined) return header;
  const token = text(names.token);
  return token === undefined ? undefined : wrap(token);
}
