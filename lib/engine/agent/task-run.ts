/**
 * One task on this host: brings its containers up in the order they depend on one another, ends all of them when an
 * essential one ends or a stop is asked for, and clears everything away. Started again after a kill it goes on where
 * the host and the task's record say it was.
 */
import { rm } from 'node:fs/promises';
import { type ContainerEvent, ContainerRun, type ContainerRunDeps } from './container-run.js';
import { runtimeIdOf } from './container-process.js';
import { ContainerFailure, failingAs } from './container-failure.js';
import { type ContainerStatus, dependencyProblem, dependents, readiness } from './dependencies.js';
import { type ImageSourceDeps, type ImageSourceOptions, type ResolvedImage, resolveImage } from './image-source.js';
import { Observed } from './observed.js';
import type { ContainerRecord, TaskEnding, TaskRecord, TaskRecords } from './task-records.js';
import type { AgentEvent, ContainerPayload, TaskPayload } from './types.js';
import { TaskVolumes, type VolumesOptions } from './volumes.js';

export interface TaskRunDeps extends ContainerRunDeps, ImageSourceDeps {
  readonly records: TaskRecords;
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
  private readonly containers: readonly ContainerRun[];
  private readonly volumes: TaskVolumes;
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

  private containerRun(container: ContainerPayload): ContainerRun {
    const { taskId } = this.payload;
    const surroundings = {
      payload: this.payload,
      folder: this.deps.records.folder(taskId),
      volumes: this.volumes,
      record: () => this.record.containers[container.name],
      recordOf: (name: string) => this.record.containers[name],
      sharedNetwork: () => (this.network ??= this.deps.network.attach(this.networkId)),
      isEnding: () => this.ending.signal.aborted,
      write: (record: ContainerRecord) =>
        this.save({ containers: { ...this.record.containers, [container.name]: record } }),
      emit: (event: ContainerEvent) => this.emit(event),
      closing: this.closing,
    };
    return new ContainerRun(this.deps, surroundings, container);
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
    const problem = dependencyProblem(this.payload.containers);
    await Promise.all(this.containers.map((container) => this.live(container, problem)));
    await this.stopping;
    this.closing.throwIfAborted();
    if (this.payload.networkMode === 'awsvpc') await this.deps.network.detach(this.networkId);
    await rm(records.folder(this.payload.taskId), { recursive: true, force: true });
    await this.save({ finishedMs: clock.nowMs() });
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
    if (record !== undefined && record.phase !== 'stopped') {
      const containers = {
        ...this.record.containers,
        [container.payload.name]: { ...record, phase: 'stopped' as const },
      };
      await this.save({ containers });
    }
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
      await this.dependenciesOf(container.payload);
      throwIfAborted(either, signal, this.closing);
      await container.create(pulled.image, pulled.layers, signal);
    } else {
      await this.dependenciesOf(container.payload);
    }
    throwIfAborted(either, signal, this.closing);
    await container.start(signal);
  }

  private async pull(container: ContainerPayload, signal: AbortSignal): Promise<PulledImage> {
    if (this.pulls.value.begun === 0) this.emit({ type: 'pull-started' });
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
      if (ended + 1 === begun && !this.closing.aborted) this.emit({ type: 'pull-stopped' });
    }
  }

  /** Waits until the container may start. @throws ContainerFailure TaskDependencyError */
  private async dependenciesOf(container: ContainerPayload): Promise<void> {
    const until = AbortSignal.any([this.ending.signal, this.closing]);
    await this.neededBy(container, until);
    for (const { containerName, condition } of container.dependsOn ?? []) {
      const other = this.containers.find(({ payload }) => payload.name === containerName);
      if (other === undefined) continue;
      const timeout = new AbortController();
      const seconds = other.payload.startTimeoutSeconds;
      if (seconds !== undefined && condition !== 'START') void this.abortLate(other, seconds, timeout, until);
      const waiting = AbortSignal.any([until, timeout.signal]);
      try {
        const status = await other.status.until((now) => readiness(condition, now) !== 'waiting', waiting);
        if (readiness(condition, status) === 'met') continue;
        const how = status.exitCode === undefined ? 'never ran' : `exited with ${status.exitCode}`;
        throw new ContainerFailure(
          'TaskDependencyError',
          `${container.name} waits for ${containerName} to reach ${condition}, but it ${how}`,
        );
      } catch (error) {
        if (!timeout.signal.aborted || until.aborted)
          throw this.ending.signal.aborted ? this.ending.signal.reason : error;
        throw new ContainerFailure(
          'TaskDependencyError',
          `${containerName} did not reach ${condition} within its start time-out of ${seconds} s, and ${container.name} waits for it`,
        );
      } finally {
        timeout.abort();
      }
    }
  }

  /** Those whose volumes or names the container takes: made, or started. @throws ContainerFailure TaskDependencyError */
  private async neededBy(container: ContainerPayload, until: AbortSignal): Promise<void> {
    const { volumesFrom = [], links = [] } = container;
    const wants = [
      ...volumesFrom.map((from) => ({ name: from.container, what: 'the volumes' as const })),
      ...links.map((link) => ({ name: link.container, what: 'the address' as const })),
    ];
    for (const { name, what } of wants) {
      const other = this.containers.find(({ payload }) => payload.name === name);
      if (other === undefined) continue;
      const has = ({ prepared, started }: ContainerStatus): boolean =>
        what === 'the volumes' ? prepared === true : started;
      const status = await other.status.until((now) => has(now) || now.phase === 'stopped', until);
      if (has(status)) continue;
      throw new ContainerFailure('TaskDependencyError', `${container.name} needs ${what} of ${name}, which never ran`);
    }
  }

  /** The time runs from the start of the container that is waited for, as in ECS. */
  private async abortLate(
    other: ContainerRun,
    seconds: number,
    timeout: AbortController,
    until: AbortSignal,
  ): Promise<void> {
    const signal = AbortSignal.any([until, timeout.signal]);
    try {
      await other.status.until(({ started }) => started, signal);
      const startedMs = this.record.containers[other.payload.name]?.startedMs ?? this.deps.clock.nowMs();
      await this.deps.clock.sleep(Math.max(0, startedMs + seconds * 1000 - this.deps.clock.nowMs()), signal);
      timeout.abort();
    } catch {
      // What was waited for came first.
    }
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
    if (this.record.ending === undefined) await this.save({ ending });
    await drain?.().catch((error: unknown) => {
      this.deps.logger.warn('draining failed; the task is stopped all the same', {
        taskId: this.payload.taskId,
        error: String(error),
      });
    });
    const stopped = new Map<string, Promise<void>>();
    const stopOne = (container: ContainerRun): Promise<void> => {
      const { name } = container.payload;
      const known = stopped.get(name);
      if (known !== undefined) return known;
      const before = this.containers.filter(({ payload }) =>
        dependents(name, this.payload.containers).includes(payload.name),
      );
      const stopping = Promise.all(before.map(stopOne)).then(() => container.stop());
      stopped.set(name, stopping);
      return stopping;
    };
    // Containers that wait for one another never ran: there is no order to keep, and none to find.
    const ordered = dependencyProblem(this.payload.containers) === undefined;
    await Promise.all(this.containers.map((container) => (ordered ? stopOne(container) : container.stop())));
  }

  /** One write after the other; each holds all that was known when it began. */
  private save(change: Partial<TaskRecord>): Promise<void> {
    this.record = { ...this.record, ...change };
    const saved = this.saving.then(() => this.deps.records.save(this.record));
    this.saving = saved.catch(() => undefined);
    return saved;
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
