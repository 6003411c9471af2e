/**
 * One container of a task, from its record to its end. Every step is written down before it is taken, and looked up
 * before it is repeated; what the host says counts more than what the record says.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type ContainerExit,
  mountOverlay,
  type NetworkMode,
  parseSignal,
  type SupervisedContainers,
  unmountOverlay,
} from '../../runtime/index.js';
import { ContainerFailure, failingAs } from './container-failure.js';
import { runtimeIdOf } from './container-process.js';
import { containerSpec } from './container-spec.js';
import type { ContainerRunDeps, ContainerSurroundings } from './container-surroundings.js';
import type { ContainerStatus } from './dependencies.js';
import { healthCommand, monitorHealth } from './health-monitor.js';
import type { ResolvedImage } from './image-source.js';
import { Observed } from './observed.js';
import { mayRestart } from './restart-policy.js';
import { secretEnvironment } from './secret-source.js';
import type { ContainerRecord } from './task-records.js';
import type { AgentEvent, ContainerPayload, NetworkBinding } from './types.js';
import type { VolumeMount } from './volumes.js';

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

  constructor(
    private readonly deps: ContainerRunDeps,
    private readonly task: ContainerSurroundings,
    readonly payload: ContainerPayload,
  ) {
    this.runtimeId = runtimeIdOf(task.payload.taskId, payload.name);
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
    if (record.phase === 'preparing' || record.phase === 'created') {
      return state.status === 'created' ? 'created' : 'fresh';
    }
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
    // What an earlier attempt left half made.
    await this.release();
    await rm(join(this.task.folder, this.runtimeId), { recursive: true, force: true });
    const config = image.config.config;
    let record: ContainerRecord = {
      runtimeId: this.runtimeId,
      phase: 'preparing',
      imageDigest: image.digest,
      bindings: [],
      ...(config?.StopSignal === undefined ? {} : { stopSignal: config.StopSignal }),
      ...(config?.Shell === undefined ? {} : { shell: config.Shell }),
    };
    await this.task.write(record);
    const bindings = await this.chooseBindings();
    record = { ...record, bindings };
    await this.task.write(record);
    const secrets = await secretEnvironment(this.deps.secrets, this.payload);
    const network = await failingAs('CannotStartContainerError', signal, () => this.attach(bindings));
    await failingAs('CannotCreateContainerError', signal, () => this.mount(layers));
    const volumes = await failingAs('CannotCreateContainerError', signal, () =>
      this.task.volumes.prepare(this.payload, this.rootfs, Object.keys(config?.Volumes ?? {}), this.inherited()),
    );
    record = { ...record, mounts: volumes };
    await this.task.write(record);
    this.status.set({ ...this.status.value, prepared: true });
    signal.throwIfAborted();
    const { runtimeId: id, rootfs } = this;
    const found = { id, rootfs, network: network.mode, volumes, secrets, linked: this.linked() };
    const spec = containerSpec(this.payload, image, found);
    await failingAs('CannotStartContainerError', signal, () => this.deps.containers.create(spec, network.address));
    const { address } = network;
    await this.task.write({ ...record, phase: 'created', ...(address === undefined ? {} : { address }) });
    this.task.emit({ ...this.event('PENDING'), ...this.facts() });
  }

  /** Runs the created container's process. @throws ContainerFailure */
  async start(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const record = this.mustRecord();
    await this.task.write({ ...record, phase: 'starting' });
    await failingAs('CannotStartContainerError', signal, () => this.deps.containers.start(this.runtimeId));
    const started: ContainerRecord = { ...record, phase: 'started', startedMs: this.deps.clock.nowMs() };
    await this.task.write(started);
    await this.running(started, false);
  }

  /** The stop signal, then SIGKILL after the stop time-out. Resolves when the container has ended. */
  async stop(): Promise<void> {
    const { closing } = this.task;
    const { phase } = await this.status.until((status) => status.phase !== 'pending', closing);
    if (phase === 'stopped') return;
    await this.signal(this.stopSignal());
    const waiting = new AbortController();
    const ended = this.status.until((status) => status.phase === 'stopped', closing);
    const timeoutMs = (this.payload.stopTimeoutSeconds ?? DEFAULT_STOP_SECONDS) * 1000;
    const patience = this.deps.clock.sleep(timeoutMs, AbortSignal.any([waiting.signal, closing])).then(
      () => true,
      () => false,
    );
    const first = await Promise.race([ended.then(() => false), patience]).finally(() => waiting.abort());
    if (first) await this.signal('SIGKILL');
    await ended;
  }

  /** A container that cannot be signalled is taken down whole; its exit is seen like any other. */
  private async signal(signal: number | string): Promise<void> {
    try {
      await this.deps.containers.kill(this.runtimeId, signal);
    } catch (error) {
      this.deps.logger.warn('a container could not be signalled', { id: this.runtimeId, error: String(error) });
      await this.deps.containers.delete(this.runtimeId);
    }
  }

  /** It ends before it ran, or could not be started. */
  async fail(reason: string | undefined): Promise<void> {
    const record = this.task.record() ?? { runtimeId: this.runtimeId, phase: 'preparing', bindings: [] };
    await this.ended(record, { timeMs: this.deps.clock.nowMs(), ...(reason === undefined ? {} : { reason }) });
  }

  /** Takes all of it off the host but its log. Idempotent. */
  async release(): Promise<void> {
    await this.deps.containers.delete(this.runtimeId);
    await this.deps.network.detach(this.runtimeId);
    await unmountOverlay(this.rootfs);
    this.deps.ports.release(this.runtimeId);
  }

  private async running(record: ContainerRecord, adopted: boolean): Promise<void> {
    const startedMs = record.startedMs ?? this.deps.clock.nowMs();
    const stopWatching = new AbortController();
    this.status.set({ ...this.status.value, phase: 'running', started: true });
    this.task.emit({ ...this.event('RUNNING'), ...this.facts() });
    const signal = AbortSignal.any([stopWatching.signal, this.task.closing]);
    void this.watchHealth(record, { startedMs, adopted, signal });
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
    if (this.task.isEnding()) await this.signal(this.stopSignal());
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
      this.status.set({ ...this.status.value, health });
      this.task.emit({ type: 'health', container: this.payload.name, health });
    });
  }

  private async chooseBindings(): Promise<readonly NetworkBinding[]> {
    const { networkMode } = this.task.payload;
    const mappings = this.payload.portMappings;
    if (networkMode === 'bridge' && this.payload.disableNetworking !== true) {
      return this.deps.ports.choose(this.runtimeId, mappings);
    }
    // Reached at the task's own address: nothing of the host is taken.
    if (networkMode === 'awsvpc') return [];
    if (networkMode === 'none' || this.payload.disableNetworking === true) return [];
    return mappings.map(({ containerPort, protocol }) => ({
      bindIP: '0.0.0.0',
      containerPort,
      hostPort: containerPort,
      protocol,
    }));
  }

  private async attach(bindings: readonly NetworkBinding[]): Promise<{ mode: NetworkMode; address?: string }> {
    const { networkMode } = this.task.payload;
    if (this.payload.disableNetworking === true) return { mode: { mode: 'none' } };
    if (networkMode === 'awsvpc') {
      const { netnsPath, address } = await this.task.sharedNetwork();
      return { mode: { mode: 'namespace', path: netnsPath }, address };
    }
    if (networkMode !== 'bridge') return { mode: { mode: networkMode } };
    const ports = bindings.map(({ bindIP, ...binding }) => ({ ...binding, hostIp: bindIP }));
    const { netnsPath, address } = await this.deps.network.attach(this.runtimeId, { ports });
    return { mode: { mode: 'namespace', path: netnsPath }, address };
  }

  private async mount(layers: readonly string[]): Promise<void> {
    const own = join(this.task.folder, this.runtimeId);
    await mountOverlay({
      directory: this.deps.layers.directory,
      lowers: [...layers].reverse(),
      upper: join(own, 'upper'),
      work: join(own, 'work'),
      target: this.rootfs,
    });
  }

  /** What `volumesFrom` brings: read-only where that is asked for, or where it was so there. */
  private inherited(): readonly VolumeMount[] {
    return (this.payload.volumesFrom ?? []).flatMap(({ container, readonly }) =>
      (this.task.recordOf(container)?.mounts ?? []).map((mount) => ({
        ...mount,
        readonly: mount.readonly || readonly,
      })),
    );
  }

  private linked(): { readonly name: string; readonly address: string }[] {
    return (this.payload.links ?? []).flatMap(({ container, alias }) => {
      const address = this.task.recordOf(container)?.address;
      return address === undefined ? [] : [...new Set([alias, container])].map((name) => ({ name, address }));
    });
  }

  private stopSignal(): number {
    const named = this.task.record()?.stopSignal ?? '';
    try {
      return parseSignal(named === '' ? 'SIGTERM' : named);
    } catch {
      this.deps.logger.warn('the image names no known stop signal; SIGTERM is sent', { id: this.runtimeId, named });
      return parseSignal('SIGTERM');
    }
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
  return {
    terminal: payload.terminal === true,
    stdin: payload.stdin === true,
  };
}
