export { Blobs, LEASE_MS, type ReadableBlob } from './blobs.js';
export * from './errors.js';
export { Manifests, MAX_MANIFEST_BYTES, MAX_TAGS, type ManifestsOptions, type PutManifestResult } from './manifests.js';
export { Referrers, type ReferrersPage } from './referrers.js';
export { Registry, type RegistryDeps } from './registry.js';
export { type Page, type PageOptions, Repositories } from './repositories.js';
export { Tags, type TagHistoryEntry } from './tags.js';
export type * from './types.js';
export { type UploadCommit, Uploads } from './uploads.js';
