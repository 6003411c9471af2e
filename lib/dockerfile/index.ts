export * from './types.js';
export { dumpDockerfile } from './dump.js';
export { findDirective } from './directives.js';
export { DockerfileError, type SourcePlace } from './errors.js';
export { errorAt } from './instruction-error.js';
export { parseDockerfile, parseInstruction, type ParseOptions } from './parse.js';
export {
  expand,
  expandHeredoc,
  expandWord,
  expandWords,
  type Environment,
  type ExpandOptions,
  type Expansion,
} from './shell-words.js';
export { globalArguments, platformArgs, predefinedArgs } from './arguments.js';
export { flagSwitch, flagValue, flagValues } from './flags.js';
export { runScript, type RunScript } from './run-script.js';
export { parseMount, parseSize, type CacheSharing, type Mount, type MountType } from './mount.js';
export { parseExposePort, type ExposedPorts } from './expose-port.js';
export { parseChmod, type ModeChange } from './file-mode.js';
export { parseDuration } from './duration.js';
export { parseStopSignal } from './stop-signal.js';
export { IgnoreFile, parseIgnore } from './ignore-file.js';
export { Glob, hasWildcards, matchGlob, type GlobOptions } from './glob.js';
export { baseStage, findStage, sourcesOf, stagesNeeded, targetStage, type StageOptions } from './stage-graph.js';
export { BuildLinter, checkFailure } from './build-linter.js';
export { isOfBuiltStages, LINT_RULES, type LintRule } from './lint-rules.js';
export { csvFields } from './csv.js';
export { goQuote } from './quote.js';
