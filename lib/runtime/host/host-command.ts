/**
 * Runs a program of the host (mount, ip, iptables, runc, a CNI plugin) and hands back what it said. The environment
 * is fixed rather than inherited, so that nothing of the caller's leaks into a container's surroundings.
 */
import { AppError } from '../../errors/index.js';
import { HostShell } from './host-shell.js';

export const HOST_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export interface CommandOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Written to standard input, which is empty otherwise. */
  readonly input?: string;
  /** SIGKILL when it aborts. */
  readonly signal?: AbortSignal;
  /** SIGKILL after so many milliseconds; 60 s when absent. */
  readonly timeoutMs?: number;
  /** A file that gets what it writes to standard error, at its end; what it writes to standard output is dropped. */
  readonly errorsTo?: string;
}

export interface CommandResult {
  /** 128 + n for a program ended by signal n. */
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly timedOut: boolean;
}

const DEFAULT_MS = 60_000;
/** As many commands go on side by side as are asked for; so many shells wait for the next one, and so long. */
const IDLE_SHELLS = 8;
const IDLE_MS = 10_000;
const idle: { readonly shell: HostShell; readonly goes: NodeJS.Timeout }[] = [];

/** @throws AppError HOST_TOOL_MISSING when there is no such program; any exit code is a return value. */
export async function runCommand(
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const shell = takeShell();
  let timedOut = false;
  const kill = (): void => shell.kill();
  const timer = setTimeout(() => {
    timedOut = true;
    kill();
  }, options.timeoutMs ?? DEFAULT_MS);
  options.signal?.addEventListener('abort', kill, { once: true });
  try {
    const said = shell.run([program, ...args], options);
    if (options.signal?.aborted === true) kill();
    const result = await said;
    if (result.exitCode === 127 && MISSING.test(result.stderr)) throw missing(program, result.stderr.trim());
    return { ...result, timedOut };
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', kill);
    keepShell(shell);
  }
}

/** The one that was used last: what is needed seldom has its time to go. */
function takeShell(): HostShell {
  for (let kept = idle.pop(); kept !== undefined; kept = idle.pop()) {
    clearTimeout(kept.goes);
    if (kept.shell.isReady) return kept.shell;
  }
  return new HostShell({ PATH: HOST_PATH, LC_ALL: 'C' });
}

function keepShell(shell: HostShell): void {
  if (idle.length >= IDLE_SHELLS || !shell.isReady) return shell.end();
  // The first is the one that has waited longest.
  const goes = setTimeout(() => idle.shift()?.shell.end(), IDLE_MS).unref();
  idle.push({ shell, goes });
}

/** How the shell that starts it says that there is no such program; one that it started calls itself otherwise. */
const MISSING = /^\/bin\/sh: .*not found$/m;

function missing(program: string, said: string): AppError {
  return new AppError('HOST_TOOL_MISSING', `cannot run ${program}: ${said}`, {
    kind: 'unavailable',
    hint: 'scripts/setup.sh installs the host programs; on Debian: apt-get install runc conmon containernetworking-plugins iproute2 iptables',
    retryable: false,
  });
}

/** @throws AppError HOST_COMMAND_FAILED, with what the program said, when it does not exit with 0 */
export async function mustRun(
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const result = await runCommand(program, args, options);
  if (result.exitCode === 0) return result;
  const said = (result.stderr.trim() || result.stdout.trim()).slice(0, 2000);
  throw new AppError(
    'HOST_COMMAND_FAILED',
    `${program} ${args.join(' ').slice(0, 400)}: ${result.timedOut ? 'took too long' : `exit ${result.exitCode}`}${said === '' ? '' : `: ${said}`}`,
    { kind: 'failed', details: { program, exitCode: result.exitCode } },
  );
}

/** The numbers of the signals a container is stopped with or dies by, the same on every Linux Wharf runs on. */
const SIGNALS: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGILL: 4,
  SIGTRAP: 5,
  SIGABRT: 6,
  SIGBUS: 7,
  SIGFPE: 8,
  SIGKILL: 9,
  SIGUSR1: 10,
  SIGSEGV: 11,
  SIGUSR2: 12,
  SIGPIPE: 13,
  SIGALRM: 14,
  SIGTERM: 15,
  SIGSTKFLT: 16,
  SIGCHLD: 17,
  SIGCONT: 18,
  SIGSTOP: 19,
  SIGTSTP: 20,
  SIGTTIN: 21,
  SIGTTOU: 22,
  SIGURG: 23,
  SIGXCPU: 24,
  SIGXFSZ: 25,
  SIGVTALRM: 26,
  SIGPROF: 27,
  SIGWINCH: 28,
  SIGIO: 29,
  SIGPWR: 30,
  SIGSYS: 31,
};

/**
 * A stop signal as images name it (`SIGTERM`, `term`, `15`, `SIGRTMIN+3`), as a number.
 * @throws AppError SIGNAL_INVALID
 */
export function parseSignal(text: string): number {
  const upper = text.trim().toUpperCase();
  if (/^\d+$/.test(upper) && Number(upper) >= 1 && Number(upper) <= 64) return Number(upper);
  const name = upper.startsWith('SIG') ? upper : `SIG${upper}`;
  const known = SIGNALS[name];
  if (known !== undefined) return known;
  const realtime = /^SIGRT(MIN|MAX)(?:([+-])(\d+))?$/.exec(name);
  if (realtime !== null) {
    const offset = realtime[3] === undefined ? 0 : Number(`${realtime[2] ?? '+'}${realtime[3]}`);
    const number = (realtime[1] === 'MIN' ? 34 : 64) + offset;
    if (number >= 34 && number <= 64) return number;
  }
  throw new AppError('SIGNAL_INVALID', `${JSON.stringify(text)} is not a signal`, {
    hint: 'a name such as SIGTERM or SIGQUIT, or a number from 1 to 64',
  });
}
