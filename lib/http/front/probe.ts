/** Health probes of a target: a TCP connection, or an HTTP request that must be answered with 200 to 399. */
import { request } from 'node:http';
import { connect } from 'node:net';
import type { Target } from '../../engine/index.js';
import type { Clock } from '../../store/index.js';
import type { FrontTarget } from './target.js';

export interface HealthCheck {
  /** HTTP path; a TCP connection is enough when absent. */
  readonly path?: string;
  /** Between probes of a healthy target. */
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Failed probes in a row until a healthy target is unhealthy. */
  readonly retries: number;
  /** How long a new target may fail before it counts as unhealthy. */
  readonly startPeriodMs: number;
}

/** Between probes of a target that is not healthy yet: a new task should not wait for the next long interval. */
const EAGER_MS = 200;

/** Probes the target until it is removed, keeping its state true. The check is read anew before each probe. */
export async function watchHealth(target: FrontTarget, check: () => HealthCheck, clock: Clock): Promise<void> {
  const { signal } = target.removed;
  const startedMs = clock.nowMs();
  let failures = 0;
  while (!signal.aborted) {
    const current = check();
    const passed = await probe(target.address, current);
    if (signal.aborted) return;
    failures = passed ? 0 : failures + 1;
    if (target.state !== 'draining') {
      if (passed) {
        target.state = 'healthy';
        target.isSuspect = false;
      } else if (
        target.state === 'healthy' ? failures >= current.retries : isOverdue(target, current, startedMs, clock)
      ) {
        target.state = 'unhealthy';
      }
    }
    await nap(target, target.state === 'healthy' && failures === 0 ? current.intervalMs : EAGER_MS, clock, signal);
  }
}

function isOverdue(target: FrontTarget, check: HealthCheck, startedMs: number, clock: Clock): boolean {
  return target.state === 'initial' && clock.nowMs() - startedMs > check.startPeriodMs;
}

/** Sleeps in short steps, so that a target that became suspect is looked at soon. */
async function nap(target: FrontTarget, ms: number, clock: Clock, signal: AbortSignal): Promise<void> {
  for (let left = ms; left > 0 && !signal.aborted; left -= EAGER_MS) {
    await clock.sleep(Math.min(left, EAGER_MS), signal).catch(() => {});
    if (target.isSuspect) return;
  }
}

export function probe(address: Target, check: Pick<HealthCheck, 'path' | 'timeoutMs'>): Promise<boolean> {
  return check.path === undefined
    ? probeTcp(address, check.timeoutMs)
    : probeHttp(address, check.path, check.timeoutMs);
}

function probeTcp({ host, port }: Target, timeout: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout });
    const end = (passed: boolean) => {
      resolve(passed);
      socket.destroy();
    };
    socket.once('connect', () => end(true));
    socket.once('timeout', () => end(false));
    socket.once('error', () => end(false));
  });
}

function probeHttp({ host, port }: Target, path: string, timeout: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probing = request({ host, port, path, timeout, agent: false, headers: { 'user-agent': 'wharf-health' } });
    probing.once('response', (response) => {
      const status = response.statusCode ?? 0;
      resolve(status >= 200 && status < 400);
      response.destroy();
    });
    probing.once('timeout', () => probing.destroy());
    probing.once('error', () => resolve(false));
    probing.once('close', () => resolve(false));
    probing.end();
  });
}
