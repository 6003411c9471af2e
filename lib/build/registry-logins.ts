/**
 * Who we are at other registries: credentials by host, sealed in the SecretStore. What is not there is asked for
 * anonymously.
 */
import { AppError } from '../errors/index.js';
import { endpointOf, type RegistryCredentials } from '../registry/client/index.js';
import type { SecretStore } from '../store/index.js';

/** Finds the credentials for a registry; undefined: none are kept, go there as anybody. */
export interface RegistryCredentialLookup {
  credentialsFor(registry: string): Promise<RegistryCredentials | undefined>;
}

const PREFIX = 'registry-login/';
const DOCKER_HUB = new Set(['index.docker.io', 'registry-1.docker.io']);

/** @example await new RegistryLogins(secrets).put('ghcr.io', { username: 'ci', password: token }) */
export class RegistryLogins implements RegistryCredentialLookup {
  constructor(private readonly secrets: SecretStore) {}

  /** @throws AppError REGISTRY_LOGIN_INVALID when what is kept cannot be read */
  async credentialsFor(registry: string): Promise<RegistryCredentials | undefined> {
    const text = await this.secrets.get(nameOf(registry));
    return text === undefined ? undefined : parse(text, registry);
  }

  /** @throws AppError REGISTRY_NAME_INVALID */
  async put(registry: string, credentials: RegistryCredentials): Promise<void> {
    endpointOf(registry);
    await this.secrets.put(nameOf(registry), JSON.stringify(credentials));
  }

  async delete(registry: string): Promise<void> {
    await this.secrets.delete(nameOf(registry));
  }

  /** Hosts that have credentials, sorted. */
  async list(): Promise<readonly string[]> {
    return (await this.secrets.list(PREFIX)).map((name) => name.slice(PREFIX.length));
  }
}

/** Docker Hub has three names and one login. */
function nameOf(registry: string): string {
  const host = registry.toLowerCase();
  // Brackets of an IPv6 address are no part of a secret's name.
  return PREFIX + (DOCKER_HUB.has(host) ? 'docker.io' : host.replace(/[[\]]/g, ''));
}

function parse(text: string, registry: string): RegistryCredentials {
  const value = JSON.parse(text) as Record<string, unknown>;
  const { username, password, identityToken } = value;
  if (typeof identityToken === 'string') return { identityToken };
  if (typeof username === 'string' && typeof password === 'string') return { username, password };
  throw new AppError('REGISTRY_LOGIN_INVALID', `the credentials kept for ${registry} cannot be read`, {
    kind: 'failed',
    hint: 'log in again',
  });
}
