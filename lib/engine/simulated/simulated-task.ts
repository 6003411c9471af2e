/** One task that is played, not run: its containers go through their states by the clock, in the order of dependsOn. */
import type { Clock } from '../../store/index.js';
import { type ContainerStatus, readiness } from '../agent/dependencies.js';
import type { AgentEvent, ContainerPayload, NetworkBinding, TaskPayload } from '../agent/types.js';
import { readScript, type Script } from './script.js';

export type Report = AgentEvent extends infer E ? (E extends AgentEvent ? Omit<E, 'taskId' | 'timeMs'> : never) : never;
export type Why = Omit<Extract<Report, { type: 'task-stopped' }>, 'type'>;

interface Played {
  readonly payload: ContainerPayload;
  readonly script: Script;
  status: ContainerStatus;
}

const STOP_TIMEOUT_SECONDS = 30;
const PENDING: ContainerStatus = { phase: 'pending', health: 'UNKNOWN', started: false };

export class SimulatedTask {
  readonly #containers: readonly Played[];
  readonly #ending = new AbortController();
  #why: Why | undefined;
  /** Who waits for a change of a container or of the task. */
  readonly #waiters = new Set<() => void>();
  readonly done: Promise<void>;

  constructor(
    readonly payload: TaskPayload,
    private readonly deps: {
      readonly clock: Clock;
      readonly tell: (report: Report) => void;
      /** A host port that no other simulated task has. */
      readonly freePort: () => number;
      /** Fires when the agent is closed: nothing more is told. */
      readonly closing: AbortSignal;
      readonly note: (container: string, text: string) => void;
    },
  ) {
    this.#containers = payload.containers.map((container) => ({
      payload: container,
      script: readScript(container.environment, [...(container.entryPoint ?? []), ...(container.command ?? [])]),
      status: PENDING,
    }));
    this.done = this.#play();
  }

  stop(why: Why, drain: () => Promise<void> = () => Promise.resolve()): void {
    if (this.#why !== undefined) return;
    this.#why = why;
    void drain().then(
      () => this.#ending.abort(),
      () => this.#ending.abort(),
    );
  }

  async #play(): Promise<void> {
    try {
      this.#tell({ type: 'pull-started' });
      await this.#wait(Math.max(0, ...this.#containers.map(({ script }) => script.pullMs)), this.#ending.signal);
      this.#tell({ type: 'pull-stopped' });
      await Promise.all(this.#containers.map((each) => this.#playContainer(each)));
      this.#tell({ type: 'task-stopped', ...(this.#why ?? ENDED) });
    } catch (error) {
      if (!this.deps.closing.aborted) throw error;
    }
  }

  async #playContainer(container: Played): Promise<void> {
    const { payload, script } = container;
    const { name } = payload;
    const cannot = script.fail ?? (await this.#dependencies(payload));
    if (cannot !== undefined && !this.#ending.signal.aborted) {
      this.#set(container, { ...container.status, phase: 'stopped', reason: cannot });
      this.#tell({ type: 'container', container: name, status: 'STOPPED', reason: cannot });
      if (payload.essential) this.#end({ stopCode: 'TaskFailedToStart', reason: cannot });
      return;
    }
    await this.#wait(script.startMs, this.#ending.signal);
    if (this.#ending.signal.aborted) return this.#ended(container, undefined);
    this.#tell({
      type: 'container',
      container: name,
      status: 'RUNNING',
      runtimeId: `simulated-${this.payload.taskId.slice(0, 12)}-${name}`,
      networkBindings: this.#bindings(payload),
      ...this.#address(),
    });
    this.deps.note(name, 'started');
    this.#set(container, { phase: 'running', started: true, health: 'UNKNOWN' });
    if (payload.healthCheck !== undefined) void this.#check(container);
    if (script.runMs === undefined) await this.#until(() => this.#ending.signal.aborted);
    else await this.#wait(script.runMs, this.#ending.signal);
    if (!this.#ending.signal.aborted) return this.#ended(container, script.exitCode);
    const timeoutMs = (payload.stopTimeoutSeconds ?? STOP_TIMEOUT_SECONDS) * 1000;
    await this.#wait(Math.min(script.stopMs, timeoutMs), undefined);
    // SIGTERM ends a program that does not handle it with 143; what does not end is killed.
    this.#ended(container, script.stopMs > timeoutMs ? 137 : 143);
  }

  #ended(container: Played, exitCode: number | undefined): void {
    const { name, essential } = container.payload;
    const code = exitCode === undefined ? {} : { exitCode };
    this.#set(container, { ...container.status, phase: 'stopped', ...code });
    this.#tell({ type: 'container', container: name, status: 'STOPPED', ...code });
    this.deps.note(name, exitCode === undefined ? 'never started' : `ended with ${String(exitCode)}`);
    if (essential) this.#end(ENDED);
  }

  /** @returns why it will never start; undefined when it may */
  async #dependencies({ dependsOn = [] }: ContainerPayload): Promise<string | undefined> {
    const state = (): string => {
      const all = dependsOn.map(({ containerName, condition }) =>
        readiness(condition, this.#containers.find(({ payload }) => payload.name === containerName)?.status ?? PENDING),
      );
      return all.includes('impossible') ? 'impossible' : all.includes('waiting') ? 'waiting' : 'met';
    };
    await this.#until(() => this.#ending.signal.aborted || state() !== 'waiting');
    const names = dependsOn.map(({ containerName, condition }) => `${containerName} (${condition})`).join(', ');
    return state() === 'impossible' ? `TaskDependencyError: ${names} cannot be met any more` : undefined;
  }

  async #check(container: Played): Promise<void> {
    const { script, payload } = container;
    try {
      await this.#wait(script.healthAfterMs, this.#ending.signal);
    } catch {
      return;
    }
    if (container.status.phase !== 'running' || this.#ending.signal.aborted) return;
    this.#set(container, { ...container.status, health: script.health });
    this.#tell({ type: 'health', container: payload.name, health: script.health });
  }

  #bindings({ portMappings }: ContainerPayload): NetworkBinding[] {
    if (this.payload.networkMode !== 'bridge' && this.payload.networkMode !== 'host') return [];
    return portMappings.map(({ containerPort, hostPort, protocol }) => ({
      bindIP: '127.0.0.1',
      containerPort,
      hostPort: hostPort ?? (this.payload.networkMode === 'host' ? containerPort : this.deps.freePort()),
      protocol,
    }));
  }

  /** Nothing answers there; from the range for documentation (RFC 5737). */
  #address(): { readonly address?: string; readonly ownInterface?: boolean } {
    if (this.payload.networkMode !== 'awsvpc') return {};
    return {
      address: `192.0.2.${String(1 + (Number.parseInt(this.payload.taskId.slice(0, 4), 16) % 254))}`,
      ownInterface: true,
    };
  }

  #end(why: Why): void {
    this.#why ??= why;
    this.#ending.abort();
    this.#wake();
  }

  #set(container: Played, status: ContainerStatus): void {
    container.status = status;
    this.#wake();
  }

  #wake(): void {
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const resolve of waiters) resolve();
  }

  async #until(holds: () => boolean): Promise<void> {
    const wake = (): void => this.#wake();
    for (const signal of [this.#ending.signal, this.deps.closing]) signal.addEventListener('abort', wake);
    try {
      while (!holds()) {
        this.deps.closing.throwIfAborted();
        await new Promise<void>((resolve) => this.#waiters.add(resolve));
      }
    } finally {
      for (const signal of [this.#ending.signal, this.deps.closing]) signal.removeEventListener('abort', wake);
    }
  }

  /** Ends early when the signal fires. @throws what the agent was closed with */
  async #wait(ms: number, early: AbortSignal | undefined): Promise<void> {
    this.deps.closing.throwIfAborted();
    if (ms === 0 || early?.aborted === true) return;
    const signals = [this.deps.closing, ...(early === undefined ? [] : [early])];
    await this.deps.clock.sleep(ms, AbortSignal.any(signals)).catch(() => undefined);
    this.deps.closing.throwIfAborted();
  }

  #tell(report: Report): void {
    this.deps.closing.throwIfAborted();
    this.deps.tell(report);
  }
}

const ENDED: Why = { stopCode: 'EssentialContainerExited', reason: 'Essential container in task exited' };
