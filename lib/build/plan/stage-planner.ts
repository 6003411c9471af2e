/**
 * One stage, instruction by instruction: the environment and the image config as they stand at each point, and the
 * steps that make layers. Follows BuildKit's dispatch (dockerfile2llb/convert.go) in what is expanded, by which
 * values, and what history is written.
 */
import type { CopyInstruction, Instruction, RunInstruction, WorkdirInstruction } from '../../dockerfile/index.js';
import type { Digest } from '../../oci/index.js';
import type { Place } from '../build-errors.js';
import { ConfigInstructions, isConfigInstruction } from './config-instructions.js';
import { planCopy } from './copy-planner.js';
import { type ImageDraft, runHistory } from './image-draft.js';
import { cleanPath, resolvePath } from './path-names.js';
import { planRun } from './run-planner.js';
import type { DispatchOptions, PlannedStep, StagePlanning, StageState } from './stage-planning.js';
import { StageVariables } from './stage-variables.js';
import type { SourceRef, StepOp } from './steps.js';

export class StagePlanner {
  readonly steps: PlannedStep[] = [];
  private readonly image: ImageDraft;
  private readonly variables: StageVariables;
  private readonly config: ConfigInstructions;
  private workdirSet: boolean;

  constructor(
    base: StageState,
    private readonly planning: StagePlanning,
  ) {
    this.image = base.image;
    this.variables = new StageVariables(base, planning);
    this.config = new ConfigInstructions(this.image, this.variables);
    this.workdirSet = base.workdirSet ?? false;
  }

  get state(): StageState {
    const { env, buildArgs } = this.variables;
    return { image: this.image, env, buildArgs, workdirSet: this.workdirSet };
  }

  /** The stage begins with the files of a context, as if they were copied. */
  startWith(context: Digest, code: string, place: Place): void {
    const source = { source: { from: 'context', context }, path: '/', unpack: false } as const;
    const op: StepOp = { kind: 'copy', sources: [source], inline: [], destination: '/', exclude: [], link: false };
    this.push(op, code, place, {});
    this.image.record(this.variables.shown(code), { layer: true, marked: true });
  }

  async dispatch(instruction: Instruction, place: Place, options: DispatchOptions = {}): Promise<void> {
    const { unset, env } = this.variables;
    const known = [...env.keys()];
    unset.clear();
    // A trigger has no line of its own that a warning could point at.
    if (options.onbuild === true) return this.apply(instruction, place, options);
    this.lintValues(instruction);
    await this.apply(instruction, place, options);
    this.lintVariables(instruction, known);
  }

  private lintValues(instruction: Instruction): void {
    const { lint } = this.planning;
    if (instruction.kind === 'workdir') {
      lint.workdir(instruction, this.variables.expand(instruction.path), !this.workdirSet);
    }
    if (instruction.kind === 'expose') {
      lint.exposedPorts(
        instruction,
        instruction.ports.flatMap((word) => this.variables.expandAll(word)),
      );
    }
  }

  private lintVariables(instruction: Instruction, known: readonly string[]): void {
    const { lint } = this.planning;
    const { unset, buildArgs, expand } = this.variables;
    lint.undefinedVariables(instruction, unset, known, new Set(buildArgs.keys()));
    if (instruction.kind === 'copy' || instruction.kind === 'add') {
      lint.ignoredSources(instruction, instruction.sources.map(expand));
    }
  }

  private async apply(instruction: Instruction, place: Place, options: DispatchOptions): Promise<void> {
    if (isConfigInstruction(instruction)) return this.config.apply(instruction);
    switch (instruction.kind) {
      case 'workdir':
        return this.workdir(instruction, place, options);
      case 'run':
        return this.run(instruction, place, options);
      case 'copy':
      case 'add':
        return this.copy(instruction, place, options);
      default:
        return instruction satisfies never;
    }
  }

  private workdir({ path: written, code }: WorkdirInstruction, place: Place, options: DispatchOptions): void {
    this.workdirSet = true;
    const { config } = this.image;
    const path = resolvePath(config.WorkingDir ?? '/', this.variables.expand(written));
    config.WorkingDir = path;
    const layer = cleanPath(path) !== '/';
    if (layer) {
      const op: StepOp = { kind: 'workdir', path: cleanPath(path), user: config.User ?? '' };
      this.push(op, code, place, options);
    }
    this.image.record(`WORKDIR ${path}`, { layer });
  }

  private async copy(instruction: CopyInstruction, place: Place, options: DispatchOptions): Promise<void> {
    const { expand, env } = this.variables;
    const source = this.sources(options);
    const { remote } = this.planning;
    const planned = await planCopy(instruction, { workdir: this.workdirPath, expand, env, source, remote });
    this.push(planned.op, instruction.code, place, options);
    this.image.record(planned.history, { layer: true, marked: true });
  }

  private async run(instruction: RunInstruction, place: Place, options: DispatchOptions): Promise<void> {
    const { expand, env } = this.variables;
    const { hostname, cacheNamespace } = this.planning.settings;
    const mounting = {
      workdir: this.workdirPath,
      expand,
      source: this.sources(options),
      ...(cacheNamespace === undefined ? {} : { cacheNamespace }),
    };
    const op = await planRun(instruction, {
      shell: this.image.shell(),
      env,
      hiddenEnv: this.planning.hiddenEnv,
      user: this.image.config.User ?? '',
      workdir: this.workdirPath,
      ...(hostname === undefined ? {} : { hostname }),
      settings: this.planning.run,
      allowed: this.planning.allowed,
      mount: (value, sshMounts) => this.planning.mount(value, { ...mounting, sshMounts }),
    });
    this.push(op, instruction.code, place, options);
    this.image.record(runHistory(op.args, this.variables.declared()), { layer: true, marked: true });
  }

  private get workdirPath(): string {
    return cleanPath(this.image.config.WorkingDir ?? '/');
  }

  private sources({ trusted }: DispatchOptions): (from: string) => Promise<SourceRef> {
    return (from) => this.planning.source(from, trusted !== false);
  }

  private push(op: StepOp, code: string, place: Place, options: DispatchOptions): void {
    this.steps.push({ instruction: this.variables.shown(code), place, op, onbuild: options.onbuild === true });
  }
}
