export * from './content-store.js';
export * from './ports.js';
