export { CachedImages } from './cached-images.js';
export { CacheEviction } from './eviction.js';
export { HeldOnly } from './held-only.js';
export { PullThrough, type PullThroughOptions } from './pull-through.js';
export type { RegistryCache } from './registry-cache.js';
export {
  type CachedPlace,
  DEFAULT_KEEP_SECONDS,
  DEFAULT_TAG_TTL_SECONDS,
  type Upstream,
  Upstreams,
} from './upstreams.js';
