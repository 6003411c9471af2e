export { createEngine } from './engine.js';
export type { EngineDeps, EngineOptions } from './context.js';
export {
  type ExplainedFinding,
  type ExplainedInstance,
  explainedText,
  type Explanation,
} from './placement/explanation.js';
export type { Unplaced } from './state/side-model.js';
export type * from './types.js';
