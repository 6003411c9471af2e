/**
 * An Agent that the test drives: it runs nothing and reports what it is told to report. With `auto` it plays a machine
 * on which everything goes well. What "runs" outlives the engine, as real containers do: a payload that is handed in
 * again is adopted, and its state reported anew.
 */
import type {
  Agent,
  AgentAbilities,
  AgentEvent,
  EngineQuestions,
  HealthStatus,
  NetworkBinding,
  TaskPayload,
} from '../../lib/engine/agent/types.js';
import { type Digest, parseDigest } from '../../lib/oci/index.js';
import type { Clock } from '../../lib/store/index.js';

type Why = Parameters<Agent['stop']>[1];
type Report = AgentEvent extends infer E ? (E extends AgentEvent ? Omit<E, 'taskId' | 'timeMs'> : never) : never;

interface Entry {
  readonly payload: TaskPayload;
  /** Last container report of each container. */
  readonly reports: Map<string, Report>;
  stopping: Why | undefined;
}

export interface ScriptedAgentOptions {
  /** Containers start and stop by themselves, at once. */
  readonly auto?: boolean;
}

const DIGEST = parseDigest(`sha256:${'ab'.repeat(32)}`);

export class ScriptedAgent implements Agent {
  /** Nothing, until a test says otherwise. */
  abilities: AgentAbilities = { secrets: false, objects: false, init: false, hostPaths: [] };
  readonly #listeners = new Set<(event: AgentEvent) => void>();
  readonly #entries = new Map<string, Entry>();
  /** Every payload that was handed in, in order, repeats included. */
  readonly runs: TaskPayload[] = [];
  readonly stops: { readonly taskId: string; readonly why: Why }[] = [];
  readonly sweeps: ReadonlySet<string>[] = [];
  auto: boolean;
  /** Images with layers of their own, by name. */
  readonly images = new Map<
    string,
    { readonly digest: Digest; readonly layers: readonly { readonly digest: string; readonly sizeBytes: number }[] }
  >();
  /** What the engine of this moment answers. */
  engine: EngineQuestions | undefined;
  #nextPort = 32_768;

  constructor(
    private readonly clock: Clock,
    options: ScriptedAgentOptions = {},
  ) {
    this.auto = options.auto ?? false;
  }

  /** Ids of the tasks that are there, oldest first. */
  get taskIds(): string[] {
    return [...this.#entries.keys()];
  }

  payload(taskId: string): TaskPayload {
    return this.#entry(taskId).payload;
  }

  connect(engine: EngineQuestions): void {
    this.engine = engine;
  }

  async layers(image: string): ReturnType<NonNullable<Agent['layers']>> {
    const found = [...this.images].find(([name, { digest }]) => name === image || image.endsWith(`@${digest}`));
    return found?.[1].layers;
  }

  run(payload: TaskPayload): void {
    this.runs.push(payload);
    const known = this.#entries.get(payload.taskId);
    if (known !== undefined) {
      for (const report of known.reports.values()) this.#emit(payload.taskId, report);
      return;
    }
    this.#entries.set(payload.taskId, { payload, reports: new Map(), stopping: undefined });
    if (this.auto) queueMicrotask(() => this.start(payload.taskId));
  }

  stop(taskId: string, why: Why, drain?: () => Promise<void>): void {
    this.stops.push({ taskId, why });
    const entry = this.#entries.get(taskId);
    if (entry === undefined || entry.stopping !== undefined) return;
    entry.stopping = why;
    void (drain?.() ?? Promise.resolve()).then(() => {
      if (this.auto) this.finish(taskId);
    });
  }

  /** The engine died: whoever listened is gone, what runs goes on. A stop that was under way is forgotten. */
  abandon(): void {
    this.#listeners.clear();
    for (const entry of this.#entries.values()) entry.stopping = undefined;
  }

  /** Pulls and starts every container. */
  start(taskId: string): void {
    const entry = this.#entries.get(taskId);
    if (entry === undefined || entry.stopping !== undefined) return;
    this.#emit(taskId, { type: 'pull-started' });
    this.#emit(taskId, { type: 'pull-stopped' });
    for (const container of entry.payload.containers) this.container(taskId, container.name, 'RUNNING');
  }

  container(taskId: string, name: string, status: 'PENDING' | 'RUNNING'): void {
    const entry = this.#entry(taskId);
    const container = entry.payload.containers.find((candidate) => candidate.name === name);
    const networkBindings = (container?.portMappings ?? []).map((mapping): NetworkBinding => ({
      bindIP: '0.0.0.0',
      containerPort: mapping.containerPort,
      hostPort: mapping.hostPort ?? this.#nextPort++,
      protocol: mapping.protocol,
    }));
    const runtimeId = `${taskId}-${name}`;
    this.#report(taskId, name, {
      type: 'container',
      container: name,
      status,
      runtimeId,
      imageDigest: this.images.get(container?.image ?? '')?.digest ?? DIGEST,
      networkBindings,
    });
  }

  /** A container ends by itself; when it is essential, or the last one, the task ends with it. */
  /** Reports a container as running, with more about it than `container` tells. */
  running(taskId: string, name: string, more: Partial<Extract<AgentEvent, { type: 'container' }>>): void {
    this.#report(taskId, name, { type: 'container', container: name, status: 'RUNNING', ...more });
  }

  exit(taskId: string, name: string, exitCode: number): void {
    this.#report(taskId, name, { type: 'container', container: name, status: 'STOPPED', exitCode });
    const { payload, reports } = this.#entry(taskId);
    const essential = payload.containers.find((container) => container.name === name)?.essential === true;
    const all = payload.containers.every(({ name }) => {
      const report = reports.get(name);
      return report?.type === 'container' && report.status === 'STOPPED';
    });
    if (essential || all) this.#end(taskId, 'EssentialContainerExited', 'Essential container in task exited');
  }

  /** A container that never came up. */
  failToStart(taskId: string, reason = 'CannotPullContainerError: manifest unknown'): void {
    const name = this.#entry(taskId).payload.containers[0]?.name ?? '';
    this.#report(taskId, name, { type: 'container', container: name, status: 'STOPPED', reason });
    this.#end(taskId, 'TaskFailedToStart', reason);
  }

  health(taskId: string, name: string, health: HealthStatus): void {
    this.#emit(taskId, { type: 'health', container: name, health });
  }

  /** Completes a stop that was asked for: SIGTERM was obeyed. */
  finish(taskId: string): void {
    const entry = this.#entries.get(taskId);
    if (entry === undefined) return;
    for (const { name } of entry.payload.containers) {
      this.#report(taskId, name, { type: 'container', container: name, status: 'STOPPED', exitCode: 143 });
    }
    const why = entry.stopping ?? { stopCode: 'UserInitiated' as const, reason: '' };
    this.#end(taskId, why.stopCode, why.reason);
  }

  onEvent(listener: (event: AgentEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  sweep(known: ReadonlySet<string>): Promise<void> {
    this.sweeps.push(known);
    return Promise.resolve();
  }

  async *#lines(taskId: string): AsyncGenerator<{ timeMs: number; stream: 'stdout'; text: string }> {
    yield { timeMs: this.clock.nowMs(), stream: 'stdout', text: `hello from ${taskId}` };
  }

  /** They stay when the task has ended, as a host's do for a day. */
  logs(taskId: string): ReturnType<Agent['logs']> {
    return this.runs.some((payload) => payload.taskId === taskId) ? this.#lines(taskId) : undefined;
  }

  close(): Promise<void> {
    this.#listeners.clear();
    return Promise.resolve();
  }

  #end(
    taskId: string,
    stopCode: 'EssentialContainerExited' | 'TaskFailedToStart' | Why['stopCode'],
    reason: string,
  ): void {
    this.#entries.delete(taskId);
    this.#emit(taskId, { type: 'task-stopped', stopCode, reason });
  }

  #report(taskId: string, name: string, report: Report): void {
    this.#entry(taskId).reports.set(name, report);
    this.#emit(taskId, report);
  }

  #emit(taskId: string, report: Report): void {
    const event = { ...report, taskId, timeMs: this.clock.nowMs() } as AgentEvent;
    for (const listener of this.#listeners) listener(event);
  }

  #entry(taskId: string): Entry {
    const entry = this.#entries.get(taskId);
    if (entry === undefined) throw new Error(`the scripted agent has no task ${taskId}`);
    return entry;
  }
}
