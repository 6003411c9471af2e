/**
 * Lint rules that need the Dockerfile alone. Values with variables are left to `BuildLinter`, which knows them, so
 * that no finding comes twice.
 */
import { parseExposePort } from '../instructions/expose-port.js';
import { attempt, lintBases, type LintInput, type Parsed, type Report } from './lint-bases.js';
import { type LintRule, warning } from './lint-rules.js';
import { splitBlanks } from '../syntax/white-space.js';
import type { CheckOptions, Instruction, LintWarning, Stage } from '../types.js';

const RESERVED = ['context', 'scratch'];
const SECRET = /(?:_|^)(?:apikey|auth|credential|credentials|key|password|pword|passwd|secret|token)(?:_|$)/i;
const NO_SECRET = /(?:_|^)(?:public|file|version)(?:_|$)/i;

/** Warnings in the order of their lines. */
export function lintFile(input: LintInput, emptyContinuations: readonly number[]): LintWarning[] {
  const { check, stages } = input;
  const found: LintWarning[] = [];
  const report: Report = (rule, at, message) => {
    found.push(...warning(rule, message, { line: at.range.start.line, comments: at.comments }, check));
  };
  for (const line of emptyContinuations) {
    found.push(...warning('NoEmptyContinuation', 'Empty continuation line', { line }, check));
  }
  for (const arg of input.globalArgs) lintDescription(arg, report);
  lintStageNames(stages, check, report, found);
  lintCasing(stages, check, found);
  lintBases(input, report);
  const named = new Map<string, StageMemory>();
  for (const stage of stages) {
    const memory = lintStage(stage, { hasShell: false, hasWorkdir: false, ...named.get(stage.from.image) }, report);
    if (stage.from.name !== undefined) named.set(stage.from.name, memory);
  }
  return found.sort((a, b) => a.line - b.line);
}

/** Rules that BuildKit applies while it reads an instruction; the others look at a file that could be read. */
const WHILE_READING: ReadonlySet<string> = new Set<LintRule>([
  'StageNameCasing',
  'FromAsCasing',
  'MaintainerDeprecated',
  'InvalidDefinitionDescription',
]);

/** What is told of the lines before one that is refused. */
export function lintBeforeError(input: LintInput): LintWarning[] {
  return lintFile(input, []).filter(({ rule }) => WHILE_READING.has(rule));
}

function lintStageNames(stages: readonly Stage[], check: CheckOptions, report: Report, found: LintWarning[]): void {
  const names = new Set<string>();
  for (const { from } of stages) {
    if (from.name === undefined) continue;
    const { keyword } = from;
    const [as = '', written = ''] = splitBlanks(from.code).slice(-2);
    if (written !== from.name) report('StageNameCasing', from, `Stage name '${written}' should be lowercase`);
    const isLower = keyword === keyword.toLowerCase();
    const isUpper = keyword === keyword.toUpperCase();
    if ((isLower && as !== as.toLowerCase()) || (isUpper && as !== as.toUpperCase())) {
      report('FromAsCasing', from, `'${as}' and '${keyword}' keywords' casing do not match`);
    }
    lintDescription(from, report);
    // These two look at the whole file, and no comment silences them.
    const place = { line: from.range.start.line };
    if (RESERVED.includes(from.name)) {
      const message = `Stage name should not use the same name as reserved stage "${from.name}"`;
      found.push(...warning('ReservedStageName', message, place, check));
    }
    if (names.has(from.name)) {
      const message = `Duplicate stage name "${from.name}", stage names should be unique`;
      found.push(...warning('DuplicateStageName', message, place, check));
    }
    names.add(from.name);
  }
}

function lintDescription(at: Parsed, report: Report): void {
  const comment = at.comments.at(-1);
  const names = at.kind === 'from' ? [at.name ?? ''] : at.kind === 'arg' ? at.args.map((arg) => arg.key) : [];
  const [first] = names;
  if (comment === undefined || first === undefined || names.includes(comment.split(' ', 1)[0] ?? '')) return;
  const example = names.length > 1 ? '<arg_key>' : first;
  const instruction = at.kind.toUpperCase();
  const message = `Comment for ${instruction} should follow the format: \`# ${example} <description>\``;
  report('InvalidDefinitionDescription', at, message);
}

function lintCasing(stages: readonly Stage[], check: CheckOptions, found: LintWarning[]): void {
  const all = stages.flatMap((stage) => [stage.from, ...stage.instructions]);
  let lower = 0;
  let upper = 0;
  for (const { keyword } of all) {
    if (keyword === keyword.toLowerCase()) lower++;
    else if (keyword === keyword.toUpperCase()) upper++;
  }
  const majority = lower > upper ? 'lowercase' : 'uppercase';
  for (const { keyword, range } of all) {
    if (keyword === (majority === 'lowercase' ? keyword.toLowerCase() : keyword.toUpperCase())) continue;
    const message = `Command '${keyword}' should match the case of the command majority (${majority})`;
    found.push(...warning('ConsistentInstructionCasing', message, { line: range.start.line }, check));
  }
}

/** What a stage hands on to stages built from it. */
interface StageMemory {
  hasShell: boolean;
  hasWorkdir: boolean;
}

function lintStage(stage: Stage, memory: StageMemory, report: Report): StageMemory {
  const earlier = new Map<string, Instruction>();
  for (const instruction of stage.instructions) {
    lintInstruction(instruction, memory, report);
    if (!['cmd', 'entrypoint', 'healthcheck'].includes(instruction.kind)) continue;
    const previous = earlier.get(instruction.kind);
    if (previous !== undefined) {
      const { keyword } = instruction;
      const message = `Multiple ${keyword} instructions should not be used in the same stage because only the last one will be used`;
      report('MultipleInstructionsDisallowed', previous, message);
    }
    earlier.set(instruction.kind, instruction);
  }
  return memory;
}

function lintInstruction(at: Instruction, memory: StageMemory, report: Report): void {
  const { kind, keyword } = at;
  if (kind === 'maintainer') {
    report('MaintainerDeprecated', at, 'Maintainer instruction is deprecated in favor of using label');
  } else if (kind === 'arg') {
    lintDescription(at, report);
    for (const { key } of at.args) lintSecret('ARG', key, at, report);
  } else if (kind === 'env' || kind === 'label') {
    for (const { key, legacy } of at.pairs) {
      if (legacy === true) {
        const message = `"${keyword} key=value" should be used instead of legacy "${keyword} key value" format`;
        report('LegacyKeyValueFormat', at, message);
      }
      if (kind === 'env') lintSecret('ENV', key, at, report);
    }
  } else if (kind === 'shell') {
    memory.hasShell = true;
  } else if (kind === 'cmd' || kind === 'entrypoint') {
    if (at.command.form === 'exec' || memory.hasShell) return;
    const message = `JSON arguments recommended for ${keyword} to prevent unintended behavior related to OS signals`;
    report('JSONArgsRecommended', at, message);
  } else if (kind === 'workdir') {
    if (!memory.hasWorkdir && !at.path.includes('$')) lintWorkdir(at.path, at, report);
    memory.hasWorkdir = true;
  } else if (kind === 'expose') {
    for (const port of at.ports) if (!port.includes('$')) lintPort(port, at, report);
  }
}

function lintSecret(instruction: 'ARG' | 'ENV', key: string, at: Instruction, report: Report): void {
  if (!SECRET.test(key) || NO_SECRET.test(key)) return;
  const message = `Do not use ARG or ENV instructions for sensitive data (${instruction} "${key}")`;
  report('SecretsUsedInArgOrEnv', at, message);
}

/** @param path with variables in */
export function lintWorkdir(path: string, at: Instruction, report: Report): void {
  if (path.startsWith('/')) return;
  report('WorkdirRelativePath', at, `Relative workdir "${path}" can have unexpected results if the base image changes`);
}

/** @param port with variables in */
export function lintPort(port: string, at: Instruction, report: Report): void {
  const parsed = attempt(() => parseExposePort(port));
  if (parsed === undefined) return;
  if (parsed.protocol !== parsed.protocol.toLowerCase()) {
    report('ExposeProtoCasing', at, `Defined protocol '${port}' in EXPOSE instruction should be lowercase`);
  }
  if (parsed.hasHostPart) {
    const message = `EXPOSE instruction should not define an IP address or host-port mapping, found '${port}'`;
    report('ExposeInvalidFormat', at, message);
  }
}
