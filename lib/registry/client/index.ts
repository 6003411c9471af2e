export type { RegistryCredentials } from './authenticator.js';
export type { BlobUpload, UploadOptions, UploadOutcome } from './blob-upload.js';
export { endpointOf, isPrivateHost } from './endpoint.js';
export { pushImage, type PushedImage, type PushImageDeps } from './push-image.js';
export {
  type RemoteBlob,
  type RemoteManifest,
  RegistryClient,
  type RegistryClientDeps,
  type RegistryClientOptions,
} from './registry-client.js';
