export { createEngine } from './engine.js';
export type { EngineDeps, EngineOptions } from './context.js';
export type * from './types.js';
