export { Collector, type Round } from './collector.js';
export type { Collected, CollectorDeps, CollectorOptions, Pins } from './types.js';
