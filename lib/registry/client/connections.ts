/** Clients of other registries as the platform uses them: with the login kept for a host, http on loopback only. */
import { isIP } from 'node:net';
import type { Clock } from '../../store/index.js';
import type { Fetch, RegistryCredentials } from './authenticator.js';
import type { RegistryCredentialLookup } from './logins.js';
import { RegistryClient } from './registry-client.js';

export interface RegistryConnectionsDeps {
  readonly clock: Clock;
  /** Anonymous everywhere when absent. */
  readonly credentials?: RegistryCredentialLookup;
  readonly fetch?: Fetch;
}

export interface RegistryConnectionsOptions {
  /** Hosts, with their port, that are spoken to by http; loopback always is. */
  readonly insecureRegistries?: readonly string[];
  /** How long a request waits for a registry that limits its rate; see RegistryClientOptions. */
  readonly rateLimitWaitMs?: number;
}

export class RegistryConnections {
  constructor(
    private readonly deps: RegistryConnectionsDeps,
    private readonly options: RegistryConnectionsOptions = {},
  ) {}

  /**
   * A client that keeps its tokens while it lives.
   * @param options.credentials instead of those kept
   * @throws AppError REGISTRY_NAME_INVALID, REGISTRY_LOGIN_INVALID
   */
  async open(
    registry: string,
    options: { readonly credentials?: RegistryCredentials; readonly insecure?: boolean } = {},
  ): Promise<RegistryClient> {
    const { clock, credentials, fetch } = this.deps;
    const { rateLimitWaitMs } = this.options;
    const known = options.credentials ?? (await credentials?.credentialsFor(registry));
    const insecure = options.insecure === true || this.isInsecure(registry);
    return new RegistryClient(
      { clock, ...(fetch === undefined ? {} : { fetch }) },
      {
        registry,
        insecure,
        ...(known === undefined ? {} : { credentials: known }),
        ...(rateLimitWaitMs === undefined ? {} : { rateLimitWaitMs }),
      },
    );
  }

  private isInsecure(registry: string): boolean {
    return isLoopbackRegistry(registry) || (this.options.insecureRegistries ?? []).includes(registry);
  }
}

/** Loopback is spoken to by http without being told. */
export function isLoopbackRegistry(registry: string): boolean {
  if (!URL.canParse(`http://${registry}`)) return false;
  const { hostname } = new URL(`http://${registry}`);
  return hostname === 'localhost' || hostname === '[::1]' || (isIP(hostname) === 4 && hostname.startsWith('127.'));
}
