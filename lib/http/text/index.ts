export * from './build-text.js';
export * from './format-bytes.js';
export * from './report-text.js';
