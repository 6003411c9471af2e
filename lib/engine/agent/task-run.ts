/**
 * One task on this host: brings its containers up in the order they depend on one another, ends all of them when an
 * essential one ends or a stop is asked for, and clears everything away. Started again after a kill it goes on where
 * the host and the task's record say it was.
 */
import { randomUUID } from 'node:crypto';
import { removeTree } from '../../layers/index.js';
import { type ContainerEvent, ContainerRun, type ContainerRunDeps } from './container-run.js';
import { runtimeIdOf } from './container-process.js';
import { ContainerFailure, failingAs } from './container-failure.js';
import { dependencyProblem } from './dependencies.js';
import type { TaskSnapshot } from './endpoint/metadata-view.js';
import type { TaskCredentialsSource } from './endpoint/task-credentials.js';
import { type ImageSourceDeps, type ImageSourceOptions, type ResolvedImage, resolveImage } from './image-source.js';
import { Observed } from './observed.js';
import { both } from './side-by-side.js';
import { stopInOrder, TaskDependencies } from './task-dependencies.js';
import type { ContainerRecord, EndpointIds, TaskEnding, TaskRecord, TaskRecords } from './task-records.js';
import type { AgentEvent, ContainerPayload, TaskPayload } from './types.js';
import { TaskVolumes, type VolumesOptions } from './volumes.js';

export interface TaskRunDeps extends ContainerRunDeps, ImageSourceDeps {
  readonly records: TaskRecords;
  /** Absent: no task role has credentials. */
  readonly credentials?: TaskCredentialsSource;
}

interface PulledImage {
  readonly image: ResolvedImage;
  /** Short names of its unpacked layers, the bottom one first. */
  readonly layers: readonly string[];
}

export class TaskRun {
  readonly done: Promise<void>;
  private record: TaskRecord;
  /** Nothing is written before the record of an earlier process was read. */
  private readonly loaded: Promise<void>;
  private saving: Promise<void> = Promise.resolve();
  private onDisk: TaskRecord | undefined;
  private readonly containers: readonly ContainerRun[];
  private readonly volumes: TaskVolumes;
  private readonly waits: TaskDependencies;
  private network: Promise<{ readonly netnsPath: string; readonly address: string }> | undefined;
  /** Aborts when no further container is to be started. */
  private readonly ending = new AbortController();
  private stopping: Promise<void> | undefined;
  /** Containers whose image is still to be fetched; below zero when nothing is. */
  private readonly pulls = new Observed({ begun: 0, ended: 0 });

  constructor(
    private readonly deps: TaskRunDeps,
    private readonly options: ImageSourceOptions & VolumesOptions,
    readonly payload: TaskPayload,
    private readonly tell: (event: AgentEvent) => void,
    private readonly closing: AbortSignal,
  ) {
    this.record = { taskId: payload.taskId, containers: {} };
    this.loaded = deps.records.load(payload.taskId).then((record) => {
      this.record = record ?? this.record;
    });
    this.volumes = new TaskVolumes(deps.scope, deps.records.folder(payload.taskId), payload, options);
    this.containers = payload.containers.map((container) => this.containerRun(container));
    this.waits = new TaskDependencies(deps.clock, {
      containers: this.containers,
      startedMs: (container) => this.record.containers[container]?.startedMs,
      ending: this.ending.signal,
    });
    this.done = this.run().catch((error: unknown) => {
      if (closing.aborted) return;
      deps.logger.error('a task broke', { taskId: payload.taskId, error: String(error) });
      this.tellStopped({ stopCode: 'TaskFailedToStart', reason: `Task failed: ${String(error)}` });
    });
  }

  /** Ends the task. The first who asks gives the reason. */
  stop(ending: TaskEnding, drain?: () => Promise<void>): void {
    this.stopping ??= this.endAll(ending, drain).catch((error: unknown) => {
      if (this.closing.aborted) return;
      this.deps.logger.error('a task could not be stopped', { taskId: this.payload.taskId, error: String(error) });
    });
  }

  isRunning(container: string): boolean {
    return this.containers.find(({ payload }) => payload.name === container)?.status.value.phase === 'running';
  }

  /** Whether this container will write no more. */
  hasEnded(container: string): boolean {
    return this.containers.find(({ payload }) => payload.name === container)?.status.value.phase === 'stopped';
  }

  snapshot(): TaskSnapshot {
    const { deps, payload, record } = this;
    const of = (name: string): ContainerRun | undefined => this.containers.find((one) => one.payload.name === name);
    return {
      payload,
      record,
      statusOf: (name) => of(name)?.status.value ?? { phase: 'pending', health: 'UNKNOWN', started: false },
      runtimeIdOf: (name) => runtimeIdOf(payload.taskId, name),
      isEnding: this.ending.signal.aborted,
      subnet: deps.network.subnet,
      scope: deps.scope,
    };
  }

  /** Whether a container of the task has this address. */
  hasAddress(address: string): boolean {
    return Object.values(this.record.containers).some((container) => container.address === address);
  }

  private async newEndpointIds(): Promise<EndpointIds> {
    const { taskRoleArn, containers } = this.payload;
    const known = taskRoleArn !== undefined && (await this.deps.credentials?.has(taskRoleArn)) === true;
    return {
      containers: Object.fromEntries(containers.map(({ name }) => [name, randomUUID()])),
      ...(known ? { credentials: randomUUID() } : {}),
    };
  }

  private containerRun(container: ContainerPayload): ContainerRun {
    const { taskId } = this.payload;
    const surroundings = {
      payload: this.payload,
      folder: this.deps.records.folder(taskId),
      volumes: this.volumes,
      record: () => this.record.containers[container.name],
      recordOf: (name: string) => this.record.containers[name],
      sharedNetwork: () => (this.network ??= this.deps.network.attach(this.networkId)),
      endpointIds: () => this.record.endpoints,
      isEnding: () => this.ending.signal.aborted,
      note: (record: ContainerRecord) => void (this.record = this.with(container, record)),
      write: (record: ContainerRecord) => this.save(this.with(container, record)),
      emit: (event: ContainerEvent) => this.emit(event),
      closing: this.closing,
    };
    return new ContainerRun(this.deps, surroundings, container);
  }

  private with({ name }: ContainerPayload, record: ContainerRecord): TaskRecord {
    return { ...this.record, containers: { ...this.record.containers, [name]: record } };
  }

  /** Of the network that the containers share: named as a container of the task is, so that a sweep finds it. */
  private get networkId(): string {
    return runtimeIdOf(this.payload.taskId, '/network');
  }

  private async run(): Promise<void> {
    const { records, clock } = this.deps;
    await this.loaded;
    // Decided before a kill: whoever asks again gets the same answer.
    if (this.record.ending !== undefined) this.stop(this.record.ending);
    // On disk with the first record of a container, before any of them knows its ids.
    const endpoints = this.record.endpoints ?? (await this.newEndpointIds());
    this.record = { ...this.record, endpoints };
    const problem = dependencyProblem(this.payload.containers);
    await Promise.all(this.containers.map((container) => this.live(container, problem)));
    await this.stopping;
    this.closing.throwIfAborted();
    if (this.payload.networkMode === 'awsvpc') await this.deps.network.detach(this.networkId);
    // A folder that a kill leaves goes with the sweep of the next start.
    const finished = { finishedMs: clock.nowMs() };
    const removed = removeTree(records.folder(this.payload.taskId));
    await both(removed, this.save(finished)).catch(async () => {
      // What was removed may be what had filled the disk.
      await removed;
      await this.saveIfPossible(finished);
    });
    this.tellStopped(this.record.ending ?? { stopCode: 'EssentialContainerExited', reason: 'All containers exited' });
  }

  /** A container's whole life. Resolves when nothing of it is left on the host. */
  private async live(container: ContainerRun, problem: string | undefined): Promise<void> {
    const { closing } = this;
    try {
      await this.bringUp(container, problem);
    } catch (error) {
      closing.throwIfAborted();
      await container.fail(error === this.ending.signal.reason ? undefined : messageOf(error));
    }
    await container.status.until((status) => status.phase === 'stopped', closing);
    if (container.payload.essential) this.stop(this.endingBy(container));
    await container.release();
    const record = this.record.containers[container.payload.name];
    // Goes to disk with what is written next: whoever finds the end alone makes sure once more that nothing is left.
    if (record !== undefined) this.record = this.with(container.payload, { ...record, phase: 'stopped' });
  }

  private async bringUp(container: ContainerRun, problem: string | undefined): Promise<void> {
    const { signal } = this.ending;
    const either = AbortSignal.any([signal, this.closing]);
    const found = await container.adopt();
    if (found === 'running' || found === 'stopped') return;
    if (problem !== undefined) throw new ContainerFailure('TaskDependencyError', problem);
    throwIfAborted(either, signal, this.closing);
    if (found === 'fresh') {
      const pulled = await this.pull(container.payload, either);
      await this.waits.until(container.payload, AbortSignal.any([signal, this.closing]));
      throwIfAborted(either, signal, this.closing);
      await container.create(pulled.image, pulled.layers, signal);
    } else {
      await this.waits.until(container.payload, AbortSignal.any([signal, this.closing]));
    }
    throwIfAborted(either, signal, this.closing);
    await container.start(signal);
  }

  private async pull(container: ContainerPayload, signal: AbortSignal): Promise<PulledImage> {
    if (this.pulls.value.begun === 0) this.pulled('pull-started');
    this.pulls.set({ ...this.pulls.value, begun: this.pulls.value.begun + 1 });
    try {
      return await failingAs('CannotPullContainerError', signal, async () => {
        const image = await resolveImage(this.deps, this.options, container.image);
        const layers: string[] = [];
        for (const layer of image.layers) layers.push(await this.deps.layers.ensure(layer));
        return { image, layers };
      });
    } finally {
      const { begun, ended } = this.pulls.value;
      this.pulls.set({ begun, ended: ended + 1 });
      if (ended + 1 === begun && !this.closing.aborted) this.pulled('pull-stopped');
    }
  }

  /** Written down with the next step that is. */
  private pulled(type: 'pull-started' | 'pull-stopped'): void {
    const timeMs = this.deps.clock.nowMs();
    this.record = { ...this.record, [type === 'pull-started' ? 'pullStartedMs' : 'pullStoppedMs']: timeMs };
    this.emit({ type, timeMs });
  }

  private endingBy(container: ContainerRun): TaskEnding {
    const { started, reason } = container.status.value;
    if (started) return { stopCode: 'EssentialContainerExited', reason: 'Essential container in task exited' };
    const told = /^(CannotPullContainerError|ResourceInitializationError)/.test(reason ?? '');
    return { stopCode: 'TaskFailedToStart', reason: told && reason !== undefined ? reason : 'Task failed to start' };
  }

  private async endAll(ending: TaskEnding, drain: (() => Promise<void>) | undefined): Promise<void> {
    this.ending.abort(new Error(ending.reason));
    await this.loaded;
    if (this.record.ending === undefined) await this.saveIfPossible({ ending });
    await drain?.().catch((error: unknown) => {
      this.deps.logger.warn('draining failed; the task is stopped all the same', {
        taskId: this.payload.taskId,
        error: String(error),
      });
    });
    await stopInOrder(this.containers);
  }

  /** One write after the other; each holds all that was known when it began. */
  private save(change: Partial<TaskRecord>): Promise<void> {
    this.record = { ...this.record, ...change };
    const saved = this.saving.then(() => this.saveNow());
    this.saving = saved.catch(() => undefined);
    return saved;
  }

  /** Ending what fills a disk must not wait for room on it; the engine has its own record of what it asked for. */
  private saveIfPossible(change: Partial<TaskRecord>): Promise<void> {
    return this.save(change).catch((error: unknown) => {
      const about = { taskId: this.payload.taskId, error: String(error) };
      this.deps.logger.error('the end of a task could not be written', about);
    });
  }

  private async saveNow(): Promise<void> {
    const { record } = this;
    // The write before this one may have taken all of it along.
    if (record === this.onDisk) return;
    await this.deps.records.save(record);
    this.onDisk = record;
  }

  private emit(event: ContainerEvent): void {
    if (this.closing.aborted) return;
    this.tell({ timeMs: this.deps.clock.nowMs(), ...event, taskId: this.payload.taskId });
  }

  private tellStopped(ending: TaskEnding): void {
    this.emit({ type: 'task-stopped', ...ending });
  }
}

/** The reason that matters comes first. */
function throwIfAborted(either: AbortSignal, ...signals: readonly AbortSignal[]): void {
  for (const signal of signals) signal.throwIfAborted();
  either.throwIfAborted();
}

function messageOf(error: unknown): string {
  if (error instanceof ContainerFailure) return error.message;
  return `CannotCreateContainerError: ${error instanceof Error ? error.message : String(error)}`;
}
