export { attestationsOf } from './attestation-text.js';
export * from './build-text.js';
export * from './format-bytes.js';
export * from './report-text.js';
export { annotationsOf, compressionOf, pairsOf } from './request-text.js';
