/** Programs that a benchmark starts: servers that are stopped by their id, and commands that are timed and bounded. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

export interface Spawned {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

const LONGEST_START_MS = 60_000;
const LONGEST_STOP_MS = 30_000;
const SAMPLE_MS = 20;

/** A server; it dies with the benchmark. */
export class Server {
  private constructor(
    readonly process: ChildProcess,
    readonly pid: number,
    private readonly log: string,
  ) {}

  /** @param log file that takes what it says; stdout stays with the caller when `reads` is set */
  static async start(
    command: readonly string[],
    log: string,
    options: Spawned & { readonly reads?: boolean } = {},
  ): Promise<Server> {
    const { reads, env, cwd } = options;
    const child = spawn('setpriv', ['--pdeathsig', 'TERM', ...command], {
      ...(cwd === undefined ? {} : { cwd }),
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const file = createWriteStream(log, { flags: 'a' });
    child.stderr.pipe(file, { end: false });
    if (reads !== true) child.stdout.pipe(file, { end: false });
    await once(child, 'spawn');
    if (child.pid === undefined) throw new Error(`${command[0]} has no process`);
    return new Server(child, child.pid, log);
  }

  /** @throws Error with the end of its log when it ends or says nothing for a minute */
  async ready(probe: () => Promise<boolean>, everyMs = 10): Promise<void> {
    const end = performance.now() + LONGEST_START_MS;
    while (!(await probe().catch(() => false))) {
      if (this.process.exitCode !== null || performance.now() > end) {
        const said = (await readFile(this.log, 'utf8')).split('\n').slice(-15).join('\n');
        await this.stop();
        throw new Error(`${this.process.spawnargs.join(' ')} did not start:\n${said}`);
      }
      await delay(everyMs);
    }
  }

  async stop(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const ended = once(this.process, 'exit');
    this.process.kill('SIGTERM');
    const late = setTimeout(() => this.process.kill('SIGKILL'), LONGEST_STOP_MS);
    await ended;
    clearTimeout(late);
  }

  /** Peak resident bytes of the process and of those it has now. */
  peakBytes(): number {
    return peakOf(this.pid);
  }

  /** Processor time of the process so far, in a hundredth of a second: what other load on the machine changes least. */
  cpuSeconds(): number {
    const stat = readFileSync(`/proc/${this.pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) / 100;
  }

  /** Bytes read from files and sockets by it and, as Linux counts, by all processes that it waited for: tar, RUN. */
  readBytes(): number {
    return Number(/^rchar: (\d+)$/m.exec(readFileSync(`/proc/${this.pid}/io`, 'utf8'))?.[1] ?? 0);
  }
}

export interface Timed {
  readonly seconds: number;
  /** Peak resident bytes of the command and its children, sampled. */
  readonly peakBytes: number;
  readonly stdout: string;
}

/** @throws Error with its last lines when it fails or takes longer than the limit */
export async function timed(
  command: readonly string[],
  options: Spawned & { readonly limitSeconds?: number } = {},
): Promise<Timed> {
  const { limitSeconds = 900, env, cwd } = options;
  const [program = '', ...args] = command;
  const started = performance.now();
  const child = spawn(program, args, {
    ...(cwd === undefined ? {} : { cwd }),
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const closed = once(child, 'close');
  const output: Record<'stdout' | 'stderr', string> = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => (output[name] += text));
  }
  let peakBytes = 0;
  const sampler = setInterval(() => (peakBytes = Math.max(peakBytes, peakOf(child.pid ?? 0))), SAMPLE_MS);
  const late = setTimeout(() => child.kill('SIGKILL'), limitSeconds * 1000);
  const [exitCode] = (await closed) as [number | null];
  const seconds = (performance.now() - started) / 1000;
  clearInterval(sampler);
  clearTimeout(late);
  if (exitCode === 0) return { seconds, peakBytes, stdout: output.stdout };
  const said = `${output.stdout}\n${output.stderr}`.trim().split('\n').slice(-12).join('\n');
  throw new Error(`${command.join(' ').slice(0, 300)}: exit code ${exitCode} after ${seconds.toFixed(1)} s\n${said}`);
}

export async function hasProgram(name: string): Promise<boolean> {
  const places = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  for (const place of places) {
    const found = await access(join(place, name), constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return true;
  }
  return false;
}

function peakOf(pid: number): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const own = Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
    return children === '' ? own : children.split(' ').reduce((sum, child) => sum + peakOf(Number(child)), own);
  } catch {
    return 0;
  }
}
