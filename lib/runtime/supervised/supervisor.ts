/**
 * The supervisor of a container: one conmon each, which holds the container's output, writes its log and records its
 * exit code. It belongs to nobody, so it outlives whoever started it.
 */
import { watch } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../store/index.js';
import { mustRun, runCommand } from '../host/host-command.js';
import { scopePaths } from '../host/host-scope.js';
import { textNow } from '../host/files-now.js';
import type { OciRuntime } from '../oci-runtime/oci-runtime.js';
import { runcError, startFailure } from '../oci-runtime/runc.js';
import type { HostScope } from '../types.js';

/** How a container is held by its supervisor. */
export interface Manner {
  readonly terminal: boolean;
  /** Whether standard input stays open. */
  readonly stdin: boolean;
}

export interface SupervisorOptions {
  /** What makes containers; `runc` when absent. Those that the other one made are looked after all the same. */
  readonly ociRuntime?: OciRuntime;
  /** One file of a log that grows beyond this many bytes before it is put away is begun anew; 64 MiB when absent. */
  readonly maxLogBytes?: number;
}

const DEFAULT_LOG_BYTES = 64 * 1024 * 1024;
/** How long the runtime may take to set a container up. */
const CREATE_MS = 60_000;
/** How often it is looked whether the supervisor lives, and the container stands, without a sign of it. */
const LOOK_MS = 50;

export class Supervisor {
  constructor(
    private readonly deps: { readonly scope: HostScope; readonly clock: Clock },
    private readonly options: SupervisorOptions,
  ) {}

  /**
   * Starts conmon, which daemonises, and waits until the container stands. Nothing connects the two of us but files:
   * conmon gives up when a pipe to its maker breaks, and its maker may be killed at any moment.
   */
  async launch(id: string, bundle: string, manner: Manner): Promise<number> {
    const pidFile = join(bundle, 'pid');
    const errors = join(bundle, 'conmon.log');
    const flags = await this.flags(id, bundle);
    if (manner.terminal) flags.push('-t');
    if (manner.stdin) flags.push('-i', '--leave-stdin-open');
    let [wake, alive] = [new AbortController(), true];
    const watcher = watch(bundle, { persistent: false }, (_, name) => name === 'pid' && wake.abort());
    // A lost watch is no loss: it is also looked from time to time.
    watcher.on('error', () => watcher.close());
    try {
      await this.spawn(flags, bundle, errors);
      for (let waitedMs = 0; waitedMs < CREATE_MS; waitedMs += LOOK_MS) {
        wake = new AbortController();
        alive = await this.has(id);
        const pid = Number(textNow(pidFile));
        if (pid > 0) return pid;
        if (!alive) break;
        await this.deps.clock.sleep(LOOK_MS, wake.signal).catch(() => undefined);
      }
    } finally {
      watcher.close();
    }
    const said = (await readFile(errors, 'utf8').catch(() => '')).trim();
    const reason = (await runcError(join(bundle, 'runc.log'))) ?? said;
    if (reason !== '') throw startFailure(id, reason);
    const how = alive ? `made no container within ${CREATE_MS / 1000} s` : 'ended, or never began, without a word';
    throw startFailure(id, `the supervisor ${how}`);
  }

  private async flags(id: string, bundle: string): Promise<string[]> {
    const { scope } = this.deps;
    const { ociRuntime: runtime = 'runc' } = this.options;
    const flags = ['--api-version', '1', '-c', id, '-u', id, '-r', await programPath(runtime), '-b', bundle];
    flags.push(...(await syncFlags()));
    flags.push('-p', join(bundle, 'pid'), '-P', join(bundle, 'conmon.pid'));
    flags.push('-l', `k8s-file:${scopePaths.log(scope, id)}`, '--log-level', 'error');
    flags.push('--log-size-max', String(this.options.maxLogBytes ?? DEFAULT_LOG_BYTES));
    flags.push('--exit-dir', scopePaths.exits(scope), '--persist-dir', bundle);
    flags.push('--socket-dir-path', scopePaths.sockets(scope));
    const log = ['--log', join(bundle, 'runc.log'), '--log-format', 'json'];
    for (const flag of ['--root', scopePaths.runtimeRoot(scope, runtime), ...log]) flags.push('--runtime-arg', flag);
    return flags;
  }

  /** Resolves when conmon has gone into the background. */
  private async spawn(flags: readonly string[], bundle: string, errors: string): Promise<void> {
    await runCommand('conmon', flags, { cwd: bundle, errorsTo: errors });
  }

  /** Whether the container has a supervisor that lives. */
  async has(id: string): Promise<boolean> {
    return (await this.pid(id)) !== undefined;
  }

  /** Of conmon, if it lives: a zombie and a stranger with the same number do not count. */
  private async pid(id: string): Promise<number | undefined> {
    const file = join(scopePaths.supervisedBundle(this.deps.scope, id), 'conmon.pid');
    const pid = Number(textNow(file));
    if (pid <= 0) return undefined;
    const commandLine = textNow(`/proc/${pid}/cmdline`);
    return commandLine.includes('conmon') && commandLine.split('\0').includes(id) ? pid : undefined;
  }
}

let knownSyncFlags: Promise<readonly string[]> | undefined;

/** A log need not be on disk before the exit code is told. Older ones cannot be told so, and ask the disk to wait. */
function syncFlags(): Promise<readonly string[]> {
  const flag = '--no-sync-log';
  knownSyncFlags ??= runCommand('conmon', ['--help']).then(({ stdout }) => (stdout.includes(flag) ? [flag] : []));
  return knownSyncFlags;
}

const programs = new Map<string, string>();

/** conmon wants the runtime's absolute path. */
async function programPath(name: string): Promise<string> {
  const known = programs.get(name);
  if (known !== undefined) return known;
  const path = (await mustRun('sh', ['-c', 'command -v -- "$0"', name])).stdout.trim();
  programs.set(name, path);
  return path;
}
