/**
 * A command inside a running container that somebody talks to while it runs, with or without a terminal. The runtime
 * makes a terminal only where it has one itself, and Node cannot make one: script(1) stands between and lends its own.
 */
import { spawn } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { AppError, errnoCode, startedProcess } from '../../errors/index.js';
import type { Clock } from '../../store/index.js';
import { HOST_PATH, runCommand } from '../host/host-command.js';
import { scopePaths } from '../host/host-scope.js';
import { runtimeOf } from '../oci-runtime/oci-runtime.js';
import { runcError, startFailure } from '../oci-runtime/runc.js';
import { configText, type OciRuntimeConfig } from '../process/runtime-config.js';
import type { HostScope } from '../types.js';

export interface TerminalSize {
  readonly rows: number;
  readonly columns: number;
}

export interface ExecOptions {
  readonly args: readonly string[];
  /** A terminal of this size; what the command writes is then one stream. */
  readonly terminal?: TerminalSize;
}

export interface ExecEnd {
  /** 128 + n when signal n ended it; 126 or 127 when it could not be started, as in a shell. */
  readonly exitCode: number;
  /** Why it could not be started. */
  readonly failure?: string;
}

export interface ExecSession {
  readonly stdin: Writable;
  readonly stdout: Readable;
  /** Nothing ever comes here with a terminal. */
  readonly stderr: Readable;
  /** Does nothing without a terminal. */
  resize(size: TerminalSize): Promise<void>;
  /** Resolves when the command has ended and all it wrote was handed on. */
  readonly ended: Promise<ExecEnd>;
  /** Hangs up, and kills what does not go. Does nothing once it has ended. */
  kill(): Promise<void>;
}

const KILL_AFTER_MS = 2000;
const POLL_MS = 10;
let sessionCount = 0;

/** @throws AppError CONTAINER_NOT_RUNNING */
export async function openExecSession(
  deps: { readonly scope: HostScope; readonly clock: Clock },
  id: string,
  options: ExecOptions,
): Promise<ExecSession> {
  const bundle = scopePaths.supervisedBundle(deps.scope, id);
  const text = await readFile(join(bundle, 'config.json'), 'utf8').catch((error: unknown) => {
    if (errnoCode(error) === 'ENOENT') throw notRunning(id);
    throw error;
  });
  const { process: own } = JSON.parse(text) as OciRuntimeConfig;
  const file = join(bundle, `session-${deps.clock.nowMs()}-${(sessionCount += 1)}`);
  const terminal = options.terminal !== undefined;
  const env = terminal && !own.env.some((entry) => entry.startsWith('TERM=')) ? ['TERM=xterm', ...own.env] : own.env;
  // crun reads the first size here, and takes no other from its own terminal.
  const consoleSize = options.terminal && { height: options.terminal.rows, width: options.terminal.columns };
  const document = { ...own, env, args: options.args, terminal, ...(consoleSize === undefined ? {} : { consoleSize }) };
  await writeFile(`${file}.json`, configText(document), { mode: 0o600 });
  const runtime = runtimeOf(deps.scope, id) ?? 'runc';
  const flags = ['--root', scopePaths.runtimeRoot(deps.scope, runtime), '--log', `${file}.log`, '--log-format', 'json'];
  const exec = [runtime, ...flags, 'exec', '--process', `${file}.json`, '--pid-file', `${file}.pid`, id];
  const [program = '', ...args] = options.terminal === undefined ? exec : inTerminal(exec, file, options.terminal);
  const child = startedProcess(
    spawn(program, args, {
      env: { PATH: HOST_PATH, SHELL: '/bin/sh' },
      stdio: ['pipe', 'pipe', 'pipe'],
    }),
  );
  // A command that ends without reading its input is no failure of ours.
  child.stdin.on('error', () => undefined);
  const exit = new Promise<number>((resolve) => {
    child.once('error', () => resolve(127));
    child.once('close', (code) => resolve(code ?? 137));
  });
  const ended = exit.then(async (exitCode): Promise<ExecEnd> => {
    const said = await runcError(`${file}.log`);
    for (const suffix of ['json', 'pid', 'log', 'tty']) await rm(`${file}.${suffix}`, { force: true });
    if (said === undefined) return { exitCode };
    const failure = startFailure(id, said);
    return { exitCode: failure.details['cause'] === undefined ? 126 : 127, failure: failure.message };
  });
  // The runtime notes the process a moment after it has started it. While the note is there, the number is its own.
  const readPid = async (): Promise<number> => Number(await readFile(`${file}.pid`, 'utf8').catch(() => '0'));
  return {
    stdin: child.stdin,
    stdout: child.stdout,
    stderr: child.stderr,
    ended,
    async resize({ rows, columns }) {
      const tty = (await readFile(`${file}.tty`, 'utf8').catch(() => '')).trim();
      if (/^\/dev\/pts\/\d+$/.test(tty)) await runCommand('stty', ['-F', tty, ...sizeWords({ rows, columns })]);
      if (runtime === 'runc') return;
      const pid = await readPid();
      if (pid > 0) await runCommand('stty', ['-F', `/proc/${pid}/fd/0`, ...sizeWords({ rows, columns })]);
    },
    async kill() {
      const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null;
      let pid = 0;
      for (let waitedMs = 0; waitedMs < KILL_AFTER_MS; waitedMs += POLL_MS) {
        pid = await readPid();
        if (pid > 0 || hasEnded()) break;
        await deps.clock.sleep(POLL_MS);
      }
      if (hasEnded()) return;
      signalProcess(pid, 'SIGHUP');
      if (await endsWithin(deps.clock, ended, KILL_AFTER_MS)) return;
      signalProcess(pid, 'SIGKILL');
      // The runtime sees the end and goes as well; where there was nothing to see it is ended itself.
      if (!(await endsWithin(deps.clock, ended, KILL_AFTER_MS))) child.kill('SIGKILL');
      await ended;
    },
  };
}

async function endsWithin(clock: Clock, ended: Promise<unknown>, ms: number): Promise<boolean> {
  const waiting = new AbortController();
  const late = clock.sleep(ms, waiting.signal).then(
    () => false,
    () => false,
  );
  return Promise.race([ended.then(() => true), late]).finally(() => waiting.abort());
}

function notRunning(id: string): AppError {
  return new AppError('CONTAINER_NOT_RUNNING', `container ${id} does not run`, { kind: 'conflict' });
}

/** The command line in a terminal that echoes nothing itself and has the size from the start. */
function inTerminal(command: readonly string[], file: string, size: TerminalSize): readonly string[] {
  const words = command.map(quoted).join(' ');
  const script = `tty >${quoted(`${file}.tty`)}; stty raw -echo ${sizeWords(size).join(' ')}; exec ${words}`;
  return ['script', '--quiet', '--flush', '--return', '--command', script, '/dev/null'];
}

function sizeWords({ rows, columns }: TerminalSize): readonly string[] {
  return ['rows', String(Math.trunc(rows)), 'cols', String(Math.trunc(columns))];
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

function signalProcess(pid: number, signal: 'SIGHUP' | 'SIGKILL'): void {
  if (pid <= 0) return;
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (errnoCode(error) !== 'ESRCH') throw error;
  }
}
