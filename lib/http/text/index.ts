export * from './build-text.js';
