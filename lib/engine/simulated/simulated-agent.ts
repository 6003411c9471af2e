/**
 * An agent that runs nothing: tasks go through all their states by the clock, and end as their containers' scripts say.
 * For scheduling tests and for machines without root. It is never chosen by itself, and what it plays is marked.
 * Nothing outlives it: after a restart the tasks that are handed in again are played from their beginning.
 */
import type { Clock, Logger } from '../../store/index.js';
import type { Agent, AgentAbilities, AgentEvent, TaskPayload } from '../agent/types.js';
import type { TargetGroups } from '../types.js';
import { SimulatedTask, type Report } from './simulated-task.js';

export interface SimulatedAgentDeps {
  readonly clock: Clock;
  readonly logger: Logger;
}

const FIRST_PORT = 32_768;
const LAST_PORT = 60_999;
/** Tasks whose lines are kept once they have ended. */
const KEPT_LOGS = 1000;

interface Line {
  readonly timeMs: number;
  readonly stream: 'stdout';
  readonly text: string;
}

export function createSimulatedAgent(deps: SimulatedAgentDeps): Agent {
  return new SimulatedAgent(deps);
}

class SimulatedAgent implements Agent {
  readonly runtime = 'simulated';
  readonly abilities: AgentAbilities = { secrets: true, objects: true, init: true, gpus: true, hostPaths: ['/'] };
  readonly #tasks = new Map<string, SimulatedTask>();
  readonly #listeners = new Set<(event: AgentEvent) => void>();
  /** By task and container. */
  readonly #lines = new Map<string, Line[]>();
  readonly #closing = new AbortController();
  #nextPort = FIRST_PORT;

  constructor(private readonly deps: SimulatedAgentDeps) {}

  run(payload: TaskPayload): void {
    const { taskId } = payload;
    if (this.#closing.signal.aborted || this.#tasks.has(taskId)) return;
    const { clock, logger } = this.deps;
    const tell = (report: Report): void => this.#tell({ ...report, taskId, timeMs: clock.nowMs() });
    try {
      const task = new SimulatedTask(payload, {
        clock,
        // Told once `run` has returned, as by an agent that has something to do.
        tell: (report) => queueMicrotask(() => tell(report)),
        freePort: () => this.#freePort(),
        closing: this.#closing.signal,
        note: (container, text) => this.#note(taskId, container, `simulated: ${text}`),
      });
      this.#tasks.set(taskId, task);
      task.done
        .catch((error: unknown) => logger.error('a simulated task failed', { taskId, error: String(error) }))
        .finally(() => this.#tasks.delete(taskId));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      queueMicrotask(() => tell({ type: 'task-stopped', stopCode: 'TaskFailedToStart', reason }));
    }
  }

  stop(taskId: string, why: Parameters<Agent['stop']>[1], drain?: () => Promise<void>): void {
    this.#tasks.get(taskId)?.stop(why, drain);
  }

  onEvent(listener: (event: AgentEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  sweep(): Promise<void> {
    return Promise.resolve();
  }

  logs(taskId: string, containerName: string, options: { readonly sinceMs?: number }): ReturnType<Agent['logs']> {
    const lines = this.#lines.get(`${taskId}/${containerName}`);
    if (lines === undefined) return undefined;
    const since = lines.filter(({ timeMs }) => timeMs >= (options.sinceMs ?? 0));
    return (async function* () {
      yield* since;
    })();
  }

  async close(): Promise<void> {
    this.#closing.abort(new Error('the simulated agent was closed'));
    await Promise.allSettled([...this.#tasks.values()].map(({ done }) => done));
    this.#listeners.clear();
  }

  #tell(event: AgentEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  #note(taskId: string, container: string, text: string): void {
    const key = `${taskId}/${container}`;
    const lines = this.#lines.get(key) ?? [];
    lines.push({ timeMs: this.deps.clock.nowMs(), stream: 'stdout', text });
    this.#lines.set(key, lines);
    const oldest = this.#lines.keys().next().value;
    if (this.#lines.size > KEPT_LOGS && oldest !== undefined) this.#lines.delete(oldest);
  }

  #freePort(): number {
    const port = this.#nextPort;
    this.#nextPort = port === LAST_PORT ? FIRST_PORT : port + 1;
    return port;
  }
}

/** Target groups for simulated tasks: nothing listens at their targets, so every one that is registered is healthy. */
export function simulatedTargetGroups(): TargetGroups {
  const targets = new Set<string>();
  const key = (group: string, { host, port }: { readonly host: string; readonly port: number }): string =>
    `${group} ${host}:${String(port)}`;
  return {
    register: (group, target) => {
      targets.add(key(group, target));
      return Promise.resolve();
    },
    deregister: (group, target) => {
      targets.delete(key(group, target));
      return Promise.resolve();
    },
    health: (group, target) => (targets.has(key(group, target)) ? 'healthy' : 'unused'),
  };
}
