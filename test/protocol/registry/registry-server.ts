/** A registry on a random loopback port over any store, as the protocol tests and real clients see it. */
import type { AddressInfo } from 'node:net';
import { createServer, type Server } from 'node:http';
import { ApiTokens, identitiesOf, RegistryTokens, Robots, TokenKeys } from '../../../lib/auth/index.js';
import { PullThrough, type Upstream, Upstreams } from '../../../lib/registry/cache/index.js';
import { RegistryConnections, RegistryLogins } from '../../../lib/registry/client/index.js';
import {
  createRegistryApp,
  registryServerOptions,
  type RegistryApp,
  type RegistryAppOptions,
} from '../../../lib/registry/http/index.js';
import { Registry } from '../../../lib/registry/index.js';
import {
  type Clock,
  type ContentStore,
  type Ids,
  type Logger,
  type RecordStore,
  silentLogger,
} from '../../../lib/store/index.js';
import { RecordsSecretStore } from '../../../lib/store/records/secret-store-records.js';

export interface RegistryParts {
  readonly records: RecordStore;
  readonly content: ContentStore;
  readonly clock: Clock;
  readonly ids: Ids;
}

export interface TestRegistry {
  readonly registry: Registry;
  readonly apiTokens: ApiTokens;
  readonly registryTokens: RegistryTokens;
  readonly robots: Robots;
  readonly upstreams: Upstreams;
  readonly cache: PullThrough;
  readonly logins: RegistryLogins;
  readonly fetch: RegistryApp['fetch'];
  readonly handle: RegistryApp['handle'];
  readonly tokens: { readonly admin: string; readonly deploy: string; readonly read: string };
}

export interface RunningRegistry extends TestRegistry {
  /** `127.0.0.1:<port>` */
  readonly host: string;
  readonly url: string;
  readonly server: Server;
  close(): Promise<void>;
}

export interface TestRegistryOptions extends RegistryAppOptions {
  readonly logger?: Logger;
  /** Patterns of repositories that anyone may pull. */
  readonly publicRepositories?: readonly string[];
  readonly upstreams?: readonly Upstream[];
}

/** The key that seals secrets in tests. */
export const TEST_SECRET_KEY = Buffer.alloc(32, 7);

export async function createTestRegistry(
  parts: RegistryParts,
  options: TestRegistryOptions = {},
): Promise<TestRegistry> {
  const secrets = new RecordsSecretStore(parts.records, { key: TEST_SECRET_KEY });
  const registry = new Registry({ ...parts, secrets });
  const apiTokens = new ApiTokens(parts);
  const registryTokens = new RegistryTokens({ ...parts, keys: new TokenKeys({ ...parts, secrets }) });
  const robots = new Robots(parts);
  const identities = identitiesOf(apiTokens, robots);
  for (const pattern of options.publicRepositories ?? []) await registry.publicRepositories.add(pattern);
  const logger = options.logger ?? silentLogger;
  const logins = new RegistryLogins(secrets);
  const upstreams = new Upstreams(parts);
  const connections = new RegistryConnections({ ...parts, credentials: logins }, { rateLimitWaitMs: 0 });
  const cache = new PullThrough({ ...parts, registry, upstreams, connections, logger });
  for (const upstream of options.upstreams ?? []) await upstreams.put(upstream);
  const deps = { registry, cache, identities, registryTokens, clock: parts.clock, logger };
  const app = createRegistryApp(deps, options);
  const [admin, deploy, read] = await Promise.all(
    (['admin', 'deploy', 'read'] as const).map((role) => apiTokens.create(`test ${role}`, role)),
  );
  return {
    registry,
    apiTokens,
    registryTokens,
    robots,
    upstreams,
    cache,
    logins,
    ...app,
    tokens: { admin: admin?.token ?? '', deploy: deploy?.token ?? '', read: read?.token ?? '' },
  };
}

export async function startTestRegistry(
  parts: RegistryParts,
  options: TestRegistryOptions = {},
): Promise<RunningRegistry> {
  const inner = await createTestRegistry(parts, options);
  const server = createServer(registryServerOptions, (incoming, outgoing) => void inner.handle(incoming, outgoing));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    ...inner,
    host,
    url: `http://${host}`,
    server,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
