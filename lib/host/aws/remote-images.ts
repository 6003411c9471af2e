/** Base images of other registries, for the builder function and its workers: with the logins that are kept here. */
import { RemoteImages } from '../../build/index.js';
import { RegistryLogins } from '../../registry/client/index.js';
import type { AwsStore } from './store.js';
import { LateEcrAuthorization } from './ecr-authorization-late.js';

export function openRemoteImages(store: AwsStore): RemoteImages {
  const credentials = new RegistryLogins(store.secrets, new LateEcrAuthorization(store.clock));
  return new RemoteImages({ ...store, credentials });
}
