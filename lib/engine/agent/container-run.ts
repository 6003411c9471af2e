/**
 * One container of a task, from its record to its end. Every step is written down before it is taken, and looked up
 * before it is repeated; what the host says counts more than what the record says.
 */
import { join } from 'node:path';
import { type ContainerExit, type SupervisedContainers, unmountOverlay } from '../../runtime/index.js';
import { createContainer } from './container-creation.js';
import { ContainerFailure, failingAs } from './container-failure.js';
import { runtimeIdOf } from './container-process.js';
import { ContainerStop } from './container-stop.js';
import type { ContainerRunDeps, ContainerSurroundings } from './container-surroundings.js';
import type { ContainerStatus } from './dependencies.js';
import { healthCommand, monitorHealth } from './health-monitor.js';
import type { ResolvedImage } from './image-source.js';
import { Observed } from './observed.js';
import { logLimits } from './log-limits.js';
import { mayRestart } from './restart-policy.js';
import { both } from './side-by-side.js';
import type { ContainerRecord } from './task-records.js';
import type { AgentEvent, ContainerPayload } from './types.js';

export type {
  ContainerEvent,
  ContainerRunDeps,
  ContainerSurroundings,
  LayerFolders,
} from './container-surroundings.js';

const DEFAULT_STOP_SECONDS = 30;
const DEFAULT_SHELL = ['/bin/sh', '-c'];

export class ContainerRun {
  readonly runtimeId: string;
  readonly status = new Observed<ContainerStatus>({ phase: 'pending', health: 'UNKNOWN', started: false });
  private readonly rootfs: string;
  private readonly stopper: ContainerStop;

  constructor(
    private readonly deps: ContainerRunDeps,
    private readonly task: ContainerSurroundings,
    readonly payload: ContainerPayload,
  ) {
    this.runtimeId = runtimeIdOf(task.payload.taskId, payload.name);
    this.stopper = new ContainerStop(deps);
    this.rootfs = join(task.folder, this.runtimeId, 'rootfs');
  }

  /** Finds out how far the container came before us. `running` and `stopped` are taken over here. */
  async adopt(): Promise<'fresh' | 'created' | 'running' | 'stopped'> {
    const record = this.task.record();
    if (record === undefined) return 'fresh';
    this.deps.ports.keep(this.runtimeId, record.bindings);
    if (record.mounts !== undefined) this.status.set({ ...this.status.value, prepared: true });
    const known = record.stoppedMs;
    if (known !== undefined || record.phase === 'stopped') {
      await this.ended(record, { ...record, timeMs: known ?? this.deps.clock.nowMs() });
      return 'stopped';
    }
    const state = await this.deps.containers.state(this.runtimeId);
    if (record.phase === 'restarting' && state.status !== 'running') {
      this.status.set({ ...this.status.value, phase: 'running', started: true });
      await this.restart(record);
      return 'running';
    }
    // Not started yet: unless it stands ready whole, whatever is there is the half of something.
    if (record.phase === 'preparing') return 'fresh';
    if (record.phase === 'created') return state.status === 'created' ? 'created' : 'fresh';
    if (state.status === 'running') {
      await this.running(record, true);
      return 'running';
    }
    if (state.status === 'created') return 'created';
    if (state.status === 'exited') {
      await this.exited(record, state.exit);
      return 'stopped';
    }
    await this.ended(record, {
      timeMs: this.deps.clock.nowMs(),
      reason: 'ContainerVanishedError: the container is gone, as after a restart of the machine',
    });
    return 'stopped';
  }

  /** Makes the container, ready to start. @throws ContainerFailure */
  async create(image: ResolvedImage, layers: readonly string[], signal: AbortSignal): Promise<void> {
    // What an earlier attempt left half made; its record was written before anything else.
    if (this.task.record() !== undefined) await this.release();
    const { runtimeId, rootfs, payload } = this;
    const prepared = (): void => {
      this.status.set({ ...this.status.value, prepared: true });
      // Written down by the engine while the runtime works, not when the container's start is written down.
      this.task.emit({ ...this.event('PENDING'), ...this.facts() });
    };
    await createContainer(this.deps, this.task, { runtimeId, rootfs, payload, image, layers, prepared }, signal);
  }

  /** Runs the created container's process. @throws ContainerFailure */
  async start(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const record = this.mustRecord();
    await this.task.write({ ...record, phase: 'starting' });
    await failingAs('CannotStartContainerError', signal, () => this.deps.containers.start(this.runtimeId));
    const started: ContainerRecord = { ...record, phase: 'started', startedMs: this.deps.clock.nowMs() };
    // Nobody waits for it: found `starting`, it is known by what runs.
    const written = this.task.write(started);
    await this.running(started, false);
    await written;
  }

  /** The stop signal, then SIGKILL after the stop time-out. Resolves when the container has ended. */
  async stop(): Promise<void> {
    const { closing } = this.task;
    const { phase } = await this.status.until((status) => status.phase !== 'pending', closing);
    if (phase === 'stopped') return;
    const ended = this.status.until((status) => status.phase === 'stopped', closing);
    const timeoutMs = (this.payload.stopTimeoutSeconds ?? DEFAULT_STOP_SECONDS) * 1000;
    await this.stopper.stop(this.runtimeId, { signal: this.task.record()?.stopSignal, timeoutMs, ended, closing });
  }

  /** It ends before it ran, or could not be started. */
  async fail(reason: string | undefined): Promise<void> {
    const record = this.task.record() ?? { runtimeId: this.runtimeId, phase: 'preparing', bindings: [] };
    await this.ended(record, { timeMs: this.deps.clock.nowMs(), ...(reason === undefined ? {} : { reason }) });
  }

  /** Takes all of it off the host but its log. Idempotent. */
  async release(): Promise<void> {
    await this.deps.containers.delete(this.runtimeId);
    await both(this.deps.network.detach(this.runtimeId), unmountOverlay(this.rootfs));
    this.deps.ports.release(this.runtimeId);
  }

  private async running(record: ContainerRecord, adopted: boolean): Promise<void> {
    const startedMs = record.startedMs ?? this.deps.clock.nowMs();
    const stopWatching = new AbortController();
    this.status.set({ ...this.status.value, phase: 'running', started: true });
    this.task.emit({ ...this.event('RUNNING'), ...this.facts() });
    const signal = AbortSignal.any([stopWatching.signal, this.task.closing]);
    void this.watchHealth(record, { startedMs, adopted, signal });
    void this.rotateLog(signal);
    void this.deps.containers
      .waitExit(this.runtimeId, this.task.closing)
      .then((exit) => {
        stopWatching.abort();
        return this.exited({ ...record, startedMs }, exit);
      })
      .catch(async (error: unknown) => {
        if (this.task.closing.aborted) return;
        this.deps.logger.error('a container is no longer watched', { id: this.runtimeId, error: String(error) });
        await this.fail(`CannotInspectContainerError: ${error instanceof Error ? error.message : String(error)}`);
      })
      .finally(() => stopWatching.abort());
  }

  private async exited(record: ContainerRecord, exit: ContainerExit): Promise<void> {
    const startedMs = record.startedMs ?? exit.timeMs;
    if (mayRestart(this.payload.restartPolicy, { ...exit, startedMs }, this.task.isEnding())) {
      return this.restart({ ...record, restarts: (record.restarts ?? 0) + 1 });
    }
    const outOfMemory = await this.deps.containers.ranOutOfMemory(this.runtimeId);
    const reason = outOfMemory
      ? 'OutOfMemoryError: Container killed due to memory usage'
      : exit.exitCode === undefined
        ? 'ContainerVanishedError: the supervisor of the container was killed, so its exit code is not known'
        : undefined;
    this.status.set({ ...this.status.value, started: true });
    await this.ended(record, { ...exit, ...(reason === undefined ? {} : { reason }) });
  }

  /** Sets what has ended up again and starts it. For others it runs all the while, as in ECS. */
  private async restart(before: ContainerRecord): Promise<void> {
    const { containers, clock, logger } = this.deps;
    const record: ContainerRecord = { ...before, phase: 'restarting' };
    await this.task.write(record);
    try {
      await containers.recreate(this.runtimeId, runtimeManner(this.payload));
      // A stop that came meanwhile found nothing to signal.
      if (this.task.isEnding()) return await this.ended(before, { timeMs: clock.nowMs() });
      await this.task.write({ ...record, phase: 'starting' });
      await containers.start(this.runtimeId);
    } catch (error) {
      this.task.closing.throwIfAborted();
      logger.warn('a container could not be restarted', { id: this.runtimeId, error: String(error) });
      const words = error instanceof Error ? error.message : String(error);
      return this.ended(before, { timeMs: clock.nowMs(), reason: `CannotStartContainerError: ${words}` });
    }
    const started: ContainerRecord = { ...record, phase: 'started', startedMs: clock.nowMs() };
    await this.task.write(started);
    if (this.status.value.health !== 'UNKNOWN') {
      this.status.set({ ...this.status.value, health: 'UNKNOWN' });
      this.task.emit({ type: 'health', container: this.payload.name, health: 'UNKNOWN' });
    }
    await this.running(started, false);
    if (this.task.isEnding())
      await this.stopper.signal(this.runtimeId, this.stopper.stopSignal(this.runtimeId, record.stopSignal));
  }

  /** Written first: whatever is killed now, the exit is known. On a full disk the supervisor's own note must do. */
  private async ended(record: ContainerRecord, exit: ContainerExit & { readonly reason?: string }): Promise<void> {
    const { exitCode, reason, timeMs } = exit;
    const facts = { ...(exitCode === undefined ? {} : { exitCode }), ...(reason === undefined ? {} : { reason }) };
    await this.task.write({ ...record, ...facts, stoppedMs: timeMs }).catch((error: unknown) => {
      this.deps.logger.error('the end of a container could not be written', {
        id: this.runtimeId,
        error: String(error),
      });
    });
    const started = this.status.value.started || record.startedMs !== undefined || record.phase === 'starting';
    this.task.emit({ ...this.event('STOPPED'), ...this.facts(), ...facts, timeMs });
    this.status.set({ ...this.status.value, phase: 'stopped', started, ...facts });
  }

  private async watchHealth(
    record: ContainerRecord,
    options: { readonly startedMs: number; readonly adopted: boolean; readonly signal: AbortSignal },
  ): Promise<void> {
    const check = this.payload.healthCheck;
    const command = check === undefined ? undefined : healthCommand(check, record.shell ?? DEFAULT_SHELL);
    if (check === undefined || command === undefined) return;
    const probe = {
      run: async (args: readonly string[], timeoutMs: number): Promise<boolean> => {
        const result = await this.deps.containers.exec(this.runtimeId, args, { timeoutMs });
        return result.exitCode === 0 && !result.timedOut;
      },
    };
    await monitorHealth({ clock: this.deps.clock, probe }, check, { ...options, command }, (health) => {
      if (this.status.value.phase !== 'running') return;
      this.status.set({ ...this.status.value, health, healthSinceMs: this.deps.clock.nowMs() });
      this.task.emit({ type: 'health', container: this.payload.name, health });
    });
  }

  private async rotateLog(signal: AbortSignal): Promise<void> {
    const limits = logLimits(this.payload.logDriver, this.payload.logOptions);
    if ('problem' in limits) return;
    await this.deps.containers.rotateLog(this.runtimeId, limits, signal).catch((error: unknown) => {
      this.deps.logger.error('the log of a container is no longer rotated', {
        id: this.runtimeId,
        error: String(error),
      });
    });
  }

  private mustRecord(): ContainerRecord {
    const record = this.task.record();
    if (record !== undefined) return record;
    throw new ContainerFailure('CannotStartContainerError', `container ${this.payload.name} was never created`);
  }

  private event(status: 'PENDING' | 'RUNNING' | 'STOPPED'): {
    type: 'container';
    container: string;
    status: typeof status;
  } {
    return { type: 'container', container: this.payload.name, status };
  }

  private facts(): Partial<Extract<AgentEvent, { type: 'container' }>> {
    const record = this.task.record();
    if (record === undefined) return {};
    return {
      runtimeId: record.runtimeId,
      networkBindings: record.bindings,
      ...(record.imageDigest === undefined ? {} : { imageDigest: record.imageDigest }),
      ...(record.address === undefined ? {} : { address: record.address }),
      ...(this.task.payload.networkMode === 'awsvpc' && record.address !== undefined ? { ownInterface: true } : {}),
    };
  }
}

function runtimeManner(payload: ContainerPayload): Parameters<SupervisedContainers['recreate']>[1] {
  return { terminal: payload.terminal === true, stdin: payload.stdin === true };
}
