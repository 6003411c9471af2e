/**
 * One execution environment of a function: a process that takes one event at a time, stands still between them, is
 * killed when its time is over, and whose lines go where CloudWatch would put them.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { createInterface } from 'node:readline';
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
}

/** Lambda gives a function so long to load; what takes longer is done again within its time-out. */
const INIT_MS = 10_000;
/** Of this machine, which is shared: only what hangs is to be caught. */
const INIT_GRACE = 12;

export class ExecutionEnvironment {
  private frozen = false;
  private readonly ended: Promise<void>;
  private hasEnded = false;

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
    const late = AbortSignal.timeout(INIT_MS * INIT_GRACE);
    const timedOut = new Promise<string>((resolve) => {
      late.addEventListener('abort', () => resolve(`not within ${(INIT_MS * INIT_GRACE) / 1000} s`), { once: true });
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
    const isBroken = 'errorType' in answer && /^(Sandbox\.|Runtime\.)/.test(answer.errorType);
    if (isBroken) await this.stop();
    else this.freeze();
    return answer;
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
  }

  private thaw(): void {
    if (this.frozen) this.child.kill('SIGCONT');
    this.frozen = false;
  }
}
