/**
 * The agent of every container instance on this machine: runs payloads with the real runtime and reports events. It
 * keeps nothing that matters in memory; after a restart the scheduler hands its unfinished payloads in again, and what
 * runs is found and taken over.
 */
import { setMaxListeners } from 'node:events';
import { AppError } from '../../errors/index.js';
import { removeTree } from '../../layers/index.js';
import type { Platform } from '../../oci/index.js';
import type { Images } from '../../registry/index.js';
import {
  type BridgeNetwork,
  type ContainerLogLine,
  type ExecOptions,
  type ExecSession,
  type HostScope,
  hostResolvers,
  initProgram,
  serviceAddress,
  signResolver,
  type SupervisedContainers,
  sweepStray,
} from '../../runtime/index.js';
import type { Clock, ContentStore, Logger } from '../../store/index.js';
import { RUNTIME_ID, runtimeIdOf } from './container-process.js';
import type { LayerFolders } from './container-run.js';
import type { TaskCredentialsSource } from './endpoint/task-credentials.js';
import { TaskEndpoint } from './endpoint/task-endpoint.js';
import type { ObjectSource } from './environment-files.js';
import { HostPorts } from './host-ports.js';
import { localLayers, type OtherRegistries } from './image-source.js';
import { keepMs, type LogRetention } from './log-retention.js';
import { TaskRecords } from './task-records.js';
import { TaskRun } from './task-run.js';
import type { NameServerAddress } from './names/forwarder.js';
import { NameServer } from './names/name-server.js';
import type { SecretSource } from './secret-source.js';
import type { Agent, AgentAbilities, AgentEvent, EngineQuestions, TaskPayload } from './types.js';

export interface AgentDeps {
  readonly content: Pick<ContentStore, 'read'>;
  readonly images: Pick<Images, 'manifest'>;
  /** Absent: tasks use images of the local registry only. */
  readonly otherRegistries?: OtherRegistries;
  readonly layers: LayerFolders;
  readonly scope: HostScope;
  readonly containers: SupervisedContainers;
  readonly network: BridgeNetwork;
  /** Values for `secrets` of task definitions; absent, such definitions are refused. */
  readonly secrets?: SecretSource;
  /** Objects that `environmentFiles` of task definitions name; absent, such definitions are refused. */
  readonly objects?: ObjectSource;
  /** Credentials of task roles; absent, none has any. */
  readonly credentials?: TaskCredentialsSource;
  /** How long the lines of log groups are kept; `keepLogsMs` for all when absent. */
  readonly logRetention?: LogRetention;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface AgentOptions {
  /** Of this machine: chooses from images of several platforms. */
  readonly platform: Platform;
  /** Address of the host that published ports listen on; 127.0.0.1 when absent. */
  readonly bindIp?: string;
  /** Whether a host in an image's name is this platform's own registry; none is when absent. */
  readonly isLocalRegistry?: (host: string) => boolean;
  /** Folders of this machine that tasks may mount, with all below; none when absent. */
  readonly allowedHostPaths?: readonly string[];
  /** Asked for names that are no service of a task's cluster; the host's resolvers when absent. */
  readonly nameServers?: readonly NameServerAddress[];
  /** How long logs of no group, or of one that nothing is said about, stay after a task's end, milliseconds; a day when absent. */
  readonly keepLogsMs?: number;
  /** How often expired logs are removed, and what a clean-up before could not take away, milliseconds; ten minutes when absent. */
  readonly cleanUpMs?: number;
  /** Where the search for a free host port begins, from 0 up to 1; anywhere when absent. */
  readonly random?: () => number;
}

const DAY_MS = 24 * 60 * 60 * 1000;
const CLEAN_UP_MS = 10 * 60 * 1000;

export function createAgent(deps: AgentDeps, options: AgentOptions): Agent {
  return new HostAgent(deps, options);
}

class HostAgent implements Agent {
  readonly abilities: AgentAbilities;
  private readonly records: TaskRecords;
  private readonly ports: HostPorts;
  private readonly runs = new Map<string, TaskRun>();
  private readonly listeners = new Set<(event: AgentEvent) => void>();
  private readonly closing = new AbortController();
  private readonly cleaning: Promise<void>;
  private readonly endpoint: TaskEndpoint;
  private readonly names: NameServer;
  private engine: EngineQuestions | undefined;

  constructor(
    private readonly deps: AgentDeps,
    private readonly options: AgentOptions,
  ) {
    this.abilities = {
      secrets: deps.secrets !== undefined,
      objects: deps.objects !== undefined,
      init: initProgram() !== undefined,
      hostPaths: options.allowedHostPaths ?? [],
    };
    // Every container that runs waits for the close: their number is no leak.
    setMaxListeners(0, this.closing.signal);
    this.records = new TaskRecords(deps.scope);
    this.ports = new HostPorts(options.bindIp ?? '127.0.0.1', options.random ?? Math.random);
    this.cleaning = this.cleanUp();
    this.endpoint = new TaskEndpoint({
      ...deps,
      tasks: () => [...this.runs.values()].map((run) => run.snapshot()),
      ecs: () => this.engine?.call,
    });
    this.names = new NameServer(
      {
        clusterAt: (address) => [...this.runs.values()].find((run) => run.hasAddress(address))?.payload.clusterName,
        lookUp: () => this.engine?.lookUp,
        lookUpAlias: () => this.engine?.lookUpAlias,
        upstreams: async () => options.nameServers ?? (await hostResolvers()),
        sign: (answers) => signResolver(deps.scope, answers),
        clock: deps.clock,
        logger: deps.logger,
      },
      serviceAddress(deps.scope),
    );
    void this.endpoint.listen();
    this.names.listen();
  }

  connect(engine: EngineQuestions): void {
    this.engine = engine;
  }

  run(payload: TaskPayload): void {
    if (this.closing.signal.aborted || this.runs.has(payload.taskId)) return;
    const { platform, isLocalRegistry = () => false } = this.options;
    const run = new TaskRun(
      { ...this.deps, records: this.records, ports: this.ports, announceNames: () => this.names.announce() },
      { platform, isLocalRegistry, hostPaths: this.abilities.hostPaths },
      payload,
      (event) => this.tell(event),
      this.closing.signal,
    );
    this.runs.set(payload.taskId, run);
    void run.done.then(() => this.runs.delete(payload.taskId));
  }

  async layers(image: string): ReturnType<NonNullable<Agent['layers']>> {
    const { platform, isLocalRegistry = () => false } = this.options;
    // What is wrong with an image is told when it is pulled.
    return localLayers(this.deps, { platform, isLocalRegistry }, image).catch(() => undefined);
  }

  stop(taskId: string, why: Parameters<Agent['stop']>[1], drain?: () => Promise<void>): void {
    const run = this.runs.get(taskId);
    if (run === undefined) this.deps.logger.warn('a task that does not run is to be stopped', { taskId });
    else run.stop(why, drain);
  }

  async exec(taskId: string, containerName: string, options: ExecOptions): Promise<ExecSession | undefined> {
    const run = this.runs.get(taskId);
    if (run?.isRunning(containerName) !== true) return undefined;
    return this.deps.containers.openExec(runtimeIdOf(taskId, containerName), options);
  }

  onEvent(listener: (event: AgentEvent) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  async sweep(knownTaskIds: ReadonlySet<string>): Promise<void> {
    const isKnown = (taskId: string): boolean => knownTaskIds.has(taskId) || this.runs.has(taskId);
    await sweepStray(this.deps, (id) => {
      const taskId = RUNTIME_ID.exec(id)?.[1];
      return taskId !== undefined && !isKnown(taskId);
    });
    for (const taskId of await this.records.list()) {
      if (isKnown(taskId)) continue;
      await removeTree(this.records.folder(taskId));
      const record = await this.records.load(taskId);
      if (record !== undefined && record.finishedMs === undefined) {
        await this.records.save({ ...record, finishedMs: this.deps.clock.nowMs() });
      }
    }
    await this.removeExpired();
  }

  logs(
    taskId: string,
    containerName: string,
    options: { readonly follow?: boolean; readonly sinceMs?: number; readonly signal?: AbortSignal },
  ): AsyncIterable<ContainerLogLine> | undefined {
    if (!/^[0-9a-f]{32}$/.test(taskId)) return undefined;
    const run = this.runs.get(taskId);
    const isKnown =
      run === undefined
        ? this.records.loadNow(taskId)?.containers[containerName] !== undefined
        : run.payload.containers.some(({ name }) => name === containerName);
    if (!isKnown) return undefined;
    const ended = (): boolean => {
      const now = this.runs.get(taskId);
      return now === undefined || now.hasEnded(containerName);
    };
    return this.deps.containers.log(runtimeIdOf(taskId, containerName), { ...options, ended });
  }

  async close(): Promise<void> {
    this.closing.abort(new AppError('AGENT_CLOSED', 'the agent was closed', { kind: 'unavailable' }));
    await Promise.all([...this.runs.values()].map(({ done }) => done));
    await this.cleaning;
    await this.endpoint.close();
    await this.names.close();
  }

  private tell(event: AgentEvent): void {
    for (const listener of this.listeners) {
      try {
        listener(event);
      } catch (error) {
        this.deps.logger.error('a listener of the agent failed', { event: event.type, error: String(error) });
      }
    }
  }

  private async cleanUp(): Promise<void> {
    const { signal } = this.closing;
    while (!signal.aborted) {
      await this.deps.clock.sleep(this.options.cleanUpMs ?? CLEAN_UP_MS, signal).catch(() => undefined);
      if (signal.aborted) return;
      // All tasks that have not ended run here by now.
      await this.sweep(new Set()).catch((error: unknown) => {
        this.deps.logger.warn('what ended tasks left could not be removed', { error: String(error) });
      });
    }
  }

  /** Removes logs and records of tasks that ended long enough ago. */
  private async removeExpired(): Promise<void> {
    const retentionOf = (await this.deps.logRetention?.current()) ?? (() => undefined);
    const nowMs = this.deps.clock.nowMs();
    for (const taskId of await this.records.list()) {
      const record = this.runs.has(taskId) ? undefined : await this.records.load(taskId);
      if (record?.finishedMs === undefined) continue;
      if (record.finishedMs + keepMs(record, retentionOf, this.options.keepLogsMs ?? DAY_MS) > nowMs) continue;
      for (const { runtimeId } of Object.values(record.containers)) await this.deps.containers.forget(runtimeId);
      await this.records.remove(taskId);
    }
  }
}
