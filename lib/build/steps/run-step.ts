/** RUN: hands the command to the sandbox, passes its output on, and says in one sentence how it failed. */
import { StringDecoder } from 'node:string_decoder';
import { AppError } from '../../errors/index.js';
import type { ImageTree, TarMember } from '../../layers/index.js';
import type { Clock } from '../../store/index.js';
import type { EmitEvent } from '../build-log.js';
import type { RedactedStream, Redaction } from '../redaction.js';
import type { BuildProxy } from '../proxy/build-proxy.js';
import type { ProxyCapture } from '../proxy/proxy-capture.js';
import type { Sandbox, SandboxMount, SandboxRequest } from '../sandbox/sandbox.js';
import type { Layer, RunOp, Step } from '../plan/steps.js';

export interface RunInput {
  readonly step: Step & { readonly op: RunOp };
  readonly sandbox: Sandbox;
  readonly runId: string;
  readonly layers: readonly Layer[];
  readonly lower: ImageTree;
  readonly mounts: readonly SandboxMount[];
  /** `NAME=value` for an ssh agent; not part of the step, since an agent is not. */
  readonly agentEnv: readonly string[];
  readonly secretEnv: ReadonlyMap<string, string>;
  readonly redaction: Redaction;
  /** The command's only way out, and what is seen there. */
  readonly proxied?: { readonly proxy: BuildProxy; readonly capture: ProxyCapture };
  readonly timeSeconds: number;
  readonly keeps: SandboxRequest['keeps'];
  /** How long the command may take; as long as it wants when absent. */
  readonly limit?: { readonly clock: Clock; readonly timeoutMs: number };
  readonly emit: EmitEvent;
  readonly signal: AbortSignal;
}

/** @throws AppError BUILD_RUN_FAILED, without a place */
export async function runStep<T extends Pick<Layer, 'diffId'>>(
  input: RunInput,
  collect: (changes: AsyncIterable<TarMember>) => Promise<T>,
): Promise<T> {
  const { step, sandbox } = input;
  const { op } = step;
  const output = new StepOutput(step.number, input.emit, input.redaction);
  const deadline = new Deadline(step, input.limit);
  const script: SandboxMount[] =
    op.script === undefined
      ? []
      : [{ type: 'file', target: `/dev/pipes/${op.script.name}`, content: op.script.content, mode: 0o755 }];
  try {
    const result = await sandbox.run(
      {
        id: input.runId,
        layers: input.layers,
        lower: input.lower,
        process: { args: op.args, env: [...op.env, ...op.hiddenEnv, ...input.agentEnv], user: op.user, cwd: op.cwd },
        ...(input.secretEnv.size === 0 ? {} : { secretEnv: input.secretEnv }),
        network: op.network,
        ...(input.proxied === undefined ? {} : { proxy: input.proxied.proxy }),
        security: op.security,
        ...(op.hostname === undefined ? {} : { hostname: op.hostname }),
        ...(op.settings === undefined ? {} : { settings: op.settings }),
        mounts: [...input.mounts, ...script],
        timeSeconds: input.timeSeconds,
        ...(step.epochSeconds === undefined ? {} : { clampSeconds: step.epochSeconds }),
        keeps: input.keeps,
        onOutput: output.write,
        signal: deadline.signal(input.signal),
      },
      collect,
    );
    output.end();
    await tellRequests(input, output);
    if ('value' in result) return result.value;
    throw failed(step, result.exitCode, result.outOfMemory, output);
  } catch (error) {
    output.end();
    if (!(error instanceof AppError) || error.code !== 'CONTAINER_START_FAILED') throw error;
    throw new AppError('BUILD_RUN_FAILED', `${shown(step)} could not be started: ${error.message}`, {
      kind: 'failed',
      cause: error,
      ...(error.hint === undefined ? {} : { hint: error.hint }),
    });
  } finally {
    await input.proxied?.proxy.close();
    deadline.end();
  }
}

/** As BuildKit tells it, with the reason where there was no answer. */
async function tellRequests({ proxied }: RunInput, output: StepOutput): Promise<void> {
  await proxied?.proxy.close();
  const requests = proxied?.capture.requests ?? [];
  const lines = requests.map(
    ({ method, url, status, why }) => `- ${method} ${url} -> ${status}${why === undefined ? '' : `: ${why}`}\n`,
  );
  if (lines.length > 0) output.note(`proxy network requests:\n${lines.join('')}`);
}

/** Ends a command that takes too long. */
class Deadline {
  private readonly passed = new AbortController();
  private readonly ended = new AbortController();

  constructor(step: Step, limit: RunInput['limit']) {
    if (limit === undefined) return;
    limit.clock.sleep(limit.timeoutMs, this.ended.signal).then(
      () => {
        const message = `${shown(step)} did not end within ${limit.timeoutMs / 1000} s`;
        const hint = 'whoever runs this builder sets the time limit of a step';
        this.passed.abort(new AppError('BUILD_RUN_TIMEOUT', message, { kind: 'failed', hint }));
      },
      () => undefined,
    );
  }

  signal(other: AbortSignal): AbortSignal {
    return AbortSignal.any([other, this.passed.signal]);
  }

  end(): void {
    this.ended.abort();
  }
}

function failed(step: Step, exitCode: number, outOfMemory: boolean, output: StepOutput): AppError {
  const why = outOfMemory ? `ran out of memory (exit code ${exitCode})` : `failed with exit code ${exitCode}`;
  const last = output.lastWord();
  return new AppError('BUILD_RUN_FAILED', `${shown(step)} ${why}${last === undefined ? '' : `: ${last}`}`, {
    kind: 'failed',
    details: { exitCode, output: output.tail() },
    ...(outOfMemory ? { hint: 'give builds more memory, or let the command use less' } : {}),
  });
}

function shown(step: Step): string {
  const line = step.instruction.replace(/\s+/g, ' ');
  return line.length > 120 ? `${line.slice(0, 120)}…` : line;
}

/** As BuildKit: a step that says more is not listened to any longer. */
const MAX_CHARACTERS = 2 * 1024 * 1024;
const TAIL_LINES = 20;
const TAIL_CHARACTERS = 4096;

/** Output as events, and its last lines for the error. */
class StepOutput {
  private readonly decoders = { stdout: new StringDecoder('utf8'), stderr: new StringDecoder('utf8') };
  private characters = 0;
  private last = '';
  /** By stream: which of the two pipes is read first is chance. */
  private readonly lastOf = { stdout: '', stderr: '' };

  private readonly streams: { readonly stdout: RedactedStream; readonly stderr: RedactedStream };

  constructor(
    private readonly step: number,
    private readonly emit: EmitEvent,
    redaction: Redaction,
  ) {
    this.streams = { stdout: redaction.stream(), stderr: redaction.stream() };
  }

  readonly write = (stream: 'stdout' | 'stderr', chunk: Buffer): void => {
    this.say(stream, this.streams[stream].write(this.decoders[stream].write(chunk)));
  };

  end(): void {
    for (const stream of ['stdout', 'stderr'] as const) {
      const rest = this.streams[stream].write(this.decoders[stream].end());
      this.say(stream, rest + this.streams[stream].end());
    }
  }

  tail(): string[] {
    return linesOf(this.last).slice(-TAIL_LINES);
  }

  /** The line that most likely says why a command failed. */
  lastWord(): string | undefined {
    return linesOf(this.lastOf.stderr).at(-1) ?? linesOf(this.lastOf.stdout).at(-1);
  }

  /** Of ours, behind what the command said, and never the reason that it failed. */
  note(text: string): void {
    this.tell('stderr', text);
  }

  private say(stream: 'stdout' | 'stderr', text: string): void {
    if (text === '') return;
    this.lastOf[stream] = (this.lastOf[stream] + text).slice(-TAIL_CHARACTERS);
    this.tell(stream, text);
  }

  private tell(stream: 'stdout' | 'stderr', text: string): void {
    this.last = (this.last + text).slice(-TAIL_CHARACTERS);
    const before = this.characters;
    this.characters += text.length;
    if (before < MAX_CHARACTERS) this.emit({ type: 'step-output', step: this.step, stream, text });
    if (before < MAX_CHARACTERS && this.characters >= MAX_CHARACTERS) {
      const note = `\n[output clipped, log limit ${MAX_CHARACTERS / 1024 / 1024} MiB reached]\n`;
      this.emit({ type: 'step-output', step: this.step, stream: 'stderr', text: note });
    }
  }
}

function linesOf(text: string): string[] {
  return text.split(/[\r\n]+/).filter((line) => line.trim() !== '');
}
