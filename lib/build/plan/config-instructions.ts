/** The instructions of a stage that change the image config and nothing else. */
import {
  type HealthcheckInstruction,
  type Instruction,
  parseExposePort,
  parseStopSignal,
} from '../../dockerfile/index.js';
import type { Healthcheck } from '../../oci/index.js';
import { refusal } from '../build-errors.js';
import { goList } from '../export/go-format.js';
import { commandHistory, healthcheckHistory, type ImageDraft } from './image-draft.js';
import { commandArgs } from './run-planner.js';
import type { StageVariables } from './stage-variables.js';

type LayerKind = 'run' | 'copy' | 'add' | 'workdir';
export type ConfigInstruction = Exclude<Instruction, { readonly kind: LayerKind }>;

export function isConfigInstruction(instruction: Instruction): instruction is ConfigInstruction {
  return !['run', 'copy', 'add', 'workdir'].includes(instruction.kind);
}

export class ConfigInstructions {
  /** Whether the stage has a CMD of its own, which an ENTRYPOINT leaves alone. */
  private commandSet = false;

  constructor(
    private readonly image: ImageDraft,
    private readonly variables: StageVariables,
  ) {}

  apply(instruction: ConfigInstruction): void {
    const { config } = this.image;
    const { expand } = this.variables;
    switch (instruction.kind) {
      case 'arg':
        return this.record(`ARG ${this.variables.declare(instruction).join(' ')}`);
      case 'env':
      case 'label':
        return this.assign(instruction);
      case 'user':
        config.User = expand(instruction.user);
        return this.record(`USER ${config.User}`);
      case 'cmd':
      case 'entrypoint':
        return this.command(instruction.kind, commandArgs(instruction.command, this.image.shell()));
      case 'shell':
        config.Shell = [...instruction.args];
        return this.record(`SHELL ${goList(instruction.args)}`);
      case 'expose':
        return this.expose(instruction.ports.flatMap((word) => this.variables.expandAll(word)));
      case 'volume':
        return this.volume(instruction.paths.map(expand));
      case 'stopsignal':
        return this.stopSignal(expand(instruction.signal));
      case 'healthcheck':
        config.Healthcheck = healthcheck(instruction);
        return this.record(healthcheckHistory(config.Healthcheck));
      case 'maintainer':
        this.image.author = instruction.name;
        return this.record(`MAINTAINER ${instruction.name}`);
      case 'onbuild':
        config.OnBuild = [...(config.OnBuild ?? []), instruction.expression];
        return;
      default:
        return instruction satisfies never;
    }
  }

  private record(text: string): void {
    this.image.record(text, { layer: false });
  }

  /** All values of one instruction see only what stood before it. */
  private assign(instruction: Instruction & { kind: 'env' | 'label' }): void {
    const { expand, env } = this.variables;
    const pairs = instruction.pairs.map(({ key, value }) => [expand(key), expand(value)] as const);
    for (const [key, value] of pairs) {
      if (instruction.kind === 'label') {
        this.image.setLabel(key, value);
        continue;
      }
      this.image.setEnv(key, value);
      env.set(key, value);
    }
    const texts = pairs.map(([key, value]) => `${key}=${value}`);
    this.record(`${instruction.kind.toUpperCase()} ${texts.join(' ')}`);
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
    this.record(commandHistory(kind === 'cmd' ? 'CMD' : 'ENTRYPOINT', args));
  }

  private expose(words: readonly string[]): void {
    const { config } = this.image;
    const ports = words.flatMap((word) => parseExposePort(word).ports);
    config.ExposedPorts = { ...config.ExposedPorts, ...Object.fromEntries(ports.map((port) => [port, {}])) };
    this.record(`EXPOSE ${goList(ports)}`);
  }

  private volume(paths: readonly string[]): void {
    if (paths.includes('')) {
      throw refusal('BUILD_VOLUME_INVALID', 'VOLUME has an empty path', { hint: 'VOLUME /data' });
    }
    const { config } = this.image;
    config.Volumes = { ...config.Volumes, ...Object.fromEntries(paths.map((path) => [path, {}])) };
    this.record(`VOLUME ${goList(paths)}`);
  }

  private stopSignal(signal: string): void {
    parseStopSignal(signal);
    this.image.config.StopSignal = signal;
    this.record(`STOPSIGNAL ${signal}`);
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
