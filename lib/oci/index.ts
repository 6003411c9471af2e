export * from './config.js';
export * from './descriptor.js';
export * from './digest.js';
export * from './estargz-annotations.js';
export * from './manifest.js';
export * from './media-type.js';
export * from './platform.js';
export * from './reference.js';
