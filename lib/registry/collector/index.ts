export { Collector, type Round } from './collector.js';
export type { CacheRules, Collected, CollectorDeps, CollectorOptions, Pins } from './types.js';
