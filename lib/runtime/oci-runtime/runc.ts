/**
 * Runc: containers in the foreground, for build steps. The container is ours from start to end: output streams to the
 * caller, an abort kills its whole cgroup, and nothing of it is left behind, however it ended.
 */
import { spawn } from 'node:child_process';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError, startedProcess } from '../../errors/index.js';
import type { Clock } from '../../store/index.js';
import { removeBundle, writeBundle } from '../process/bundle.js';
import { destroyCgroup, oomKills } from '../cgroup/cgroup.js';
import { HOST_PATH, runCommand } from '../host/host-command.js';
import { scopePaths } from '../host/host-scope.js';
import { ensureMemory } from '../host/scope-memory.js';
import { rememberMountStubs } from '../root/mount-stubs.js';
import { checkRuntime, type RuntimeVerdict } from './oci-runtime-version.js';
import type { ContainerSpec, HostScope } from '../types.js';

export interface RunOptions {
  /** Bytes as the container wrote them. */
  readonly onOutput: (stream: 'stdout' | 'stderr', chunk: Buffer) => void;
  /** Kills the container; the run then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Of the container, for its hosts file. */
  readonly address?: string;
}

export interface RunResult {
  /** 128 + n when signal n ended the process. */
  readonly exitCode: number;
  /** Whether the kernel killed a process of the container for its memory limit. */
  readonly outOfMemory: boolean;
}

export class Runc {
  private constructor(
    readonly scope: HostScope,
    readonly verdict: RuntimeVerdict,
    private readonly clock: Clock,
  ) {}

  /** @throws AppError RUNC_TOO_OLD, HOST_TOOL_MISSING */
  static async open(deps: { readonly scope: HostScope; readonly clock: Clock }): Promise<Runc> {
    return new Runc(deps.scope, await checkRuntime('runc'), deps.clock);
  }

  /**
   * Runs a container to its end. The root must be mounted; what the runtime adds to it as mount points is removed again,
   * but for /dev, /proc and /sys: BuildKit leaves these, and who stands on the layer needs them anyway.
   * @throws AppError CONTAINER_START_FAILED when the process could not be started (no such program, no such user)
   */
  async run(spec: ContainerSpec, options: RunOptions): Promise<RunResult> {
    options.signal?.throwIfAborted();
    const { scope } = this;
    await ensureMemory(scope);
    await mkdir(scopePaths.runtimeRoot(scope, 'runc'), { recursive: true, mode: 0o700 });
    const directory = scopePaths.bundle(scope, spec.id);
    try {
      const bundle = await writeBundle(scope, directory, spec, options.address);
      const destinations = bundle.config.mounts.map(({ destination }) => destination).filter(leavesStub);
      const removeStubs = await rememberMountStubs(spec.rootfs, destinations);
      try {
        const exitCode = await this.foreground(spec.id, bundle.directory, options);
        const outOfMemory = (await oomKills(scope, spec.id)) > 0;
        return { exitCode, outOfMemory };
      } finally {
        await this.delete(spec.id);
        await removeStubs();
      }
    } finally {
      await removeBundle(scope, directory, spec.id);
    }
  }

  /** Kills and removes a container with everything in its cgroup; fine when there is none. */
  async delete(id: string): Promise<void> {
    await runCommand('runc', ['--root', scopePaths.runtimeRoot(this.scope, 'runc'), 'delete', '--force', id]);
    if (await destroyCgroup(this.scope, id, this.clock)) return;
    throw new AppError('CONTAINER_STUCK', `processes of container ${id} do not go away`, { kind: 'internal' });
  }

  private async foreground(id: string, bundle: string, options: RunOptions): Promise<number> {
    const log = join(bundle, 'runc.log');
    const flags = ['--root', scopePaths.runtimeRoot(this.scope, 'runc'), '--log', log, '--log-format', 'json'];
    // Kept after its end, so that the cgroup can still be asked about memory.
    const child = startedProcess(
      spawn('runc', [...flags, 'run', '--keep', '--bundle', bundle, id], {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { PATH: HOST_PATH },
      }),
    );
    child.stdout.on('data', (chunk: Buffer) => options.onOutput('stdout', chunk));
    child.stderr.on('data', (chunk: Buffer) => options.onOutput('stderr', chunk));
    const ended = new Promise<number>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => resolve(code ?? 137));
    });
    let killing: Promise<void> | undefined;
    const abort = (): void => {
      killing ??= this.delete(id)
        .catch(() => undefined)
        .finally(() => child.kill('SIGKILL'));
    };
    options.signal?.addEventListener('abort', abort, { once: true });
    if (options.signal?.aborted === true) abort();
    try {
      const exitCode = await ended;
      await killing;
      options.signal?.throwIfAborted();
      const failure = await runcError(log);
      if (failure !== undefined) throw startFailure(id, failure);
      return exitCode;
    } finally {
      options.signal?.removeEventListener('abort', abort);
    }
  }
}

/** The last error in a runtime's JSON log. */
export async function runcError(log: string): Promise<string | undefined> {
  const text = await readFile(log, 'utf8').catch(() => '');
  for (const line of text.split('\n').reverse()) {
    try {
      const entry = JSON.parse(line) as { level?: string; msg?: string };
      if (entry.level === 'error' || entry.level === 'fatal') return entry.msg;
    } catch {
      // Not a line of the log.
    }
  }
  return undefined;
}

/** The runtime's own sentence without the layers of wrapping before the part that a person can act on. */
export function startFailure(id: string, message: string): AppError {
  const logged = /msg=("(?:[^"\\]|\\.)*")/.exec(message)?.[1];
  const said = logged === undefined ? message : String(JSON.parse(logged));
  const reason = said.replace(/^.*?(?:unable to start container process|OCI runtime error): /s, '').trim();
  const notFound = /executable file not found|no such file or directory|permission denied/i
    .exec(reason)?.[0]
    .toLowerCase();
  return new AppError('CONTAINER_START_FAILED', reason, {
    kind: 'failed',
    details: { containerId: id, ...(notFound === undefined ? {} : { cause: notFound }) },
    ...(notFound === undefined
      ? {}
      : { hint: 'the program must exist in the image and be executable, with its interpreter and libraries' }),
  });
}

/** Whether what is made there for a mount must go: /dev, /proc and /sys stay, and what is in them is no part of the root. */
function leavesStub(destination: string): boolean {
  return !/^\/(dev|proc|sys)(\/|$)/.test(destination);
}
