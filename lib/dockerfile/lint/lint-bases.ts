/** Lint rules of FROM lines: what they build on, and for which platform. */
import { AppError } from '../../errors/index.js';
import { parseReference } from '../../oci/index.js';
import { nearest } from '../suggestion.js';
import type { Dockerfile, FromInstruction, Instruction, Stage } from '../types.js';
import { globalArguments, platformArgs } from '../variables/arguments.js';
import { expand, type Expansion } from '../variables/shell-words.js';
import type { LintRule } from './lint-rules.js';

export type Parsed = FromInstruction | Instruction;
export type LintInput = Pick<Dockerfile, 'fileName' | 'globalArgs' | 'stages' | 'escape' | 'check'>;
export type Report = (rule: LintRule, at: Parsed, message: string) => void;

/** FROM lines, as they read when no build argument is given. The platform's values do not matter, its names do. */
export function lintBases(input: LintInput, report: Report): void {
  const linux = { os: 'linux', architecture: 'amd64' };
  const platform = platformArgs(linux, linux);
  const declared = new Set([...platform.keys(), ...input.globalArgs.flatMap((arg) => arg.args.map(({ key }) => key))]);
  const values = attempt(() => globalArguments(input, platform));
  if (values === undefined) return;
  for (const { from } of input.stages) {
    const options = { escape: input.escape };
    const image = attempt(() => expand(from.image, values, options));
    if (image === undefined) continue;
    lintUndeclared(from, image, declared, report);
    if (attempt(() => parseReference(image.text)) === undefined && !namesStage(input.stages, from, image.text)) {
      const message = `Default value for ARG ${from.image} results in empty or invalid base image name`;
      report('InvalidDefaultArgInFrom', from, message);
    }
    if (from.platform === undefined) continue;
    const flag = from.platform;
    const wanted = attempt(() => expand(flag, values, options));
    if (wanted === undefined) continue;
    lintUndeclared(from, wanted, declared, report);
    lintPlatformFlag(from, flag, wanted, values.get('TARGETPLATFORM'), report);
  }
}

function lintUndeclared(from: FromInstruction, word: Expansion, declared: ReadonlySet<string>, report: Report): void {
  for (const name of word.unset) {
    if (declared.has(name)) continue;
    const near = nearest(name, declared, 'exact');
    const hint = near === undefined ? '' : ` (did you mean ${near}?)`;
    report('UndefinedArgInFrom', from, `FROM argument '${name}' is not declared${hint}`);
  }
}

function lintPlatformFlag(
  from: FromInstruction,
  flag: string,
  wanted: Expansion,
  target: string | undefined,
  report: Report,
): void {
  const isConstant = wanted.used.size === 0 && wanted.unset.size === 0;
  if (isConstant) {
    const words = wanted.text.toLowerCase().split('/');
    const isPlatform = words.length <= 3 && words.every((word) => /^[a-z0-9_.-]+$/.test(word));
    if (!isPlatform || words.slice(0, 2).some((word) => from.name?.includes(word))) return;
    const message = `FROM --platform flag should not use constant value "${wanted.text}"`;
    report('FromPlatformFlagConstDisallowed', from, message);
  } else if (wanted.used.size === 1 && wanted.used.has('TARGETPLATFORM') && wanted.unset.size === 0) {
    if (wanted.text !== target) return;
    const message = `Setting platform to predefined ${flag} in FROM is redundant as this is the default behavior`;
    report('RedundantTargetPlatform', from, message);
  }
}

function namesStage(stages: readonly Stage[], at: FromInstruction, name: string): boolean {
  return stages.some(({ from }) => from.range.start.line < at.range.start.line && from.name === name.toLowerCase());
}

/** What cannot be read is refused elsewhere, with its place. */
export function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (error instanceof AppError) return undefined;
    throw error;
  }
}
