/** The registry and those who may use it, over the store on AWS. */
import { ApiTokens, type Identities, identitiesOf, RegistryTokens, Robots, TokenKeys } from '../auth/index.js';
import { Registry } from '../registry/index.js';
import { readSecret } from './aws-secret.js';
import type { AwsConfig } from './aws-config.js';
import type { AwsStore } from './aws-store.js';

/** Larger blobs are answered by a redirect to S3: what a function answers is bounded, and paid for twice. */
export const INLINE_BLOB_BYTES = 256 * 1024;

export function openAwsRegistry(store: AwsStore): Registry {
  return new Registry(store);
}

/** API tokens, among them the first administrator's, which is made valid here. */
export async function openAwsTokens(
  store: AwsStore,
  config: AwsConfig<'adminTokenArn' | 'region'>,
): Promise<{
  readonly apiTokens: ApiTokens;
  readonly robots: Robots;
  readonly identities: Identities;
  readonly registryTokens: RegistryTokens;
}> {
  const apiTokens = new ApiTokens(store);
  const first = await readSecret(config.adminTokenArn, config.region);
  await apiTokens.ensureToken(first, 'admin', 'first administrator');
  const robots = new Robots(store);
  return {
    apiTokens,
    robots,
    identities: identitiesOf(apiTokens, robots),
    registryTokens: new RegistryTokens({ ...store, keys: new TokenKeys(store) }),
  };
}
