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

/** Registries whose clients are kept; who names more begins anew with those that were asked longest ago. */
const MOST_CLIENTS = 100;

interface OpenClient {
  readonly client: RegistryClient;
  /** What it was made for. */
  readonly login: string;
}

export class RegistryConnections {
  /** By registry, the one asked for last at the end. */
  private readonly clients = new Map<string, OpenClient>();

  constructor(
    private readonly deps: RegistryConnectionsDeps,
    private readonly options: RegistryConnectionsOptions = {},
  ) {}

  /**
   * The client of a registry, with the tokens that it was given before; another one when the login for it is another by now.
   * @param options.credentials instead of those kept
   * @throws AppError REGISTRY_NAME_INVALID, REGISTRY_LOGIN_INVALID
   */
  async open(
    registry: string,
    options: { readonly credentials?: RegistryCredentials; readonly insecure?: boolean } = {},
  ): Promise<RegistryClient> {
    const insecure = options.insecure === true || this.isInsecure(registry);
    // To be tried, and not to be let in by an earlier token.
    if (options.credentials !== undefined) return this.made(registry, insecure, options.credentials);
    const known = await this.deps.credentials?.credentialsFor(registry);
    const login = JSON.stringify([insecure, known]);
    const before = this.clients.get(registry);
    const client = before?.login === login ? before.client : this.made(registry, insecure, known);
    this.clients.delete(registry);
    this.clients.set(registry, { client, login });
    const [oldest] = this.clients.keys();
    if (this.clients.size > MOST_CLIENTS && oldest !== undefined) this.clients.delete(oldest);
    return client;
  }

  private made(registry: string, insecure: boolean, known: RegistryCredentials | undefined): RegistryClient {
    const { clock, fetch } = this.deps;
    const { rateLimitWaitMs } = this.options;
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
