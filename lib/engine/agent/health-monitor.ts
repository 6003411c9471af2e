/** Runs a container's health check for as long as the container runs, with docker's rules for start period and retries. */
import type { Clock } from '../../store/index.js';
import type { ContainerPayload, HealthStatus } from './types.js';

type HealthCheck = NonNullable<ContainerPayload['healthCheck']>;

export interface HealthProbe {
  /** Runs the command inside; true when it ended with 0 in time. */
  run(args: readonly string[], timeoutMs: number): Promise<boolean>;
}

/** The command to run; undefined when the check says NONE or has no known form. */
export function healthCommand(check: HealthCheck, shell: readonly string[]): readonly string[] | undefined {
  const [form, ...rest] = check.command;
  if (form === 'CMD' && rest.length > 0) return rest;
  if (form === 'CMD-SHELL' && rest.length > 0) return [...shell, rest.join(' ')];
  return undefined;
}

/**
 * Checks until the signal aborts. Failures within the start period do not count; a success ends it.
 * @param startedMs when the container started
 * @param adopted whether the container ran before us: then the first check is made at once
 */
export async function monitorHealth(
  deps: { readonly clock: Clock; readonly probe: HealthProbe },
  check: HealthCheck,
  options: {
    readonly command: readonly string[];
    readonly startedMs: number;
    readonly adopted: boolean;
    readonly signal: AbortSignal;
  },
  report: (health: HealthStatus) => void,
): Promise<void> {
  const { clock, probe } = deps;
  const { signal } = options;
  let health = 'UNKNOWN' as HealthStatus;
  let failures = 0;
  let wait = options.adopted ? 0 : check.intervalSeconds * 1000;
  while (!signal.aborted) {
    await clock.sleep(wait, signal).catch(() => undefined);
    if (signal.aborted) return;
    wait = check.intervalSeconds * 1000;
    const startedAt = clock.nowMs();
    const good = await probe.run(options.command, check.timeoutSeconds * 1000).catch(() => false);
    if (signal.aborted) return;
    const starting = health === 'UNKNOWN' && startedAt < options.startedMs + check.startPeriodSeconds * 1000;
    if (good) failures = 0;
    else if (!starting) failures += 1;
    const now: HealthStatus = good ? 'HEALTHY' : failures >= check.retries ? 'UNHEALTHY' : health;
    if (now !== health) report(now);
    health = now;
  }
}
