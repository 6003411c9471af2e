/** The `wharf` command: the process around `lib/cli`. The embedded platform is loaded only when it is started. */
import { constants } from 'node:os';
import { isatty } from 'node:tty';
import type { EmbeddedOptions, EngineStart, Terminal } from '../lib/cli/index.js';
import { ExitCode } from '../lib/cli/exit-code.js';
import { streamOutput } from '../lib/cli/output.js';
import { runCli } from '../lib/cli/program/index.js';
import { VERSION } from '../lib/host/version.js';
import type { Logger } from '../lib/store/index.js';
import { systemClock } from '../lib/store/system/clock-system.js';
import { jsonLogger } from '../lib/store/system/logger-json-system.js';
import { textLogger } from '../lib/store/system/logger-text-system.js';

const interruption = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  // A second Ctrl-C ends the process at once.
  process.once(signal, () => interruption.abort());
}

// Who reads no more wants no more, as `wharf logs web | head`: the end is that of a program which SIGPIPE ends. A server
// goes on.
let isServer = false;
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    if (!isServer) process.exit(128 + constants.signals.SIGPIPE);
  });
}

let isInputOpen = false;

// Should the process end before the command does.
process.exitCode = ExitCode.failure;
void runCli(process.argv.slice(2), {
  cwd: process.cwd(),
  env: process.env,
  output: streamOutput(process.stdout, process.stderr, process.env),
  stdin: { [Symbol.asyncIterator]: () => standardInput()[Symbol.asyncIterator]() },
  ...(isatty(0) ? { terminal: processTerminal() } : {}),
  clock: systemClock,
  interrupted: interruption.signal,
  version: VERSION,
  startEmbedded: async (options: EmbeddedOptions) => {
    const { startEmbedded } = await import('../lib/host/embedded/platform.js');
    const platform = await startEmbedded({ ...options, logger: await serverLogger() });
    const { startWriteThreads } = await import('../lib/store/write-threads.js');
    // Once the address is told.
    setImmediate(startWriteThreads);
    return platform;
  },
  takeDown: async (data: string) => {
    const { takeDown } = await import('../lib/host/embedded/take-down.js');
    return takeDown(data, systemClock);
  },
  startEngine: async (options: EngineStart) => {
    const { startEngine } = await import('../lib/host/embedded/engine-alone.js');
    return startEngine({ ...options, logger: await serverLogger() });
  },
}).then((exitCode) => {
  process.exitCode = exitCode;
  // A standard input that is still open must not keep a finished command alive.
  if (isInputOpen) process.stdin.destroy();
});

/** Opened when somebody wants it: that takes a while, and most commands never do. */
function standardInput(): typeof process.stdin {
  isInputOpen = true;
  return process.stdin;
}

/** For a process that stays: what it needs besides the server itself. */
async function serverLogger(): Promise<Logger> {
  isServer = true;
  // What containers see and write goes by it, and must not depend on who starts the server. What is private says so itself.
  process.umask(0o022);
  const { giveBackIdleMemory, keepHeapSmall } = await import('../lib/host/embedded/idle-memory.js');
  keepHeapSmall();
  giveBackIdleMemory();
  if (process.stderr.isTTY) return textLogger(process.stderr);
  return jsonLogger({ stream: process.stderr, clock: systemClock }, { level: 'warn' });
}

function processTerminal(): Terminal {
  return {
    size: () => ({ rows: process.stdout.rows || 24, columns: process.stdout.columns || 80 }),
    setRaw: (raw) => void standardInput().setRawMode(raw),
    onResize(listener) {
      process.stdout.on('resize', listener);
      return () => void process.stdout.removeListener('resize', listener);
    },
  };
}
