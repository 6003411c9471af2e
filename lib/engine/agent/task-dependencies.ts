/**
 * How the containers of a task wait for one another: before they start, for what `dependsOn`, `volumesFrom` and `links`
 * ask for, and at the end in the reverse order.
 */
import type { Clock } from '../../store/index.js';
import { ContainerFailure } from './container-failure.js';
import { type ContainerStatus, dependencyProblem, dependents, readiness } from './dependencies.js';
import type { Observed } from './observed.js';
import type { ContainerPayload } from './types.js';

export interface WaitedFor {
  readonly payload: ContainerPayload;
  readonly status: Observed<ContainerStatus>;
}

export interface WaitingTask {
  readonly containers: readonly WaitedFor[];
  /** When the container was last started. */
  readonly startedMs: (container: string) => number | undefined;
  /** Aborts when no further container is to be started. */
  readonly ending: AbortSignal;
}

export class TaskDependencies {
  constructor(
    private readonly clock: Clock,
    private readonly task: WaitingTask,
  ) {}

  /** Waits until the container may start. @throws ContainerFailure TaskDependencyError, and the signal's reason */
  async until(container: ContainerPayload, until: AbortSignal): Promise<void> {
    await this.neededBy(container, until);
    for (const { containerName, condition } of container.dependsOn ?? []) {
      const other = this.task.containers.find(({ payload }) => payload.name === containerName);
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
        if (!timeout.signal.aborted || until.aborted) throw this.task.ending.aborted ? this.task.ending.reason : error;
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
      const other = this.task.containers.find(({ payload }) => payload.name === name);
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
    other: WaitedFor,
    seconds: number,
    timeout: AbortController,
    until: AbortSignal,
  ): Promise<void> {
    const signal = AbortSignal.any([until, timeout.signal]);
    try {
      await other.status.until(({ started }) => started, signal);
      const startedMs = this.task.startedMs(other.payload.name) ?? this.clock.nowMs();
      await this.clock.sleep(Math.max(0, startedMs + seconds * 1000 - this.clock.nowMs()), signal);
      timeout.abort();
    } catch {
      // What was waited for came first.
    }
  }
}

/** Ends all containers, each after those that depend on it. Resolves when all have ended. */
export async function stopInOrder(
  containers: readonly (WaitedFor & { readonly stop: () => Promise<void> })[],
): Promise<void> {
  const payloads = containers.map(({ payload }) => payload);
  // Containers that wait for one another never ran: there is no order to keep, and none to find.
  if (dependencyProblem(payloads) !== undefined) {
    await Promise.all(containers.map((container) => container.stop()));
    return;
  }
  const stopped = new Map<string, Promise<void>>();
  const stopOne = (container: (typeof containers)[number]): Promise<void> => {
    const { name } = container.payload;
    const known = stopped.get(name);
    if (known !== undefined) return known;
    const before = containers.filter(({ payload }) => dependents(name, payloads).includes(payload.name));
    const stopping = Promise.all(before.map(stopOne)).then(() => container.stop());
    stopped.set(name, stopping);
    return stopping;
  };
  await Promise.all(containers.map(stopOne));
}
