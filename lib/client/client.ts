/** The HTTP API v1, typed. Errors are AppErrors with the server's codes; streams resume by themselves. */
import { randomUUID } from 'node:crypto';
import type { ApiTokenInfo, CreatedApiToken, Role } from '../auth/index.js';
import type { SandboxReport } from '../build/index.js';
import type {
  Cluster,
  ClusterSpec,
  Deployed,
  Deployment,
  Instance,
  Placement,
  PlatformEvent,
  Release,
  Service,
  ServiceSpec,
  Task,
  TaskLogLine,
  TaskRun,
  TaskSpec,
} from '../platform/index.js';
import { BuildCalls } from './build-calls.js';
import { follow } from './event-stream.js';
import { type ExecCall, openExec, type RemoteExec } from './exec-session.js';
import { RegistryCalls } from './registry-calls.js';
import { TagCalls } from './tag-calls.js';
import { type CallSettings, Transport, type TransportOptions } from './transport.js';
import type { ArchiveQuery, ImageView, PageQuery, TagView } from './views.js';

export class WharfClient {
  readonly builds: BuildCalls;
  readonly registry: RegistryCalls;
  readonly tags: TagCalls;
  private readonly transport: Transport;

  constructor(private readonly options: TransportOptions) {
    this.transport = new Transport(options);
    this.builds = new BuildCalls(this.transport);
    this.registry = new RegistryCalls(this.transport);
    this.tags = new TagCalls(this.transport);
  }

  readonly images = {
    repositories: (query: PageQuery = {}): Promise<{ repositories: readonly string[]; cursor?: string }> =>
      this.transport.call('GET', '/v1/repositories', { query: { ...query } }),
    tags: async (repository: string): Promise<readonly TagView[]> => {
      const path = `/v1/repositories/${segment(repository)}/tags`;
      return (await this.transport.call<{ tags: readonly TagView[] }>('GET', path)).tags;
    },
    get: (reference: string): Promise<ImageView> => this.transport.call('GET', `/v1/images/${segment(reference)}`),
    /** The image as a tar, while it streams. */
    export: (
      reference: string,
      query: ArchiveQuery,
      settings: CallSettings = {},
    ): Promise<AsyncIterable<Uint8Array>> => {
      return this.transport.stream(`/v1/images/${segment(reference)}/export`, { query: { ...query }, ...settings });
    },
  };

  readonly clusters = {
    put: (name: string, spec: ClusterSpec): Promise<Cluster> =>
      this.transport.call('PUT', clusterPath(name), { json: spec }),
    get: (name: string): Promise<Cluster> => this.transport.call('GET', clusterPath(name)),
    list: (query: PageQuery = {}): Promise<{ clusters: readonly Cluster[]; cursor?: string }> =>
      this.transport.call('GET', '/v1/clusters', { query: { ...query } }),
    remove: (name: string, options: { readonly force?: boolean } = {}): Promise<void> =>
      this.transport.call('DELETE', clusterPath(name), { query: { force: options.force } }),
    instances: async (name: string): Promise<readonly Instance[]> => {
      const path = `${clusterPath(name)}/instances`;
      return (await this.transport.call<{ instances: readonly Instance[] }>('GET', path)).instances;
    },
    /** Why tasks have no place: of services that wait, and of single runs of the last hour. */
    placements: async (name: string): Promise<readonly Placement[]> => {
      const path = `${clusterPath(name)}/placements`;
      return (await this.transport.call<{ placements: readonly Placement[] }>('GET', path)).placements;
    },
    drain: (name: string, instance: string): Promise<Instance> =>
      this.transport.call('POST', `${clusterPath(name)}/instances/${segment(instance)}/drain`),
  };

  readonly services = {
    put: (cluster: string, name: string, spec: ServiceSpec): Promise<Deployed> =>
      this.transport.call('PUT', servicePath(cluster, name), { json: spec }),
    get: (cluster: string, name: string): Promise<Service> => this.transport.call('GET', servicePath(cluster, name)),
    list: (cluster: string, query: PageQuery = {}): Promise<{ services: readonly Service[]; cursor?: string }> =>
      this.transport.call('GET', `${clusterPath(cluster)}/services`, { query: { ...query } }),
    remove: (cluster: string, name: string): Promise<void> => this.transport.call('DELETE', servicePath(cluster, name)),
    releases: (
      cluster: string,
      name: string,
      query: PageQuery = {},
    ): Promise<{ releases: readonly Release[]; cursor?: string }> =>
      this.transport.call('GET', `${servicePath(cluster, name)}/releases`, { query: { ...query } }),
    deployments: (
      cluster: string,
      name: string,
      query: PageQuery = {},
    ): Promise<{ deployments: readonly Deployment[]; cursor?: string }> =>
      this.transport.call('GET', `${servicePath(cluster, name)}/deployments`, { query: { ...query } }),
    /** Why its tasks have no place; null when they all have one. */
    placement: (cluster: string, name: string): Promise<{ waiting: Placement | null }> =>
      this.transport.call('GET', `${servicePath(cluster, name)}/placement`),
    /** @param release the last complete one before the newest when absent */
    rollback: (cluster: string, name: string, release?: number): Promise<Deployed> =>
      this.transport.call('POST', `${servicePath(cluster, name)}/rollback`, {
        json: release === undefined ? {} : { release },
        idempotencyKey: randomUUID(),
      }),
  };

  readonly tasks = {
    run: (cluster: string, spec: TaskSpec): Promise<Task> =>
      this.transport.call('POST', `${clusterPath(cluster)}/tasks`, { json: spec, idempotencyKey: randomUUID() }),
    /** So many equal tasks, 100 at most; some may find a place and others none. */
    runMany: (cluster: string, spec: TaskSpec, count: number): Promise<TaskRun> =>
      this.transport.call('POST', `${clusterPath(cluster)}/tasks`, {
        json: { ...spec, count },
        idempotencyKey: randomUUID(),
      }),
    get: (cluster: string, id: string): Promise<Task> => this.transport.call('GET', taskPath(cluster, id)),
    list: (
      cluster: string,
      query: PageQuery & { readonly service?: string; readonly status?: 'running' | 'stopped' | 'all' } = {},
    ): Promise<{ tasks: readonly Task[]; cursor?: string }> =>
      this.transport.call('GET', `${clusterPath(cluster)}/tasks`, { query: { ...query } }),
    stop: (cluster: string, id: string, reason?: string): Promise<Task> =>
      this.transport.call('POST', `${taskPath(cluster, id)}/stop`, { json: reason === undefined ? {} : { reason } }),
    /** Runs a command in a running container. @throws AppError TASK_NOT_RUNNING, EXEC_UNSUPPORTED */
    exec: (cluster: string, id: string, call: ExecCall): Promise<RemoteExec> =>
      openExec(this.options, `${taskPath(cluster, id)}/exec`, call),
    /** What its containers wrote; with `follow` until they end. */
    logs: (
      cluster: string,
      id: string,
      options: CallSettings & {
        readonly follow?: boolean;
        readonly container?: string;
        readonly sinceMs?: number;
      } = {},
    ): AsyncIterable<TaskLogLine> => this.readLogs(cluster, id, options),
  };

  readonly events = {
    list: (
      query: PageQuery & { readonly cluster?: string; readonly service?: string } = {},
    ): Promise<{ events: readonly PlatformEvent[]; cursor?: string }> =>
      this.transport.call('GET', '/v1/events', { query: { ...query } }),
  };

  readonly secrets = {
    list: async (): Promise<readonly { readonly name: string }[]> =>
      (await this.transport.call<{ secrets: readonly { name: string }[] }>('GET', '/v1/secrets')).secrets,
    put: (name: string, value: string): Promise<void> =>
      this.transport.call('PUT', `/v1/secrets/${segment(name)}`, { json: { value } }),
    remove: (name: string): Promise<void> => this.transport.call('DELETE', `/v1/secrets/${segment(name)}`),
  };

  readonly tokens = {
    create: (name: string, role: Role, expiresInSeconds?: number): Promise<CreatedApiToken> =>
      this.transport.call('POST', '/v1/tokens', { json: { name, role, expiresInSeconds } }),
    list: async (): Promise<readonly ApiTokenInfo[]> =>
      (await this.transport.call<{ tokens: readonly ApiTokenInfo[] }>('GET', '/v1/tokens')).tokens,
    revoke: (id: string): Promise<void> => this.transport.call('DELETE', `/v1/tokens/${segment(id)}`),
  };

  /** That the API answers, with its version; no token is looked at. */
  health(): Promise<{ readonly status: string; readonly version: string }> {
    return this.transport.call('GET', '/healthz');
  }

  /** What functions may do on their machines, tried when they were deployed; none on one machine. */
  async sandboxes(): Promise<readonly SandboxReport[]> {
    return (await this.transport.call<{ sandboxes: readonly SandboxReport[] }>('GET', '/v1/sandboxes')).sandboxes;
  }

  private async *readLogs(
    cluster: string,
    id: string,
    options: CallSettings & { readonly follow?: boolean; readonly container?: string; readonly sinceMs?: number },
  ): AsyncIterable<TaskLogLine> {
    const { signal, ...query } = options;
    const lines = follow(this.transport, `${taskPath(cluster, id)}/logs`, {
      query,
      ...(signal === undefined ? {} : { signal }),
      isLast: ({ event }) => event === 'end',
    });
    for await (const { event, data } of lines) if (event === 'line') yield JSON.parse(data) as TaskLogLine;
  }
}

function clusterPath(cluster: string): string {
  return `/v1/clusters/${segment(cluster)}`;
}

function servicePath(cluster: string, service: string): string {
  return `${clusterPath(cluster)}/services/${segment(service)}`;
}

function taskPath(cluster: string, task: string): string {
  return `${clusterPath(cluster)}/tasks/${segment(task)}`;
}

function segment(text: string): string {
  return encodeURIComponent(text);
}
