/**
 * One stage, instruction by instruction: the environment and the image config as they stand at each point, and the
 * steps that make layers. Follows BuildKit's dispatch (dockerfile2llb/convert.go) in what is expanded, by which
 * values, and what history is written.
 */
import {
  type ArgInstruction,
  expand,
  expandWord,
  type HealthcheckInstruction,
  type Instruction,
  parseExposePort,
  parseStopSignal,
} from '../../dockerfile/index.js';
import type { Digest, Healthcheck, Platform } from '../../oci/index.js';
import { type Place, refusal } from '../build-errors.js';
import type { BuildkitSettings } from './buildkit-args.js';
import { planCopy } from './copy-planner.js';
import { goList } from '../export/go-format.js';
import { commandHistory, healthcheckHistory, type ImageDraft, runHistory } from './image-draft.js';
import type { StageLint } from './plan-lint.js';
import { cleanPath, resolvePath } from './path-names.js';
import { commandArgs, planRun } from './run-planner.js';
import type { RunMount, SourceRef, StepOp } from './steps.js';

/** What a stage hands to one that is built `FROM` it. */
export interface StageState {
  readonly image: ImageDraft;
  /** Environment of RUN: ENV and the ARGs that have a value. */
  readonly env: ReadonlyMap<string, string>;
  /** Declared build arguments, in order, with the value they had. */
  readonly buildArgs: ReadonlyMap<string, string | undefined>;
  /** Whether a WORKDIR came before. */
  readonly workdirSet?: boolean;
}

export interface PlannedStep {
  readonly instruction: string;
  readonly place: Place;
  readonly op: StepOp;
  readonly onbuild: boolean;
}

export interface StagePlanning {
  readonly escape: '\\' | '`';
  readonly args: Readonly<Record<string, string>>;
  readonly globalArgs: ReadonlyMap<string, string>;
  readonly hiddenEnv: readonly string[];
  readonly platform: Platform;
  readonly settings: Pick<BuildkitSettings, 'cacheNamespace' | 'hostname'>;
  /** @param trusted false for a trigger that came with an image: it may not name stages of this file */
  readonly source: (from: string, trusted: boolean) => Promise<SourceRef>;
  readonly mount: (value: string, context: MountContext) => Promise<RunMount>;
  readonly lint: StageLint;
}

export interface MountContext extends Pick<BuildkitSettings, 'cacheNamespace'> {
  /** How many ssh mounts the instruction had before. */
  readonly sshMounts: number;
  readonly workdir: string;
  readonly expand: (word: string) => string;
  readonly source: (from: string) => Promise<SourceRef>;
}

export interface DispatchOptions {
  /** Run as an ONBUILD trigger. */
  readonly onbuild?: boolean;
  readonly trusted?: boolean;
}

export class StagePlanner {
  readonly steps: PlannedStep[] = [];
  private readonly env: Map<string, string>;
  private readonly buildArgs: Map<string, string | undefined>;
  private readonly image: ImageDraft;
  private commandSet = false;
  private workdirSet: boolean;
  /** Variables the instruction at hand asked for in vain. */
  private readonly unset = new Set<string>();

  constructor(
    base: StageState,
    private readonly planning: StagePlanning,
  ) {
    this.image = base.image;
    this.env = new Map([...base.env, ...base.image.env()]);
    this.buildArgs = new Map(base.buildArgs);
    this.workdirSet = base.workdirSet ?? false;
  }

  get state(): StageState {
    return { image: this.image, env: this.env, buildArgs: this.buildArgs, workdirSet: this.workdirSet };
  }

  /** The stage begins with the files of a context, as if they were copied. */
  startWith(context: Digest, code: string, place: Place): void {
    const source = { source: { from: 'context', context }, path: '/', unpack: false } as const;
    const op: StepOp = { kind: 'copy', sources: [source], inline: [], destination: '/', exclude: [], link: false };
    this.push(op, code, place, {});
    this.image.record(this.shown(code), { layer: true, marked: true });
  }

  async dispatch(instruction: Instruction, place: Place, options: DispatchOptions = {}): Promise<void> {
    const { lint } = this.planning;
    const known = [...this.env.keys()];
    this.unset.clear();
    await this.apply(instruction, place, options);
    // A trigger has no line of its own that a warning could point at.
    if (options.onbuild === true) return;
    lint.undefinedVariables(instruction, this.unset, known, new Set(this.buildArgs.keys()));
    if (instruction.kind === 'copy' || instruction.kind === 'add') {
      lint.ignoredSources(instruction, instruction.sources.map(this.expand));
    }
  }

  private async apply(instruction: Instruction, place: Place, options: DispatchOptions): Promise<void> {
    const { config } = this.image;
    switch (instruction.kind) {
      case 'arg':
        return this.declare(instruction);
      case 'env':
      case 'label':
        return this.assign(instruction);
      case 'workdir':
        if (options.onbuild !== true) {
          this.planning.lint.workdir(instruction, this.expand(instruction.path), !this.workdirSet);
        }
        this.workdirSet = true;
        return this.workdir(instruction.path, instruction.code, place, options);
      case 'user':
        config.User = this.expand(instruction.user);
        return this.image.record(`USER ${config.User}`, { layer: false });
      case 'run':
      case 'copy':
      case 'add':
        return this.layer(instruction, place, options);
      case 'cmd':
      case 'entrypoint':
        return this.command(instruction.kind, commandArgs(instruction.command, this.image.shell()));
      case 'shell':
        config.Shell = [...instruction.args];
        return this.image.record(`SHELL ${goList(instruction.args)}`, { layer: false });
      case 'expose': {
        const words = instruction.ports.flatMap((word) => this.expandAll(word));
        if (options.onbuild !== true) this.planning.lint.exposedPorts(instruction, words);
        const ports = words.flatMap((word) => parseExposePort(word).ports);
        config.ExposedPorts = { ...config.ExposedPorts, ...Object.fromEntries(ports.map((port) => [port, {}])) };
        return this.image.record(`EXPOSE ${goList(ports)}`, { layer: false });
      }
      case 'volume':
        return this.volume(instruction.paths.map((path) => this.expand(path)));
      case 'stopsignal':
        return this.stopSignal(this.expand(instruction.signal));
      case 'healthcheck':
        config.Healthcheck = healthcheck(instruction);
        return this.image.record(healthcheckHistory(config.Healthcheck), { layer: false });
      case 'maintainer':
        this.image.author = instruction.name;
        return this.image.record(`MAINTAINER ${instruction.name}`, { layer: false });
      case 'onbuild':
        config.OnBuild = [...(config.OnBuild ?? []), instruction.expression];
        return;
      default:
        return instruction satisfies never;
    }
  }

  private lexing(): { readonly escape: '\\' | '`' } {
    return { escape: this.planning.escape };
  }

  private readonly expand = (word: string): string => this.expansion(word).text;

  private expandAll(word: string): readonly string[] {
    return this.expansion(word).words;
  }

  private expansion(word: string): { readonly text: string; readonly words: readonly string[] } {
    const { text, words, unset } = expand(word, this.env, this.lexing());
    for (const name of unset) this.unset.add(name);
    return { text, words };
  }

  private declare(instruction: ArgInstruction): void {
    const texts: string[] = [];
    for (const arg of instruction.args) {
      const given = this.planning.args[arg.key];
      const value = given ?? (arg.value === undefined ? this.planning.globalArgs.get(arg.key) : this.expand(arg.value));
      if (value !== undefined) this.env.set(arg.key, value);
      this.buildArgs.set(arg.key, value);
      texts.push(value === undefined ? arg.key : `${arg.key}=${value}`);
    }
    this.image.record(`ARG ${texts.join(' ')}`, { layer: false });
  }

  /** All values of one instruction see only what stood before it. */
  private assign(instruction: Instruction & { kind: 'env' | 'label' }): void {
    const pairs = instruction.pairs.map(({ key, value }) => [this.expand(key), this.expand(value)] as const);
    for (const [key, value] of pairs) {
      if (instruction.kind === 'label') {
        this.image.setLabel(key, value);
        continue;
      }
      this.image.setEnv(key, value);
      this.env.set(key, value);
    }
    const texts = pairs.map(([key, value]) => `${key}=${value}`);
    this.image.record(`${instruction.kind.toUpperCase()} ${texts.join(' ')}`, { layer: false });
  }

  private workdir(written: string, code: string, place: Place, options: DispatchOptions): void {
    const { config } = this.image;
    const path = resolvePath(config.WorkingDir ?? '/', this.expand(written));
    config.WorkingDir = path;
    const layer = cleanPath(path) !== '/';
    if (layer) {
      const op: StepOp = { kind: 'workdir', path: cleanPath(path), user: config.User ?? '' };
      this.push(op, code, place, options);
    }
    this.image.record(`WORKDIR ${path}`, { layer });
  }

  private async layer(
    instruction: Instruction & { kind: 'run' | 'copy' | 'add' },
    place: Place,
    options: DispatchOptions,
  ): Promise<void> {
    const workdir = cleanPath(this.image.config.WorkingDir ?? '/');
    const source = (from: string): Promise<SourceRef> => this.planning.source(from, options.trusted !== false);
    if (instruction.kind !== 'run') {
      const planned = await planCopy(instruction, { workdir, expand: this.expand, env: this.env, source });
      this.push(planned.op, instruction.code, place, options);
      return this.image.record(planned.history, { layer: true, marked: true });
    }
    const { hostname, cacheNamespace } = this.planning.settings;
    const namespace = cacheNamespace === undefined ? {} : { cacheNamespace };
    const op = await planRun(instruction, {
      shell: this.image.shell(),
      env: this.env,
      hiddenEnv: this.planning.hiddenEnv,
      user: this.image.config.User ?? '',
      workdir,
      ...(hostname === undefined ? {} : { hostname }),
      mount: (value, sshMounts) =>
        this.planning.mount(value, { ...namespace, sshMounts, workdir, expand: this.expand, source }),
    });
    this.push(op, instruction.code, place, options);
    const declared = new Map([...this.buildArgs].map(([name, value]) => [name, this.env.get(name) ?? value ?? '']));
    return this.image.record(runHistory(op.args, declared), { layer: true, marked: true });
  }

  private push(op: StepOp, code: string, place: Place, options: DispatchOptions): void {
    this.steps.push({ instruction: this.shown(code), place, op, onbuild: options.onbuild === true });
  }

  /** The instruction as progress shows it: upper-case name, variables filled in where they are set. */
  private shown(code: string): string {
    let text = code;
    try {
      text = expandWord(code, this.env, { ...this.lexing(), rawQuotes: true, keepUnset: true });
    } catch {
      // A command may hold what is no Dockerfile variable, for instance ${x@Q}: shown as written.
    }
    const [name = '', ...rest] = text.split(' ');
    return [name.toUpperCase(), ...rest].join(' ');
  }

  private command(kind: 'cmd' | 'entrypoint', args: readonly string[]): void {
    const { config } = this.image;
    if (kind === 'cmd') {
      config.Cmd = args;
      config.ArgsEscaped = true;
      this.commandSet = true;
    } else {
      config.Entrypoint = args;
      if (!this.commandSet) delete config.Cmd;
    }
    this.image.record(commandHistory(kind === 'cmd' ? 'CMD' : 'ENTRYPOINT', args), { layer: false });
  }

  private volume(paths: readonly string[]): void {
    if (paths.includes('')) {
      throw refusal('BUILD_VOLUME_INVALID', 'VOLUME has an empty path', { hint: 'VOLUME /data' });
    }
    const { config } = this.image;
    config.Volumes = { ...config.Volumes, ...Object.fromEntries(paths.map((path) => [path, {}])) };
    this.image.record(`VOLUME ${goList(paths)}`, { layer: false });
  }

  private stopSignal(signal: string): void {
    parseStopSignal(signal);
    this.image.config.StopSignal = signal;
    this.image.record(`STOPSIGNAL ${signal}`, { layer: false });
  }
}

function healthcheck(instruction: HealthcheckInstruction): Healthcheck {
  const { command } = instruction;
  if (command === undefined) return { Test: ['NONE'] };
  return {
    Test: command.form === 'exec' ? ['CMD', ...command.args] : ['CMD-SHELL', command.command],
    ...positive('Interval', instruction.intervalNs),
    ...positive('Timeout', instruction.timeoutNs),
    ...positive('StartPeriod', instruction.startPeriodNs),
    ...positive('StartInterval', instruction.startIntervalNs),
    ...positive('Retries', instruction.retries),
  };
}

/** Go leaves zero values out. */
function positive<K extends string>(name: K, value: number | undefined): { readonly [P in K]?: number } {
  return value === undefined || value === 0 ? {} : ({ [name]: value } as { readonly [P in K]?: number });
}
