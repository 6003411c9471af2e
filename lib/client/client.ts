/** The HTTP API v1, typed. Errors are AppErrors with the server's codes; streams resume by themselves. */
import { randomUUID } from 'node:crypto';
import type { ApiTokenInfo, CreatedApiToken, Role } from '../auth/index.js';
import type { Build, BuildRequest, LoggedBuildEvent, SandboxReport } from '../build/index.js';
import type { Descriptor, Digest, ImageConfig } from '../oci/index.js';
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
  TaskSpec,
} from '../platform/index.js';
import { buildQuery, type ContextAnswer, contextList, type TarBuild } from './build-query.js';
import { follow } from './event-stream.js';
import { type ExecCall, openExec, type RemoteExec } from './exec-session.js';
import { RegistryCalls } from './registry-calls.js';
import { TagCalls } from './tag-calls.js';
import { Transport, type TransportOptions } from './transport.js';

export interface PageQuery {
  readonly limit?: number;
  readonly cursor?: string;
}

/** As SubmitOptions has them. */
export interface GivenSecrets {
  readonly secrets?: ReadonlyMap<string, Uint8Array>;
  readonly ssh?: ReadonlyMap<string, readonly Uint8Array[]>;
}

export interface ImageView {
  readonly repository: string;
  readonly tag?: string;
  readonly digest: Digest;
  readonly mediaType: string;
  readonly imageId?: Digest;
  readonly platform?: string;
  readonly config?: ImageConfig;
  readonly layers?: readonly Descriptor[];
  readonly manifests?: readonly Descriptor[];
  readonly sizeBytes: number;
}

/** An image as a tar. */
export interface ArchiveQuery {
  readonly format: 'oci' | 'docker' | 'rootfs';
  readonly platform?: string;
}

export interface TagView {
  readonly tag: string;
  readonly digest: Digest;
  readonly updatedMs: number;
}

interface CallSettings {
  readonly signal?: AbortSignal;
}

export class WharfClient {
  readonly registry: RegistryCalls;
  readonly tags: TagCalls;
  private readonly transport: Transport;

  constructor(private readonly options: TransportOptions) {
    this.transport = new Transport(options);
    this.registry = new RegistryCalls(this.transport);
    this.tags = new TagCalls(this.transport);
  }

  readonly builds = {
    /** Builds from a tar while it streams. */
    fromTar: (tar: AsyncIterable<Uint8Array>, build: TarBuild, settings: CallSettings = {}): Promise<Build> =>
      this.transport.call('POST', '/v1/builds', {
        body: tar,
        contentType: 'application/x-tar',
        idempotencyKey: randomUUID(),
        query: buildQuery(build),
        ...settings,
      }),
    /** Builds from a context that was sent before. @throws AppError CONTEXT_NOT_FOUND */
    fromSent: (context: Digest, build: TarBuild, settings: CallSettings = {}): Promise<Build> =>
      this.transport.call('POST', '/v1/builds', {
        idempotencyKey: randomUUID(),
        query: { context, ...buildQuery(build) },
        ...settings,
      }),
    /** @param given values that are kept apart from the request, and sealed */
    fromContext: (request: BuildRequest, { secrets, ssh }: GivenSecrets = {}): Promise<Build> =>
      this.transport.call('POST', '/v1/builds', {
        json: {
          ...request,
          ...(secrets === undefined ? {} : { secrets: Object.fromEntries([...secrets].map(inBase64)) }),
          ...(ssh === undefined
            ? {}
            : { ssh: Object.fromEntries([...ssh].map(([id, keys]) => [id, keys.map(base64)])) }),
        },
        idempotencyKey: randomUUID(),
      }),
    uploadContext: (tar: AsyncIterable<Uint8Array>): Promise<{ digest: Digest; sizeBytes: number }> =>
      this.transport.call('POST', '/v1/contexts', { body: tar, contentType: 'application/x-tar' }),
    /** @param list as encodeContextManifest writes it */
    offerContext: (list: Uint8Array, name: string, settings: CallSettings = {}): Promise<ContextAnswer> =>
      this.transport.call('POST', '/v1/contexts', { ...contextList(list), query: { name }, ...settings }),
    /** Sends contents that are missing, from an offset on. */
    sendContents: (
      upload: string,
      contents: AsyncIterable<Uint8Array>,
      offset = 0,
      settings: CallSettings = {},
    ): Promise<{ readonly digest: Digest; readonly sizeBytes: number } | { readonly offset: number }> =>
      this.transport.call('PUT', `/v1/contexts/${segment(upload)}`, {
        body: contents,
        contentType: 'application/octet-stream',
        query: { offset },
        ...settings,
      }),
    get: (id: string): Promise<Build> => this.transport.call('GET', `/v1/builds/${segment(id)}`),
    list: (query: PageQuery = {}): Promise<{ builds: readonly Build[]; cursor?: string }> =>
      this.transport.call('GET', '/v1/builds', { query: { ...query } }),
    cancel: (id: string): Promise<Build> => this.transport.call('POST', `/v1/builds/${segment(id)}/cancel`),
    /** What a build made as a tar, while it streams. */
    image: (id: string, query: ArchiveQuery, settings: CallSettings = {}): Promise<AsyncIterable<Uint8Array>> =>
      this.stream(`/v1/builds/${segment(id)}/image`, query, settings),
    /** A cache that a build wrote for a folder, as the tar of an OCI layout. */
    cache: (id: string, digest: Digest, settings: CallSettings = {}): Promise<AsyncIterable<Uint8Array>> =>
      this.stream(`/v1/builds/${segment(id)}/cache`, { digest }, settings),
    /** All events from the first to the last, over broken connections too. */
    follow: (id: string, settings: CallSettings = {}): AsyncIterable<LoggedBuildEvent> =>
      this.followBuild(id, settings),
  };

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
      return this.stream(`/v1/images/${segment(reference)}/export`, query, settings);
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

  private async stream(
    path: string,
    query: ArchiveQuery | { readonly digest: Digest },
    settings: CallSettings,
  ): Promise<AsyncIterable<Uint8Array>> {
    return (await this.transport.send('GET', path, { query: { ...query }, ...settings })).body;
  }

  private async *followBuild(id: string, settings: CallSettings): AsyncIterable<LoggedBuildEvent> {
    const events = follow(this.transport, `/v1/builds/${segment(id)}/log`, {
      ...settings,
      isLast: ({ event }) => event === 'finished',
    });
    for await (const event of events) yield JSON.parse(event.data) as LoggedBuildEvent;
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
      isLast: () => false,
      mayEnd: true,
    });
    for await (const line of lines) yield JSON.parse(line.data) as TaskLogLine;
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

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}

function inBase64([id, bytes]: readonly [string, Uint8Array]): [string, string] {
  return [id, base64(bytes)];
}
