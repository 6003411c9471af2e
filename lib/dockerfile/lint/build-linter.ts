/** Lint rules that need what only a build knows: values of variables, the base image, the ignore file. */
import { formatPlatform, type Platform } from '../../oci/index.js';
import { DockerfileError } from '../errors.js';
import type { IgnoreFile } from '../patterns/ignore-file.js';
import { lintPort, lintWorkdir } from './lint-file.js';
import { type LintRule, warning } from './lint-rules.js';
import { nearest } from '../suggestion.js';
import type {
  CopyInstruction,
  Dockerfile,
  ExposeInstruction,
  FromInstruction,
  Instruction,
  LintWarning,
  WorkdirInstruction,
} from '../types.js';

/** Each method gives the warnings of one event of a build; most often none. */
export class BuildLinter {
  constructor(private readonly dockerfile: Pick<Dockerfile, 'fileName' | 'check' | 'stages'>) {}

  /**
   * UndefinedVar.
   * @param unset names an expansion asked for in vain
   * @param known names of the environment so far, for the suggestion
   * @param declared names of ARGs of the stage, which may be without value
   */
  undefinedVariables(
    at: Instruction,
    unset: Iterable<string>,
    known: Iterable<string>,
    declared: ReadonlySet<string> = new Set(),
  ): LintWarning[] {
    return [...unset].flatMap((name) => {
      if (declared.has(name) || name === 'BUILDKIT_SBOM_SCAN_CONTEXT' || name === 'BUILDKIT_SBOM_SCAN_STAGE') return [];
      const near = nearest(name, known, 'exact');
      const hint = near === undefined ? '' : ` (did you mean $${near}?)`;
      return this.warn('UndefinedVar', at, `Usage of undefined variable '$${name}'${hint}`);
    });
  }

  /** InvalidBaseImagePlatform. @param image the base's name for the message */
  baseImagePlatform(from: FromInstruction, image: string, expected: Platform, actual: Platform): LintWarning[] {
    if (expected.os === actual.os && expected.architecture === actual.architecture) return [];
    const [want, got] = [formatPlatform(expected), formatPlatform(actual)];
    const message = `Base image ${image} was pulled with platform "${got}", expected "${want}" for current build`;
    return this.warn('InvalidBaseImagePlatform', from, message);
  }

  /** CopyIgnoredFile, for sources in the build context. @param sources with variables in */
  ignoredSources(at: CopyInstruction, sources: readonly string[], ignore: IgnoreFile): LintWarning[] {
    // An exception may bring back a file inside an ignored folder: too hard to tell.
    if (ignore.hasExceptions) return [];
    const command = at.kind === 'add' ? 'Add' : 'Copy';
    return sources.flatMap((source) => {
      const path = ignore.ignoredSource(source);
      if (path === undefined) return [];
      const message = `Attempting to ${command} file "${path}" that is excluded by .dockerignore`;
      return this.warn('CopyIgnoredFile', at, message);
    });
  }

  /** WorkdirRelativePath, when the path has variables. @param isFirst no WORKDIR in this stage or those it is built from */
  workdir(at: WorkdirInstruction, path: string, isFirst: boolean): LintWarning[] {
    if (!isFirst || !at.path.includes('$')) return [];
    return this.collect((report) => lintWorkdir(path, at, report));
  }

  /** ExposeProtoCasing and ExposeInvalidFormat, when a port has variables. @param ports with variables in */
  exposedPorts(at: ExposeInstruction, ports: readonly string[]): LintWarning[] {
    const plain = at.ports.filter((port) => !port.includes('$'));
    const rest = ports.filter((port) => !plain.includes(port));
    return rest.flatMap((port) => this.collect((report) => lintPort(port, at, report)));
  }

  /** With `# check=error=true`, the refusal that the warnings amount to; call it before any work is done. */
  failure(warnings: readonly LintWarning[]): DockerfileError | undefined {
    return checkFailure(this.dockerfile, warnings);
  }

  private collect(
    lint: (report: (rule: LintRule, at: Instruction | FromInstruction, message: string) => void) => void,
  ) {
    const found: LintWarning[] = [];
    lint((rule, at, message) => found.push(...this.warn(rule, at, message)));
    return found;
  }

  private warn(rule: LintRule, at: Instruction | FromInstruction, message: string): LintWarning[] {
    return warning(rule, message, { line: at.range.start.line, comments: at.comments }, this.dockerfile.check);
  }
}

/** The refusal that warnings amount to when the Dockerfile says `check=error=true`. */
export function checkFailure(
  dockerfile: Pick<Dockerfile, 'fileName' | 'check' | 'stages'>,
  warnings: readonly LintWarning[],
): DockerfileError | undefined {
  const [first] = warnings;
  if (!dockerfile.check.error || first === undefined) return undefined;
  const rules = [...new Set(warnings.map(({ rule }) => rule))].sort();
  const all = dockerfile.stages.flatMap((stage) => [stage.from, ...stage.instructions]);
  const at = all.find(({ range }) => range.start.line === first.line);
  const place = {
    file: dockerfile.fileName,
    line: first.line,
    column: at?.range.start.column ?? 1,
    sourceLine: at?.original.split('\n', 1)[0] ?? '',
  };
  return new DockerfileError('DOCKERFILE_CHECK_FAILED', `lint violation found for rules: ${rules.join(', ')}`, place, {
    hint: `${first.rule}: ${first.message}; change it, or drop error=true from the check directive`,
    details: { warnings },
  });
}
