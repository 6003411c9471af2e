export { CachedImages } from './cached-images.js';
export { CacheEviction } from './eviction.js';
export { PullThrough, type PullThroughDeps } from './pull-through.js';
export {
  type CachedPlace,
  DEFAULT_KEEP_SECONDS,
  DEFAULT_TAG_TTL_SECONDS,
  type Upstream,
  Upstreams,
} from './upstreams.js';
