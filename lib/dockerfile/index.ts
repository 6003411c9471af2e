export * from './types.js';
export { dumpDockerfile } from './syntax/dump.js';
export { findDirective } from './syntax/directives.js';
export { dockerfileNames } from './file-name.js';
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
} from './variables/shell-words.js';
export { globalArguments, platformArgs, predefinedArgs } from './variables/arguments.js';
export { flagSwitch, flagValue, flagValues } from './instructions/flags.js';
export { runScript, type RunScript } from './instructions/run-script.js';
export { parseMount, parseSize, type CacheSharing, type Mount, type MountType } from './instructions/mount.js';
export { parseExposePort, type ExposedPorts } from './instructions/expose-port.js';
export { parseChmod, type ModeChange } from './instructions/file-mode.js';
export { parseDuration } from './instructions/duration.js';
export { parseStopSignal } from './instructions/stop-signal.js';
export { IgnoreFile, parseIgnore } from './patterns/ignore-file.js';
export { Glob, hasWildcards, matchGlob, type GlobOptions } from './patterns/glob.js';
export { baseStage, findStage, sourcesOf, stagesNeeded, targetStage, type StageOptions } from './stage-graph.js';
export { BuildLinter, checkFailure } from './lint/build-linter.js';
export { isOfBuiltStages, LINT_RULES, type LintRule } from './lint/lint-rules.js';
export { csvFields } from './instructions/csv.js';
export { goBool } from './syntax/go-bool.js';
export { goQuote } from './syntax/quote.js';
