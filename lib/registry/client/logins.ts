/**
 * Who we are at other registries: credentials by host, sealed in the SecretStore. What is not there is asked for
 * anonymously. For Amazon ECR nothing secret need be kept: it is asked for a token when one is needed.
 */
import { AppError } from '../../errors/index.js';
import type { SecretStore } from '../../store/index.js';
import type { RegistryCredentials } from './authenticator.js';
import { endpointOf } from './endpoint.js';

/** Finds the credentials for a registry; undefined: none are kept, go there as anybody. */
export interface RegistryCredentialLookup {
  credentialsFor(registry: string): Promise<RegistryCredentials | undefined>;
}

/** Gets short-lived credentials for an Amazon ECR registry with the AWS identity of this process. */
export interface EcrAuthorization {
  /** @throws AppError ECR_REFUSED and others from AWS */
  credentialsFor(registry: string): Promise<RegistryCredentials>;
}

/** `ecr`: ask AWS for a token, each time one has expired. */
export type RegistryLogin = RegistryCredentials | { readonly ecr: true };

/** What may be known of a login: no secret. */
export interface RegistryLoginInfo {
  readonly registry: string;
  readonly kind: 'password' | 'identity-token' | 'ecr';
  readonly username?: string;
}

const PREFIX = 'registry-login/';
const DOCKER_HUB = new Set(['index.docker.io', 'registry-1.docker.io']);
const ECR_HOST = /^\d{12}\.dkr\.ecr(?:-fips)?\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?$/;

export function isEcrHost(registry: string): boolean {
  return ECR_HOST.test(registry);
}

/** @example await new RegistryLogins(secrets).put('ghcr.io', { username: 'ci', password: token }) */
export class RegistryLogins implements RegistryCredentialLookup {
  constructor(
    private readonly secrets: SecretStore,
    private readonly ecr?: EcrAuthorization,
  ) {}

  /** @throws AppError REGISTRY_LOGIN_INVALID when what is kept cannot be read, and what AWS refuses with */
  async credentialsFor(registry: string): Promise<RegistryCredentials | undefined> {
    const text = await this.secrets.get(nameOf(registry));
    return text === undefined ? undefined : this.credentialsOf(registry, parse(text, registry));
  }

  /** What a login stands for, whether it is kept or not. @throws AppError REGISTRY_LOGIN_INVALID */
  async credentialsOf(registry: string, login: RegistryLogin): Promise<RegistryCredentials> {
    if (!('ecr' in login)) return login;
    checkEcr(registry);
    if (this.ecr !== undefined) return this.ecr.credentialsFor(registry);
    throw new AppError('REGISTRY_LOGIN_INVALID', 'this platform has no AWS identity to ask ECR with', {
      kind: 'unsupported',
      hint: 'a user name and a password: aws ecr get-login-password gives one for 12 hours',
    });
  }

  /** @throws AppError REGISTRY_NAME_INVALID, REGISTRY_LOGIN_INVALID */
  async put(registry: string, login: RegistryLogin): Promise<void> {
    endpointOf(registry);
    if ('ecr' in login) checkEcr(registry);
    await this.secrets.put(nameOf(registry), JSON.stringify(login));
  }

  /** @returns false when there was none */
  async delete(registry: string): Promise<boolean> {
    if ((await this.secrets.get(nameOf(registry))) === undefined) return false;
    await this.secrets.delete(nameOf(registry));
    return true;
  }

  /** By host, without any secret. */
  async list(): Promise<readonly RegistryLoginInfo[]> {
    const names = await this.secrets.list(PREFIX);
    const logins = names.map(async (name) => {
      const registry = name.slice(PREFIX.length);
      const text = await this.secrets.get(name);
      return text === undefined ? undefined : infoOf(registry, parse(text, registry));
    });
    return (await Promise.all(logins)).filter((login) => login !== undefined);
  }
}

function infoOf(registry: string, login: RegistryLogin): RegistryLoginInfo {
  if ('ecr' in login) return { registry, kind: 'ecr' };
  if ('identityToken' in login) return { registry, kind: 'identity-token' };
  return { registry, kind: 'password', username: login.username };
}

function checkEcr(registry: string): void {
  if (isEcrHost(registry)) return;
  throw new AppError('REGISTRY_LOGIN_INVALID', `${registry} is not a registry of Amazon ECR`, {
    hint: '<account>.dkr.ecr.<region>.amazonaws.com; others take a user name and a password',
  });
}

/** Docker Hub has three names and one login. */
function nameOf(registry: string): string {
  const host = registry.toLowerCase();
  // Brackets of an IPv6 address are no part of a secret's name.
  return PREFIX + (DOCKER_HUB.has(host) ? 'docker.io' : host.replace(/[[\]]/g, ''));
}

function parse(text: string, registry: string): RegistryLogin {
  const { username, password, identityToken, ecr } = JSON.parse(text) as Record<string, unknown>;
  if (ecr === true) return { ecr };
  if (typeof identityToken === 'string') return { identityToken };
  if (typeof username === 'string' && typeof password === 'string') return { username, password };
  throw new AppError('REGISTRY_LOGIN_INVALID', `the credentials kept for ${registry} cannot be read`, {
    kind: 'failed',
    hint: 'log in again',
  });
}
