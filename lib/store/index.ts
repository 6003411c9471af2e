export * from './content-store.js';
export { piecesOf, pour } from './folder/file-readable-fs.js';
export * from './aws/late.js';
export { silentLogger } from './logger-silent.js';
export { loggerMetrics, noMetrics } from './metrics.js';
export { insist, isOutage } from './outage.js';
export * from './ports.js';
export { openSchema, SCHEMA_VERSION } from './schema.js';
export { type TakenBytes, ThreadHash } from './write-threads.js';
