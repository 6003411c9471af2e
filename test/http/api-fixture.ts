/** The API app over the real control plane, engine and store; builds are told by the test. */
import { ApiTokens, identitiesOf, Robots, type Role } from '../../lib/auth/index.js';
import { type ApiApp, type ApiDeps, createApiApp, type ApiOptions } from '../../lib/http/index.js';
import { operatorSecrets } from '../../lib/engine/agent/secret-source-stored.js';
import { CachedImages, PullThrough, Upstreams } from '../../lib/registry/cache/index.js';
import { RegistryConnections, RegistryLogins } from '../../lib/registry/client/index.js';
import { Registry } from '../../lib/registry/index.js';
import { silentLogger } from '../../lib/store/index.js';
import { RecordsSecretStore } from '../../lib/store/records/secret-store-records.js';
import { createToldBuilds, type ToldBuilds } from '../fakes/builds.js';
import { createPlatformFixture, type PlatformFixture } from '../platform/platform-fixture.js';

export interface ApiFixture {
  readonly app: ApiApp;
  readonly builds: ToldBuilds;
  readonly base: PlatformFixture;
  readonly tokens: Readonly<Record<Role, string>>;
  readonly apiTokens: ApiTokens;
  readonly robots: Robots;
  readonly registry: Registry;
  readonly logins: RegistryLogins;
  /** As an admin, JSON in and out. */
  readonly call: (method: string, path: string, body?: unknown, headers?: Record<string, string>) => Promise<Answer>;
  readonly close: () => Promise<void>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
}

/** @param change what the API stands on instead */
export async function createApiFixture(
  options: Partial<ApiOptions> = {},
  change: Partial<ApiDeps> = {},
): Promise<ApiFixture> {
  const base = await createPlatformFixture();
  const { records, clock, ids, content } = base.store;
  const apiTokens = new ApiTokens({ records, clock, ids });
  const tokens = {
    admin: (await apiTokens.create('admin', 'admin')).token,
    deploy: (await apiTokens.create('deploy', 'deploy')).token,
    read: (await apiTokens.create('read', 'read')).token,
  };
  const robots = new Robots({ records, clock, ids });
  const secrets = new RecordsSecretStore(records, { key: Buffer.alloc(32, 7) });
  const registry = new Registry({ records, clock, ids, content, secrets });
  const logins = new RegistryLogins(secrets);
  const connections = new RegistryConnections({ clock, credentials: logins });
  const upstreams = new Upstreams({ records, clock });
  const store = { records, content, clock };
  const cache = new PullThrough({ ...store, registry, upstreams, connections, logger: silentLogger });
  const builds = createToldBuilds({ clock, ids });
  const deps = {
    platform: base.platform,
    builds,
    images: base.images,
    content,
    tokens: apiTokens,
    robots,
    registry,
    logins,
    connections,
    caches: { upstreams, cache, images: new CachedImages(registry, cache) },
    identities: identitiesOf(apiTokens, robots),
    taskSecrets: operatorSecrets(secrets),
    records,
    clock,
    ids,
  };
  const app = createApiApp({ ...deps, logger: silentLogger, ...change }, { version: '0.0.0', ...options });
  return {
    app,
    builds,
    base,
    tokens,
    apiTokens,
    robots,
    registry,
    logins,
    async call(method, path, body, headers = {}) {
      const response = await app.fetch(
        new Request(`http://wharf.test${path}`, {
          method,
          headers: {
            authorization: `Bearer ${tokens.admin}`,
            ...(body === undefined ? {} : { 'content-type': 'application/json' }),
            ...headers,
          },
          ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
        }),
      );
      const text = await response.text();
      const isJson = /json/.test(response.headers.get('content-type') ?? '');
      return {
        status: response.status,
        headers: response.headers,
        body: (isJson ? JSON.parse(text) : { text }) as Record<string, unknown>,
      };
    },
    close: () => base.close(),
  };
}
