/** A command inside a running container that nobody talks to, as a health check is: run, waited for, and killed in time. */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../store/index.js';
import type { CommandResult } from '../host/host-command.js';
import { scopePaths } from '../host/host-scope.js';
import { configText, type OciRuntimeConfig } from '../process/runtime-config.js';
import type { HostScope } from '../types.js';
import type { RuntimeCalls } from './runtime-calls.js';

export interface ExecResult extends CommandResult {
  /** What the command wrote, at most 4 KiB, stdout before stderr. */
  readonly output: string;
}

const MAX_OUTPUT = 4096;
let count = 0;

/** As the container's user and with its environment; after `timeoutMs` it is killed and `timedOut` set. */
export async function execOnce(
  { scope, clock, runtime }: { readonly scope: HostScope; readonly clock: Clock; readonly runtime: RuntimeCalls },
  id: string,
  args: readonly string[],
  timeoutMs: number,
): Promise<ExecResult> {
  const bundle = scopePaths.supervisedBundle(scope, id);
  const config = JSON.parse(await readFile(join(bundle, 'config.json'), 'utf8')) as OciRuntimeConfig;
  const name = join(bundle, `exec-${clock.nowMs()}-${(count += 1)}`);
  await writeFile(`${name}.json`, configText({ ...config.process, args, terminal: false }), { mode: 0o600 });
  const deadline = new AbortController();
  const timer = clock.sleep(timeoutMs, deadline.signal).then(
    async () => {
      const pid = Number(await readFile(`${name}.pid`, 'utf8').catch(() => '0'));
      if (pid > 0) process.kill(pid, 'SIGKILL');
      return true;
    },
    () => false,
  );
  try {
    const flags = ['exec', '--process', `${name}.json`, '--pid-file', `${name}.pid`];
    const result = await runtime.askFor(id, timeoutMs + 5000, ...flags, id);
    deadline.abort();
    const timedOut = (await timer.catch(() => true)) || result.timedOut;
    return { ...result, timedOut, output: (result.stdout + result.stderr).slice(0, MAX_OUTPUT) };
  } finally {
    deadline.abort();
    await rm(`${name}.json`, { force: true });
    await rm(`${name}.pid`, { force: true });
  }
}
