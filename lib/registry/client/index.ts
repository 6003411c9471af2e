export type { RegistryCredentials } from './authenticator.js';
export type { BlobUpload, UploadOptions, UploadOutcome } from './blob-upload.js';
export {
  isLoopbackRegistry,
  RegistryConnections,
  type RegistryConnectionsDeps,
  type RegistryConnectionsOptions,
} from './connections.js';
export { endpointOf, isPrivateHost, isRegistryName } from './endpoint.js';
export {
  type EcrAuthorization,
  isEcrHost,
  type RegistryCredentialLookup,
  type RegistryLogin,
  type RegistryLoginInfo,
  RegistryLogins,
} from './logins.js';
export { knownBlobs } from './known-blobs.js';
export {
  type KnownBlobs,
  pushImage,
  type PushedImage,
  type PushImageDeps,
  type PushOptions,
  type PushProgress,
  type PushResult,
} from './push-image.js';
export {
  type RemoteBlob,
  type RemoteManifest,
  type RemotePut,
  RegistryClient,
  type RegistryClientDeps,
  type RegistryClientOptions,
} from './registry-client.js';
