/** The registry and those who may use it, over the store on AWS. */
import {
  ApiTokens,
  type Identities,
  identitiesOf,
  RegistryTokens,
  Robots,
  type Role,
  TokenKeys,
} from '../../auth/index.js';
import { HeldOnly, type Upstreams } from '../../registry/cache/index.js';
import { Registry } from '../../registry/index.js';
import { readSecret } from './secret.js';
import type { AwsConfig } from './config.js';
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

/** API tokens, among them those that the stack made, which are made valid here. */
export async function openAwsTokens(
  store: AwsStore,
  config: AwsConfig<'adminTokenArn' | 'region'> & Partial<AwsConfig<'deployTokenArn'>>,
): Promise<{
  readonly apiTokens: ApiTokens;
  readonly robots: Robots;
  readonly identities: Identities;
  readonly registryTokens: RegistryTokens;
}> {
  const apiTokens = new ApiTokens(store);
  const { adminTokenArn, deployTokenArn, region } = config;
  const ensure = async (arn: string, role: Role, name: string): Promise<void> => {
    await apiTokens.ensureToken(await readSecret(arn, region), role, name);
  };
  await Promise.all([
    ensure(adminTokenArn, 'admin', 'first administrator'),
    deployTokenArn === undefined ? undefined : ensure(deployTokenArn, 'deploy', 'those who may deploy by the stack'),
  ]);
  const robots = new Robots(store);
  return {
    apiTokens,
    robots,
    identities: identitiesOf(apiTokens, robots),
    registryTokens: new RegistryTokens({ ...store, keys: new TokenKeys(store) }),
  };
}
