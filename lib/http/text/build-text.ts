/**
 * Build events as lines for people, in the shape of BuildKit's plain progress: `#3 [build 2/5] RUN make`, output with
 * seconds, `#3 CACHED` or `#3 DONE 1.2s`. The last line always tells the exit status.
 */
import type { BuildError, BuildEvent, LoggedBuildEvent } from '../../build/index.js';
import { formatBytes } from './format-bytes.js';
import { formatBuildReport } from './report-text.js';

export class BuildText {
  private readonly started = new Map<number, number>();
  private readonly partial = new Map<string, string>();

  /** The lines of one event, each ending in a newline; empty when it says nothing. */
  format({ event, timeMs }: LoggedBuildEvent): string {
    switch (event.type) {
      case 'step-started':
        this.started.set(event.step, timeMs);
        return `#${event.step} ${event.name} ${firstLine(event.instruction)}\n${why(event)}`;
      case 'step-output':
        return this.output(event, timeMs);
      case 'step-finished':
        return `${this.rest(event.step, timeMs)}#${event.step} ${verdict(event)}\n`;
      case 'warning':
        return `warning: ${event.rule === undefined ? '' : `${event.rule}: `}${event.message}${event.line === undefined ? '' : ` (line ${event.line})`}\n`;
      case 'message':
        return `${event.text}\n`;
      case 'finished':
        return finished(event);
      default:
        return event satisfies never;
    }
  }

  private output(event: Extract<BuildEvent, { type: 'step-output' }>, timeMs: number): string {
    const key = `${event.step} ${event.stream}`;
    const lines = ((this.partial.get(key) ?? '') + event.text).split('\n');
    this.partial.set(key, lines.pop() ?? '');
    return lines.map((line) => this.line(event.step, timeMs, line)).join('');
  }

  /** Output that ended without a newline. */
  private rest(step: number, timeMs: number): string {
    return ['stdout', 'stderr']
      .map((stream) => {
        const key = `${step} ${stream}`;
        const text = this.partial.get(key) ?? '';
        this.partial.delete(key);
        return text === '' ? '' : this.line(step, timeMs, text);
      })
      .join('');
  }

  private line(step: number, timeMs: number, text: string): string {
    const seconds = (timeMs - (this.started.get(step) ?? timeMs)) / 1000;
    return `#${step} ${seconds.toFixed(3)} ${text.replace(/\r$/, '')}\n`;
  }
}

function verdict(event: Extract<BuildEvent, { type: 'step-finished' }>): string {
  if (event.failed === true) return `ERROR after ${seconds(event.milliseconds)}`;
  if (event.cached) return `CACHED${event.importedFrom === undefined ? '' : ` from ${event.importedFrom}`}`;
  const layer = event.layerBytes === undefined ? '' : `, layer ${formatBytes(event.layerBytes)}`;
  return `DONE ${seconds(event.milliseconds)}${layer}`;
}

function why({ step, reason }: Extract<BuildEvent, { type: 'step-started' }>): string {
  return reason === undefined ? '' : `#${step} not cached: ${reason}\n`;
}

function finished(event: Extract<BuildEvent, { type: 'finished' }>): string {
  if (event.result !== undefined) {
    const tags = event.result.tags.map((tag) => `image ${tag} ${event.result?.digest ?? ''}\n`).join('');
    return `${tags === '' ? `image ${event.result.digest}\n` : tags}exit status 0\n`;
  }
  if (event.report !== undefined) return `${formatBuildReport(event.report)}exit status 0\n`;
  const said = event.error === undefined ? `build ${event.status}\n` : formatBuildError(event.error);
  return `${said}exit status 1\n`;
}

export function formatBuildError(error: BuildError): string {
  const at =
    error.file === undefined
      ? ''
      : `${error.file}${error.line === undefined ? '' : `:${error.line}`}${error.column === undefined ? '' : `:${error.column}`}: `;
  const hint = error.hint === undefined ? '' : `  ${error.hint}\n`;
  const place = error.message.startsWith(at) ? '' : at;
  return `ERROR ${error.code}: ${place}${error.message}\n${hint}`;
}

export function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)}s`;
}

function firstLine(text: string): string {
  const [line = '', ...more] = text.split('\n');
  return more.length === 0 ? line : `${line} …`;
}
