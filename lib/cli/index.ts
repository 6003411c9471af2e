export type { Connection, PlatformAddress } from './connection.js';
export type {
  CliDeps,
  Embedded,
  EmbeddedOptions,
  EngineStart,
  StartedEngine,
  StartEmbedded,
  Terminal,
} from './deps.js';
export { ExitCode } from './exit-code.js';
export { type Output, streamOutput } from './output.js';
export { buildProgress, type BuildProgress, type ProgressMode } from './build-progress.js';
export { packContext, type PackedContext } from './pack-context.js';
export { program, runCli } from './program/index.js';
