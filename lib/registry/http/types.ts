/** What the registry's HTTP front is made of: the parts it is given, and one call on its way through it. */
import type { Identities, RegistryTokens } from '../../auth/index.js';
import type { Clock, Logger } from '../../store/index.js';
import type { RegistryCache } from '../cache/index.js';
import type { Registry } from '../index.js';
import type { RequestBody } from './body.js';
import type { Caller } from './caller.js';
import type { OpenUploads } from './open-uploads.js';
import type { Reply } from './replies.js';

export interface RegistryAppDeps {
  readonly registry: Registry;
  /** Whose secrets are taken as passwords and raw bearer tokens. */
  readonly identities: Identities;
  readonly registryTokens: RegistryTokens;
  /** What caches of other registries lack is asked of it. Absent: there are no caches here. */
  readonly cache?: RegistryCache;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface RegistryAppOptions {
  /** Where clients reach us, as in `https://registry.example.org`. Absent: what the request's Host says. */
  readonly publicUrl?: string;
  /** Blobs of more bytes are answered with a redirect where the store has URLs. Absent: always streamed. */
  readonly redirectAboveBytes?: number;
  /** Uploads that one caller may have open; 1,000 when absent. */
  readonly maxOpenUploads?: number;
  /** How long such a URL works; 1,200 s when absent, since pulls are slow. */
  readonly redirectSeconds?: number;
}

/** A request as it came over either transport; a Web `Request` is one. */
export interface RegistryRequest {
  readonly method: string;
  /** Absolute; its host is what the client called us. */
  readonly url: string;
  readonly headers: { get(name: string): string | null; has(name: string): boolean };
}

/** One authorised request. */
export interface Call {
  readonly deps: RegistryAppDeps;
  readonly options: RegistryAppOptions;
  readonly request: RegistryRequest;
  readonly body: RequestBody;
  readonly query: URLSearchParams;
  readonly caller: Caller;
  readonly openUploads: OpenUploads;
  /** A valid name; empty for routes without one. */
  readonly repository: string;
  /** The last part of the path, decoded: a digest, a tag or an upload; not checked yet. */
  readonly reference: string;
  /** The answer to a token that would do if it also said `pull` for the repository a mount is to read. */
  mountChallenge(from: string): Reply;
}

export type Handler = (call: Call) => Promise<Reply>;
