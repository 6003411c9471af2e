/** The shapes of the API v1, once: validation, OpenAPI and tests read them here. Answers are open to new members. */
export * from './builds.js';
export * from './caches.js';
export * from './clusters.js';
export * from './common.js';
export * from './containers.js';
export * from './images.js';
export * from './problem.js';
export * from './registry.js';
export * from './secrets.js';
export * from './services.js';
export * from './source-policy.js';
export * from './tasks.js';
export * from './tokens.js';
