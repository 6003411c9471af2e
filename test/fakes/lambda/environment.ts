/**
 * One execution environment of a function: a process that takes one event at a time, stands still between them, is
 * killed when its time is over, and whose lines go where CloudWatch would put them.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { createInterface } from 'node:readline';
import { type ProcessUse, useOf } from './process-use.js';
import { type Answer, RuntimeApi } from './runtime-api.js';
import { sandboxed } from './sandbox.js';

export interface FunctionSettings {
  readonly name: string;
  /** Folder of the bundled code, as `cdk synth` leaves it. */
  readonly code: string;
  /** `file.member`. */
  readonly handler: string;
  readonly timeoutMs: number;
  readonly memoryMiB: number;
  /** Size of /tmp. */
  readonly scratchMiB: number;
  readonly environment: Readonly<Record<string, string>>;
  /**
   * How long it may take to load. Lambda gives 10 s, and does again within the time-out what takes longer; this machine is
   * shared, and only what hangs is to be caught. @default 120,000
   */
  readonly initMs?: number;
}

export class ExecutionEnvironment {
  private frozen = false;
  private readonly ended: Promise<void>;
  private hasEnded = false;
  /** Since the process began, as it was when it last stood still. */
  use: ProcessUse = { processorMs: 0, peakMiB: 0 };
  /** It has had no event yet. */
  isFresh = true;

  private constructor(
    private readonly settings: FunctionSettings,
    private readonly api: RuntimeApi,
    private readonly child: ChildProcess,
    private readonly log: (line: string) => void,
  ) {
    this.ended = new Promise((resolve) => child.once('close', () => resolve()));
    void this.ended.then(() => (this.hasEnded = true));
  }

  get isAlive(): boolean {
    return !this.hasEnded;
  }

  /** @throws with what the process said when the function cannot be loaded */
  static async start(settings: FunctionSettings, log: (line: string) => void): Promise<ExecutionEnvironment> {
    const api = new RuntimeApi();
    const address = await api.listen();
    const { command, args, taskRoot } = sandboxed(settings.code, settings.scratchMiB);
    const child = spawn(command, args, {
      env: {
        PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin',
        // Its user stands in the passwd file of Lambda's machines only.
        HOME: '/home/sbx_user1051',
        LANG: 'en_US.UTF-8',
        TZ: ':UTC',
        AWS_LAMBDA_RUNTIME_API: address,
        AWS_LAMBDA_FUNCTION_NAME: settings.name,
        AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
        AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(settings.memoryMiB),
        AWS_LAMBDA_LOG_GROUP_NAME: `/aws/lambda/${settings.name}`,
        AWS_LAMBDA_LOG_STREAM_NAME: randomUUID(),
        AWS_LAMBDA_INITIALIZATION_TYPE: 'on-demand',
        AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs',
        LAMBDA_TASK_ROOT: taskRoot,
        _HANDLER: settings.handler,
        ...settings.environment,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const environment = new ExecutionEnvironment(settings, api, child, log);
    const said: string[] = [];
    for (const stream of [child.stdout, child.stderr]) {
      if (stream === null) continue;
      createInterface({ input: stream }).on('line', (line) => {
        if (said.length < 50) said.push(line);
        log(line);
      });
    }
    await environment.initialise(said);
    return environment;
  }

  private async initialise(said: readonly string[]): Promise<void> {
    const { initMs = 120_000 } = this.settings;
    const late = AbortSignal.timeout(initMs);
    const timedOut = new Promise<string>((resolve) => {
      late.addEventListener('abort', () => resolve(`not within ${initMs / 1000} s`), { once: true });
    });
    const failure = await Promise.race([
      this.api.initialised.then((answer) => (answer === undefined ? undefined : JSON.stringify(answer))),
      this.ended.then(() => 'its process ended'),
      timedOut,
    ]);
    if (failure === undefined) return this.freeze();
    await this.stop();
    throw new Error(`${this.settings.name} does not start: ${failure}\n${said.join('\n')}`);
  }

  /** One event. @param timeoutMs what it has, and is told that it has */
  async invoke(payload: string, timeoutMs: number): Promise<Answer> {
    const id = randomUUID();
    this.isFresh = false;
    this.thaw();
    this.log(`START RequestId: ${id} Version: $LATEST`);
    const functionArn = `arn:aws:lambda:us-east-1:123456789012:function:${this.settings.name}`;
    const deadlineMs = Date.now() + timeoutMs;
    let timer: NodeJS.Timeout | undefined;
    const answer = await Promise.race([
      this.api.invoke({ id, payload, deadlineMs, functionArn }),
      this.ended.then((): Answer => ({
        errorType: 'Runtime.ExitError',
        message: `RequestId: ${id} Error: Runtime exited`,
      })),
      new Promise<Answer>((resolve) => {
        const seconds = (timeoutMs / 1000).toFixed(2);
        const message = `RequestId: ${id} Error: Task timed out after ${seconds} seconds`;
        timer = setTimeout(() => resolve({ errorType: 'Sandbox.Timedout', message }), timeoutMs);
      }),
    ]);
    clearTimeout(timer);
    this.api.abandon();
    this.log(`END RequestId: ${id}`);
    if (this.isAlive) this.freeze();
    const outcome = this.use.peakMiB > this.settings.memoryMiB ? outOfMemory(id) : answer;
    const isBroken = 'errorType' in outcome && /^(Sandbox\.|Runtime\.)/.test(outcome.errorType);
    if (isBroken) await this.stop();
    return outcome;
  }

  /** As when the machine under it is lost. */
  async stop(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.ended;
    await this.api.close();
  }

  private freeze(): void {
    this.frozen = true;
    this.child.kill('SIGSTOP');
    this.use = useOf(this.child.pid) ?? this.use;
  }

  private thaw(): void {
    if (this.frozen) this.child.kill('SIGCONT');
    this.frozen = false;
  }
}

/** Lambda kills at that moment; here it is seen when the event is over. */
function outOfMemory(id: string): Answer {
  return {
    errorType: 'Runtime.OutOfMemory',
    message: `RequestId: ${id} Error: Runtime exited with error: signal: killed`,
  };
}
