/** The part of the API that is about the registry itself: what it holds, and who may use it. */
import type { NewRobotSecret, RobotInfo, RobotSpec } from '../auth/index.js';
import type { Upstream } from '../registry/cache/index.js';
import type { RegistryLogin, RegistryLoginInfo } from '../registry/client/index.js';
import type { Digest } from '../oci/index.js';
import type { RegistryStats, VerifyEvent, VerifyOptions } from '../registry/index.js';
import { parseEvents } from './event-stream.js';
import type { Transport } from './transport.js';

interface CallSettings {
  readonly signal?: AbortSignal;
}

export class RegistryCalls {
  constructor(private readonly transport: Transport) {}

  stats(): Promise<RegistryStats> {
    return this.transport.call('GET', '/v1/registry/stats');
  }

  /** Reads everything back; the last event is `finished`. */
  async *verify({ repair, ...settings }: CallSettings & VerifyOptions = {}): AsyncIterable<VerifyEvent> {
    const headers = { accept: 'text/event-stream' };
    const query = repair === true ? { query: { repair: 'true' } } : {};
    const { body } = await this.transport.send('POST', '/v1/registry/verify', { headers, ...query, ...settings });
    for await (const event of parseEvents(body)) yield JSON.parse(event.data) as VerifyEvent;
  }

  readonly robots = {
    create: (name: string, spec: RobotSpec): Promise<RobotInfo & NewRobotSecret> =>
      this.transport.call('POST', '/v1/registry/robots', { json: { name, ...spec } }),
    list: async (): Promise<readonly RobotInfo[]> =>
      (await this.transport.call<{ robots: readonly RobotInfo[] }>('GET', '/v1/registry/robots')).robots,
    get: (name: string): Promise<RobotInfo> => this.transport.call('GET', robotPath(name)),
    /** Secrets stay. */
    change: (name: string, spec: RobotSpec): Promise<RobotInfo> =>
      this.transport.call('PUT', robotPath(name), { json: spec }),
    remove: (name: string): Promise<void> => this.transport.call('DELETE', robotPath(name)),
    addSecret: (name: string): Promise<RobotInfo & NewRobotSecret> =>
      this.transport.call('POST', `${robotPath(name)}/secrets`),
    revokeSecret: (name: string, secretId: string): Promise<RobotInfo> =>
      this.transport.call('DELETE', `${robotPath(name)}/secrets/${encodeURIComponent(secretId)}`),
  };

  /** Of the platform, at other registries. */
  readonly logins = {
    list: async (): Promise<readonly RegistryLoginInfo[]> =>
      (await this.transport.call<{ logins: readonly RegistryLoginInfo[] }>('GET', '/v1/registry/logins')).logins,
    put: (registry: string, login: RegistryLogin, options: { readonly unchecked?: boolean } = {}): Promise<void> =>
      this.transport.call('PUT', loginPath(registry), { json: login, query: { ...options } }),
    remove: (registry: string): Promise<void> => this.transport.call('DELETE', loginPath(registry)),
  };

  /** Caches of other registries. */
  readonly upstreams = {
    list: async (): Promise<readonly Upstream[]> =>
      (await this.transport.call<{ upstreams: readonly Upstream[] }>('GET', '/v1/registry/upstreams')).upstreams,
    put: (
      prefix: string,
      settings: Omit<Upstream, 'prefix' | 'tagTtlSeconds'> & Partial<Pick<Upstream, 'tagTtlSeconds'>>,
    ): Promise<Upstream> => this.transport.call('PUT', upstreamPath(prefix), { json: settings }),
    remove: (prefix: string): Promise<void> => this.transport.call('DELETE', upstreamPath(prefix)),
  };

  /** Looks a tag of a cache up at its upstream now. */
  refresh(image: string): Promise<{ repository: string; tag: string; digest: Digest; changed: boolean }> {
    return this.transport.call('POST', '/v1/registry/refreshes', { json: { image } });
  }

  /** Repositories that anyone may pull, as patterns. */
  readonly published = this.patterns('/v1/registry/public');
  /** Repositories that take manifests that name what is not there, as patterns. */
  readonly sparse = this.patterns('/v1/registry/sparse');

  private patterns(path: string) {
    const one = (pattern: string): string => `${path}/${encodeURIComponent(pattern)}`;
    return {
      list: async (): Promise<readonly string[]> =>
        (await this.transport.call<{ repositories: readonly string[] }>('GET', path)).repositories,
      add: (pattern: string): Promise<void> => this.transport.call('PUT', one(pattern)),
      remove: (pattern: string): Promise<void> => this.transport.call('DELETE', one(pattern)),
    };
  }
}

function robotPath(name: string): string {
  return `/v1/registry/robots/${encodeURIComponent(name)}`;
}

function loginPath(registry: string): string {
  return `/v1/registry/logins/${encodeURIComponent(registry)}`;
}

function upstreamPath(prefix: string): string {
  return `/v1/registry/upstreams/${encodeURIComponent(prefix)}`;
}
