/** dependsOn: when a container may start, when it never will, and in which order containers end. */
import type { ContainerPayload, HealthStatus } from './types.js';

export interface ContainerStatus {
  readonly phase: 'pending' | 'running' | 'stopped';
  readonly exitCode?: number;
  readonly reason?: string;
  readonly health: HealthStatus;
  /** Since when it is that. */
  readonly healthSinceMs?: number;
  /** Whether its process ever ran. */
  readonly started: boolean;
  /** Whether what it mounts is ready for others. */
  readonly prepared?: boolean;
}

/** Names of the containers that must be there before this one. */
export function needs(container: ContainerPayload): readonly string[] {
  const { dependsOn = [], links = [], volumesFrom = [] } = container;
  return [
    ...dependsOn.map(({ containerName }) => containerName),
    ...links.map((link) => link.container),
    ...volumesFrom.map((from) => from.container),
  ];
}

type Condition = NonNullable<ContainerPayload['dependsOn']>[number]['condition'];

export type Readiness = 'met' | 'waiting' | 'impossible';

export function readiness(condition: Condition, status: ContainerStatus): Readiness {
  const { started, exitCode, health } = status;
  const stopped = status.phase === 'stopped';
  const met: Readonly<Record<Condition, boolean>> = {
    START: started,
    COMPLETE: stopped && started,
    SUCCESS: stopped && exitCode === 0,
    HEALTHY: !stopped && health === 'HEALTHY',
  };
  if (met[condition]) return 'met';
  return stopped ? 'impossible' : 'waiting';
}

/** Names of the containers that depend on this one: they end before it does. */
export function dependents(name: string, containers: readonly ContainerPayload[]): readonly string[] {
  return containers.filter((other) => needs(other).includes(name)).map((other) => other.name);
}

/**
 * A container that waits for itself, directly or by way of others, or for one that is not there.
 * @returns a sentence about it; undefined when all is well
 */
export function dependencyProblem(containers: readonly ContainerPayload[]): string | undefined {
  const byName = new Map(containers.map((container) => [container.name, container]));
  const finished = new Set<string>();
  const visit = (name: string, path: readonly string[]): string | undefined => {
    if (finished.has(name)) return undefined;
    if (path.includes(name)) return `containers wait for one another: ${[...path, name].join(' -> ')}`;
    const container = byName.get(name);
    if (container === undefined)
      return `container ${path.at(-1) ?? ''} depends on ${name}, which the task does not have`;
    for (const needed of needs(container)) {
      const problem = visit(needed, [...path, name]);
      if (problem !== undefined) return problem;
    }
    finished.add(name);
    return undefined;
  };
  for (const { name } of containers) {
    const problem = visit(name, []);
    if (problem !== undefined) return problem;
  }
  return undefined;
}
