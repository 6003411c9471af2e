/** Caches of other registries on AWS, where there is the time to fetch what they lack: in containers and for builds. */
import { CachedImages, PullThrough, type PullThroughOptions, Upstreams } from '../../registry/cache/index.js';
import { RegistryConnections, RegistryLogins } from '../../registry/client/index.js';
import type { Images, Registry } from '../../registry/index.js';
import type { AwsStore } from './store.js';
import { LateEcrAuthorization } from './ecr-authorization-late.js';

/** Fetches, with the logins that are kept here. */
export function openAwsPullThrough(
  store: AwsStore,
  registry: Registry,
  upstreams: Upstreams,
  options: PullThroughOptions = {},
): PullThrough {
  const credentials = new RegistryLogins(store.secrets, new LateEcrAuthorization(store.clock));
  // Clients of a cache do not wait for a limit of its upstream.
  const connections = new RegistryConnections({ ...store, credentials }, { rateLimitWaitMs: 0 });
  return new PullThrough({ ...store, registry, upstreams, connections }, options);
}

/** Images of caches among them, fetched whole when a build asks for one. */
export function openAwsImages(store: AwsStore, registry: Registry): Images {
  return new CachedImages(registry, openAwsPullThrough(store, registry, new Upstreams(store)));
}
