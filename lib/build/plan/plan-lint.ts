/**
 * The lint rules that need what a plan knows: values of variables, the base image, the ignore file. Each finding is
 * told once, however many platforms are planned.
 */
import {
  BuildLinter,
  type CopyInstruction,
  type Dockerfile,
  type DockerfileError,
  type ExposeInstruction,
  flagValue,
  type FromInstruction,
  type IgnoreFile,
  type Instruction,
  isOfBuiltStages,
  type LintWarning,
  type Stage,
  type WorkdirInstruction,
} from '../../dockerfile/index.js';
import type { Platform } from '../../oci/index.js';

/** What planning a stage tells the linter. */
export type StageLint = Pick<PlanLint, 'undefinedVariables' | 'ignoredSources' | 'workdir' | 'exposedPorts'>;

export class PlanLint {
  private readonly linter: BuildLinter;
  private readonly found = new Map<string, LintWarning>();

  /** @param tell is told each finding as it comes, those about the whole file first */
  constructor(
    private readonly dockerfile: Dockerfile,
    private readonly ignore: IgnoreFile | undefined,
    private readonly tell: (warning: LintWarning) => void,
  ) {
    this.linter = new BuildLinter(dockerfile);
    this.add(dockerfile.warnings.filter((warning) => !isOfBuiltStages(warning)));
  }

  /** What the parser found in a stage that is built. */
  stage({ index, from }: Stage): void {
    const first = from.range.start.line;
    const next = this.dockerfile.stages[index + 1]?.from.range.start.line ?? Infinity;
    const own = this.dockerfile.warnings.filter(({ line }) => line >= first && line < next);
    this.add(own.filter(isOfBuiltStages));
  }

  /** In the order they were found. */
  get warnings(): readonly LintWarning[] {
    return [...this.found.values()];
  }

  /** With `# check=error=true`, the refusal that the findings amount to. */
  failure(): DockerfileError | undefined {
    return this.linter.failure(this.warnings);
  }

  undefinedVariables(
    at: Instruction,
    unset: Iterable<string>,
    known: Iterable<string>,
    args: ReadonlySet<string>,
  ): void {
    this.add(this.linter.undefinedVariables(at, unset, known, args));
  }

  /** @param sources with variables in */
  ignoredSources(at: CopyInstruction, sources: readonly string[]): void {
    if (this.ignore === undefined || (flagValue(at.flags, 'from') ?? '') !== '') return;
    const local = sources.filter((source) => !/^([a-z]+:\/\/|git@)/.test(source));
    this.add(this.linter.ignoredSources(at, local, this.ignore));
  }

  workdir(at: WorkdirInstruction, path: string, isFirst: boolean): void {
    this.add(this.linter.workdir(at, path, isFirst));
  }

  /** @param ports with variables in */
  exposedPorts(at: ExposeInstruction, ports: readonly string[]): void {
    this.add(this.linter.exposedPorts(at, ports));
  }

  baseImagePlatform(from: FromInstruction, image: string, expected: Platform, actual: Platform): void {
    this.add(this.linter.baseImagePlatform(from, image, expected, actual));
  }

  private add(warnings: readonly LintWarning[]): void {
    for (const warning of warnings) {
      const key = JSON.stringify([warning.rule, warning.line, warning.message]);
      if (this.found.has(key)) continue;
      this.found.set(key, warning);
      this.tell(warning);
    }
  }
}
