export { type EcsConnection } from './calls.js';
export * from './client.js';
export * from './errors.js';
export * from './placement-failures.js';
export * from './rates.js';
export * from './retry.js';
export { type NewTask, type StartedTasks } from './task-starts.js';
export type * from './types.js';
