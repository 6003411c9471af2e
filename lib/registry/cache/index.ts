export { CachedImages } from './cached-images.js';
export { PullThrough, type PullThroughDeps } from './pull-through.js';
export { type CachedPlace, DEFAULT_TAG_TTL_SECONDS, type Upstream, Upstreams } from './upstreams.js';
