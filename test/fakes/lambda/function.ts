/**
 * A Lambda function: as many execution environments as events come at once, up to its reserved concurrency. One that
 * timed out or died is not used again; the next event starts another.
 */
import { ExecutionEnvironment, type FunctionSettings } from './environment.js';
import { type Answer, LAMBDA_PAYLOAD_BYTES } from './runtime-api.js';

/** What one event took of its environment. */
export interface InvocationUse {
  /** What the start of the environment took, where one was started for it. */
  readonly startMs: number | undefined;
  readonly processorMs: number;
  /** Of the environment, until then. */
  readonly peakMiB: number;
}

/** Why an invocation gave no result, under the name that Lambda has for it. */
export class InvocationError extends Error {
  constructor(
    readonly type: string,
    message: string,
    readonly trace = '',
  ) {
    super(`${type}: ${message}`);
  }
}

export interface FunctionOptions {
  /** @default 100 */
  readonly concurrency?: number;
}

export interface InvokeOptions {
  /** Less than the function's own time-out, to see what it does when it runs out. */
  readonly timeoutMs?: number;
}

export class LambdaFunction {
  /** Every line that any environment wrote, oldest first. */
  readonly lines: string[] = [];
  /** Those that have ended, oldest first; of one that died what was known before. */
  readonly uses: InvocationUse[] = [];
  private readonly idle: ExecutionEnvironment[] = [];
  private readonly busy = new Set<ExecutionEnvironment>();
  private starting = 0;
  /** Environments started so far: cold starts. */
  coldStarts = 0;

  constructor(
    readonly settings: FunctionSettings,
    private readonly options: FunctionOptions = {},
  ) {}

  /**
   * @throws InvocationError: what the handler threw, Sandbox.Timedout, Runtime.ExitError, Runtime.OutOfMemory,
   * TooManyRequestsException, RequestTooLargeException, Function.ResponseSizeTooLarge
   */
  async invoke<T>(event: unknown, options: InvokeOptions = {}): Promise<T> {
    const payload = JSON.stringify(event);
    if (Buffer.byteLength(payload) > LAMBDA_PAYLOAD_BYTES) {
      throw new InvocationError('RequestTooLargeException', `${Buffer.byteLength(payload)} bytes of request`);
    }
    const environment = await this.take();
    const { use: before, isFresh } = environment;
    let answer: Answer;
    try {
      answer = await environment.invoke(payload, options.timeoutMs ?? this.settings.timeoutMs);
    } finally {
      this.busy.delete(environment);
      const { processorMs, peakMiB } = environment.use;
      const startMs = isFresh ? before.processorMs : undefined;
      this.uses.push({ startMs, processorMs: processorMs - before.processorMs, peakMiB });
      if (environment.isAlive) this.idle.push(environment);
    }
    if ('payload' in answer) return JSON.parse(answer.payload) as T;
    throw new InvocationError(answer.errorType, answer.message, answer.trace);
  }

  /** Kills every environment, busy ones at whatever they do. @returns how many had work */
  async kill(): Promise<number> {
    const working = this.busy.size;
    const all = [...this.idle.splice(0), ...this.busy];
    await Promise.all(all.map((environment) => environment.stop()));
    return working;
  }

  async close(): Promise<void> {
    await this.kill();
  }

  private async take(): Promise<ExecutionEnvironment> {
    const waiting = this.idle.pop();
    if (waiting !== undefined) {
      this.busy.add(waiting);
      return waiting;
    }
    const { concurrency = 100 } = this.options;
    if (this.busy.size + this.starting >= concurrency) {
      throw new InvocationError('TooManyRequestsException', `${concurrency} executions run already`);
    }
    this.starting += 1;
    try {
      const environment = await ExecutionEnvironment.start(this.settings, (line) => this.lines.push(line));
      this.coldStarts += 1;
      this.busy.add(environment);
      return environment;
    } finally {
      this.starting -= 1;
    }
  }
}
