/** The `wharf` command: the process around `lib/cli`. The embedded platform is loaded only when it is started. */
import type { EmbeddedOptions, EngineStart, Terminal } from '../lib/cli/index.js';
import { streamOutput } from '../lib/cli/output.js';
import { runCli } from '../lib/cli/program/index.js';
import { giveBackIdleMemory } from '../lib/host/embedded/idle-memory.js';
import { VERSION } from '../lib/host/version.js';
import { systemClock } from '../lib/store/system/clock-system.js';
import { jsonLogger } from '../lib/store/system/logger-json-system.js';

const interruption = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  // A second Ctrl-C ends the process at once.
  process.once(signal, () => interruption.abort());
}

process.exitCode = await runCli(process.argv.slice(2), {
  cwd: process.cwd(),
  env: process.env,
  output: streamOutput(process.stdout, process.stderr, process.env),
  stdin: process.stdin,
  ...(process.stdin.isTTY ? { terminal: processTerminal() } : {}),
  clock: systemClock,
  interrupted: interruption.signal,
  version: VERSION,
  startEmbedded: async (options: EmbeddedOptions) => {
    const { startEmbedded } = await import('../lib/host/embedded/platform.js');
    giveBackIdleMemory();
    const logger = jsonLogger({ stream: process.stderr, clock: systemClock }, { level: 'warn' });
    return startEmbedded({ ...options, logger });
  },
  startEngine: async (options: EngineStart) => {
    const { startEngine } = await import('../lib/host/embedded/engine-alone.js');
    giveBackIdleMemory();
    const logger = jsonLogger({ stream: process.stderr, clock: systemClock }, { level: 'warn' });
    return startEngine({ ...options, logger });
  },
});

// A standard input that is still open must not keep a finished command alive.
process.stdin.destroy();

function processTerminal(): Terminal {
  return {
    size: () => ({ rows: process.stdout.rows || 24, columns: process.stdout.columns || 80 }),
    setRaw: (raw) => void process.stdin.setRawMode(raw),
    onResize(listener) {
      process.stdout.on('resize', listener);
      return () => void process.stdout.removeListener('resize', listener);
    },
  };
}
