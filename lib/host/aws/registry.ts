/** The registry and those who may use it, over the store on AWS. */
import { ApiTokens, type Identities, identitiesOf, RegistryTokens, Robots, TokenKeys } from '../../auth/index.js';
import { HeldOnly, type Upstreams } from '../../registry/cache/index.js';
import { Registry } from '../../registry/index.js';
import { StackTokens, type StackTokensConfig } from './stack-tokens.js';
import type { AwsStore } from './store.js';

/** Larger blobs are answered by a redirect to S3: what a function answers is bounded, and paid for twice. */
export const INLINE_BLOB_BYTES = 256 * 1024;

export function openAwsRegistry(store: AwsStore): Registry {
  return new Registry(store);
}

/** Caches for functions that answer clients: the gateway waits 30 seconds, and nothing goes on after an answer. */
export function openAwsHeldOnly(registry: Registry, upstreams: Upstreams): HeldOnly {
  return new HeldOnly(
    { registry, upstreams },
    'pull it once through a RegistryFront, or build FROM it: both fetch what a cache lacks',
  );
}

export interface AwsTokens {
  readonly apiTokens: ApiTokens;
  readonly robots: Robots;
  /** Of API tokens, those of the stack among them, and of robots. */
  readonly identities: Identities;
  readonly registryTokens: RegistryTokens;
}

export function openAwsTokens(store: AwsStore, config: StackTokensConfig): AwsTokens {
  const apiTokens = new ApiTokens(store);
  const robots = new Robots(store);
  return {
    apiTokens,
    robots,
    identities: identitiesOf(robots, new StackTokens(apiTokens, config)),
    registryTokens: new RegistryTokens({ ...store, keys: new TokenKeys(store) }),
  };
}
