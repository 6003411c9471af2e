/** What the API stands on. */
import type { ApiTokens, Identities, Robots } from '../auth/index.js';
import type { Builds, SentContexts } from '../build/index.js';
import type { Platform, TaskSecrets } from '../platform/index.js';
import type { RegistryCache, Upstreams } from '../registry/cache/index.js';
import type { RegistryConnections, RegistryLogins } from '../registry/client/index.js';
import type { Images, Registry } from '../registry/index.js';
import type { Clock, ContentStore, Ids, Logger, RecordStore } from '../store/index.js';

export interface ApiDeps {
  readonly platform: Platform;
  readonly builds: Builds;
  /** Those of the builder, where it is in this process. */
  readonly contexts?: SentContexts;
  readonly images: Images;
  readonly content: ContentStore;
  readonly registry: Pick<
    Registry,
    'publicRepositories' | 'sparseRepositories' | 'tagList' | 'attachedTo' | 'deleteTag' | 'undelete'
  >;
  /** Whose secrets are taken as bearer tokens. */
  readonly identities: Identities;
  readonly tokens: Pick<ApiTokens, 'create' | 'list' | 'revoke'>;
  readonly robots: Robots;
  /** Who we are at other registries, and how they are reached. */
  readonly logins: RegistryLogins;
  readonly connections: RegistryConnections;
  /** Caches of other registries, and the images of all repositories, theirs among them. */
  readonly caches: { readonly upstreams: Upstreams; readonly cache: RegistryCache; readonly images: Images };
  /** Where the host keeps the secrets of tasks itself. */
  readonly taskSecrets?: TaskSecrets;
  readonly records: RecordStore;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly logger: Logger;
}

export interface ApiOptions {
  /** For /healthz and the OpenAPI document. */
  readonly version: string;
  /** Of a build context; 4 GiB when absent. */
  readonly maxContextBytes?: number;
  /** The most that one request can carry, where something in front bounds it; no bound when absent. */
  readonly pieceBytes?: number;
  /** Between comments on an idle event stream; 15 s when absent. */
  readonly heartbeatMs?: number;
  /** Ends open streams when the server closes. */
  readonly closing?: AbortSignal;
}
