/**
 * SupervisedContainers: containers that outlive this process. Each has a conmon of its own, which holds its output,
 * writes its log and records its exit code; we may be killed and started again and find everything where it was.
 */
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { AppError } from '../../errors/index.js';
import type { Clock } from '../../store/index.js';
import { writeBundle } from '../process/bundle.js';
import { destroyCgroup, oomKills } from '../cgroup/cgroup.js';
import { containerInit } from './container-init.js';
import { type ContainerLogLine, readContainerLog, type ReadLogOptions } from './container-log.js';
import { type ExecOptions, type ExecSession, openExecSession } from './exec-session.js';
import { endReaders, startByFifo } from './exec-fifo.js';
import { execOnce, type ExecResult } from './exec-once.js';
import { type ContainerExit, ExitWatch } from './exit-watch.js';
import { parseSignal } from '../host/host-command.js';
import { type HostProcess, killProcess, scopeProcesses, signalProcess } from '../host/host-processes.js';
import { namesNow, removeNow } from '../host/files-now.js';
import { scopePaths } from '../host/host-scope.js';
import { removeLog } from './log-files.js';
import { type LogLimits, rotateLog } from './log-rotation.js';
import { OCI_RUNTIMES, runtimeOf } from '../oci-runtime/oci-runtime.js';
import { startFailure } from '../oci-runtime/runc.js';
import { RuntimeCalls } from './runtime-calls.js';
import { type Manner, Supervisor, type SupervisorOptions } from './supervisor.js';
import type { ContainerSpec, HostScope } from '../types.js';

export type ContainerState =
  | { readonly status: 'absent' }
  /** Set up, its process not started yet. */
  | { readonly status: 'created'; readonly pid: number }
  | { readonly status: 'running'; readonly pid: number }
  | { readonly status: 'exited'; readonly exit: ContainerExit };

/** How often a container is looked at whose exit no file has told: conmon itself may have been killed. */
const LOOK_MS = 1000;

export class SupervisedContainers {
  private readonly exits: ExitWatch;
  private readonly supervisor: Supervisor;
  private readonly runtime: RuntimeCalls;
  /** Made here to the end, and nothing asked of the runtime since that may go on: only their supervisor works on them. */
  private readonly settled = new Set<string>();

  constructor(
    private readonly deps: { readonly scope: HostScope; readonly clock: Clock },
    options: SupervisorOptions = {},
  ) {
    this.exits = new ExitWatch(deps.scope);
    this.supervisor = new Supervisor(deps, options);
    this.runtime = new RuntimeCalls(deps.scope, options.ociRuntime ?? 'runc');
  }

  /**
   * Sets the container up under a supervisor; its process does not run before `start`.
   * @param address of the container, for its hosts file
   * @throws AppError CONTAINER_START_FAILED, and what writing the bundle throws; nothing is left then
   */
  async create(spec: ContainerSpec, address?: string): Promise<{ readonly pid: number }> {
    const { scope } = this.deps;
    const bundle = await writeBundle(scope, scopePaths.supervisedBundle(scope, spec.id), spec, address);
    for (const folder of [
      scopePaths.runtimeRoot(scope, this.runtime.ofNew),
      scopePaths.sockets(scope),
      scopePaths.exits(scope),
      dirname(scopePaths.log(scope, spec.id)),
    ]) {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
    }
    await this.exits.forget(spec.id);
    try {
      return { pid: await this.launch(spec.id, bundle.directory, mannerOf(spec)) };
    } catch (error) {
      await this.delete(spec.id);
      await this.forget(spec.id);
      throw error;
    }
  }

  /**
   * Sets a container that has ended up again, with the root, log and settings it had; `start` runs it. May be repeated
   * when it was cut off.
   * @throws AppError CONTAINER_START_FAILED
   */
  async recreate(id: string, manner: Manner): Promise<{ readonly pid: number }> {
    const bundle = scopePaths.supervisedBundle(this.deps.scope, id);
    await this.removeProcesses(id);
    for (const name of ['pid', 'conmon.pid', 'runc.log', 'conmon.log']) removeNow(join(bundle, name));
    removeNow(join(scopePaths.sockets(this.deps.scope), id));
    await this.exits.forget(id);
    return { pid: await this.launch(id, bundle, manner) };
  }

  /** Runs the process of a created container. @throws AppError CONTAINER_START_FAILED */
  async start(id: string): Promise<void> {
    if (await startByFifo(this.deps, id)) return;
    const result = await this.runtime.ask(id, 'start', id);
    if (result.exitCode !== 0) throw startFailure(id, result.stderr.trim());
  }

  /** What is there now, whoever made it. */
  async state(id: string): Promise<ContainerState> {
    const exit = await this.exits.read(id);
    if (exit !== undefined) return { status: 'exited', exit };
    const init = (await containerInit(this.deps.scope, id)) ?? (await this.runtime.toldInit(id));
    if (init === undefined) return { status: 'absent' };
    const supervised = await this.supervisor.has(id);
    // Without a supervisor nobody would see its end: what never ran is better made again.
    if (init.lives && init.waits) return supervised ? { status: 'created', pid: init.pid } : { status: 'absent' };
    // When it has stopped, its supervisor is about to say how: `waitExit` knows it in a moment.
    if (init.lives || supervised) return { status: 'running', pid: init.pid };
    return { status: 'exited', exit: (await this.exits.read(id)) ?? { timeMs: this.deps.clock.nowMs() } };
  }

  /**
   * Resolves when the container has ended, at once if it had before. A container whose supervisor was killed is killed
   * as well, since nobody can tell its exit code any more.
   * @throws the signal's reason
   */
  async waitExit(id: string, signal?: AbortSignal): Promise<ContainerExit> {
    let wake = new AbortController();
    const stop = await this.exits.onChange(id, () => wake.abort());
    try {
      for (;;) {
        signal?.throwIfAborted();
        wake = new AbortController();
        const exit = await this.exits.read(id);
        if (exit !== undefined) return exit;
        if (!(await this.supervisor.has(id))) {
          // Looked again: the file may have appeared just before the supervisor went.
          const late = await this.exits.read(id);
          if (late !== undefined) return late;
          await destroyCgroup(this.deps.scope, id, this.deps.clock);
          return { timeMs: this.deps.clock.nowMs() };
        }
        const either = signal === undefined ? wake.signal : AbortSignal.any([wake.signal, signal]);
        await this.deps.clock.sleep(LOOK_MS, either).catch(() => undefined);
      }
    } finally {
      stop();
    }
  }

  /** Sends a signal to the container's first process. Answers false when there is none any more. */
  async kill(id: string, signal: string | number): Promise<boolean> {
    const number = typeof signal === 'number' ? signal : parseSignal(signal);
    const init = await containerInit(this.deps.scope, id);
    if (init !== undefined) return init.lives && signalProcess(init.pid, number);
    const result = await this.runtime.ask(id, 'kill', id, String(number));
    if (result.exitCode === 0) return true;
    if (/not running|does not exist|process already finished|no such process/i.test(result.stderr)) return false;
    throw new AppError('CONTAINER_KILL_FAILED', `cannot signal container ${id}: ${result.stderr.trim()}`, {
      kind: 'failed',
    });
  }

  /**
   * Ends and removes the container, its supervisor, cgroup and bundle, also one that a killed process was just making.
   * Its log and exit code stay until `forget`. Idempotent.
   */
  async delete(id: string): Promise<void> {
    const { scope } = this.deps;
    await this.removeProcesses(id);
    removeNow(scopePaths.supervisedBundle(scope, id));
    removeNow(scopePaths.etc(scope, id));
    removeNow(join(scopePaths.sockets(scope), id));
    this.settled.delete(id);
  }

  private async launch(id: string, bundle: string, manner: Manner): Promise<number> {
    const pid = await this.supervisor.launch(id, bundle, manner);
    this.settled.add(id);
    return pid;
  }

  private async removeProcesses(id: string): Promise<void> {
    const { clock } = this.deps;
    await this.remove(id);
    // It ends by itself once it has written the exit code; one that does not is of no more use.
    for (let i = 0; i < 50 && (await this.supervisor.has(id)); i += 1) await clock.sleep(20);
    const isKnown = (): boolean => runtimeOf(this.deps.scope, id) !== undefined;
    if (this.settled.delete(id) && !(await this.supervisor.has(id)) && !isKnown()) return;
    for (let makers = await this.processesOf(id); makers.length > 0; makers = await this.processesOf(id)) {
      for (const { pid } of makers) killProcess(pid);
      await clock.sleep(10);
      await this.remove(id);
    }
    // Who was still making it may have written it down after it was looked for: nobody is left now who could.
    if (isKnown()) await this.remove(id);
    // A runtime does not know what it had half written down, and leaves it: with its processes it has ended for good.
    for (const runtime of OCI_RUNTIMES) removeNow(join(scopePaths.runtimeRoot(this.deps.scope, runtime), id));
  }

  /** Removes the log and exit code of a container that was deleted. */
  async forget(id: string): Promise<void> {
    await this.exits.forget(id);
    await removeLog(scopePaths.log(this.deps.scope, id));
  }

  /** Whether the kernel killed a process of the container for its memory limit. Asked before `delete`. */
  async ranOutOfMemory(id: string): Promise<boolean> {
    return (await oomKills(this.deps.scope, id)) > 0;
  }

  /** Keeps the container's log within these limits until the signal aborts. */
  rotateLog(id: string, limits: LogLimits, signal: AbortSignal): Promise<void> {
    return rotateLog(this.deps, id, limits, signal);
  }

  log(id: string, options: ReadLogOptions): AsyncGenerator<ContainerLogLine> {
    return readContainerLog(scopePaths.log(this.deps.scope, id), this.deps.clock, options);
  }

  /**
   * Runs a command inside a running container, as the container's user and with its environment.
   * After `timeoutMs` the command is killed and `timedOut` set.
   */
  async exec(id: string, args: readonly string[], options: { readonly timeoutMs: number }): Promise<ExecResult> {
    this.settled.delete(id);
    return execOnce({ ...this.deps, runtime: this.runtime }, id, args, options.timeoutMs);
  }

  /** A command inside a running container that somebody talks to. @throws AppError CONTAINER_NOT_RUNNING */
  async openExec(id: string, options: ExecOptions): Promise<ExecSession> {
    this.settled.delete(id);
    return openExecSession(this.deps, id, options);
  }

  /** Ids of all containers of the scope that have a bundle or that the runtime knows. */
  async list(): Promise<readonly string[]> {
    const { scope } = this.deps;
    const bundles = namesNow(scopePaths.supervisedBundles(scope));
    const known = OCI_RUNTIMES.map((runtime) => namesNow(scopePaths.runtimeRoot(scope, runtime)));
    // crun keeps a cache beside them.
    return [...new Set([...bundles, ...known.flat().filter((name) => !name.startsWith('.'))])];
  }

  /** Stops watching; containers go on. */
  close(): void {
    this.exits.close();
  }

  private async remove(id: string): Promise<void> {
    const { scope } = this.deps;
    const runtime = runtimeOf(scope, id);
    endReaders(scope, id);
    // Of a container that has ended, the runtime would remove this folder and the cgroup.
    const hasEnded = (await containerInit(scope, id))?.lives === false;
    if (runtime !== undefined && hasEnded) removeNow(join(scopePaths.runtimeRoot(scope, runtime), id));
    else await this.runtime.ask(id, 'delete', '--force', id);
    if (await destroyCgroup(scope, id, this.deps.clock)) return;
    throw new AppError('CONTAINER_STUCK', `processes of container ${id} do not go away`, { kind: 'internal' });
  }

  /** Programs of the runtime that work on the container right now. */
  private async processesOf(id: string): Promise<readonly HostProcess[]> {
    return (await scopeProcesses(this.deps.scope)).filter(({ args }) => args.includes(id));
  }
}

function mannerOf(spec: ContainerSpec): Manner {
  return {
    terminal: spec.process.terminal === true,
    stdin: spec.stdin === true,
  };
}
