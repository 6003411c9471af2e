/**
 * Shows a build while it runs. `plain` prints every line as it comes; `tty` keeps finished steps and rewrites one line
 * for what runs now; a failed step ends with its last output either way.
 */
import type { BuildError, BuildEvent, LoggedBuildEvent } from '../build/index.js';
import { BuildText, formatBuildError, formatBytes, seconds } from '../http/text/index.js';
import type { Output } from './output.js';

export type ProgressMode = 'auto' | 'plain' | 'tty' | 'quiet';

export interface BuildProgress {
  show(event: LoggedBuildEvent): void;
}

export function buildProgress(mode: ProgressMode, output: Output): BuildProgress {
  if (mode === 'quiet') return { show: () => {} };
  if (mode === 'plain' || (mode === 'auto' && !output.isInteractive)) return new PlainProgress(output);
  return new TerminalProgress(output);
}

class PlainProgress implements BuildProgress {
  private readonly text = new BuildText();

  constructor(private readonly output: Output) {}

  show(event: LoggedBuildEvent): void {
    // The command itself tells the end.
    if (event.event.type !== 'finished') this.output.say(this.text.format(event));
  }
}

const CLEAR_LINE = '\r\u001B[K';
const KEPT_LINES = 20;
const WIDTH = 110;

interface RunningStep {
  readonly name: string;
  readonly instruction: string;
  /** Why it is not in the cache. */
  readonly reason?: string;
  lines: string[];
}

class TerminalProgress implements BuildProgress {
  private readonly steps = new Map<number, RunningStep>();

  constructor(private readonly output: Output) {}

  show({ event }: LoggedBuildEvent): void {
    if (event.type === 'step-started') {
      const { name, reason } = event;
      const step = { name, instruction: firstLine(event.instruction), lines: [] };
      this.steps.set(event.step, reason === undefined ? step : { ...step, reason });
      this.live(`${event.name} ${firstLine(event.instruction)}`);
    } else if (event.type === 'step-output') {
      const step = this.steps.get(event.step);
      if (step === undefined) return;
      step.lines = [...step.lines, ...event.text.split('\n').filter((line) => line.trim() !== '')].slice(-KEPT_LINES);
      this.live(`${step.name} ${step.lines.at(-1) ?? step.instruction}`);
    } else if (event.type === 'step-finished') this.finish(event);
    else if (event.type === 'warning') this.keep(this.output.colors.yellow(`warning: ${event.message}`));
    else if (event.type === 'message') this.keep(event.text);
    else this.output.say(CLEAR_LINE);
  }

  private finish(event: Extract<BuildEvent, { type: 'step-finished' }>): void {
    const step = this.steps.get(event.step);
    if (step === undefined) return;
    const { green, cyan, red, dim } = this.output.colors;
    const title = `${step.name} ${step.instruction}`.slice(0, WIDTH);
    if (event.failed === true) {
      this.keep(`${red('✗')} ${title} ${dim(seconds(event.milliseconds))}`);
      for (const line of step.lines) this.output.say(dim(`    ${line}\n`));
      return;
    }
    const size = event.layerBytes === undefined ? '' : `, ${formatBytes(event.layerBytes)}`;
    const why = step.reason === undefined ? '' : `, ${step.reason}`;
    const from = event.importedFrom === undefined ? '' : dim(` from ${event.importedFrom}`);
    const verdict = event.cached ? cyan('CACHED') + from : dim(`${seconds(event.milliseconds)}${size}${why}`);
    this.keep(`${green('✓')} ${title} ${verdict}`);
  }

  private keep(line: string): void {
    this.output.say(`${CLEAR_LINE}${line}\n`);
  }

  private live(line: string): void {
    this.output.say(`${CLEAR_LINE}${this.output.colors.dim(`… ${line.slice(0, WIDTH)}`)}`);
  }
}

/** The error, and the lines of the Dockerfile it is about. */
export function explainBuildError(error: BuildError, dockerfile: string | undefined): string {
  const text = formatBuildError(error);
  return error.line === undefined || dockerfile === undefined ? text : text + excerpt(dockerfile, error.line);
}

/** Two lines around the one that is meant, which is marked. */
export function excerpt(text: string, line: number): string {
  const lines = text.split('\n');
  const first = Math.max(1, line - 2);
  const last = Math.min(lines.length, line + 2);
  const width = String(last).length;
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => first + i)
    .map(
      (number) => `${number === line ? '>>>' : '   '} ${String(number).padStart(width)} | ${lines[number - 1] ?? ''}\n`,
    )
    .join('');
}

function firstLine(text: string): string {
  return text.split('\n')[0] ?? '';
}
