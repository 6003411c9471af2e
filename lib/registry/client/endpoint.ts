/**
 * Where a registry named in a reference is reached, and whether plain http may be spoken to it: only when the caller
 * says so, and only to a loopback or private name, so that no flag can send a password over the open internet.
 */
import { isIP } from 'node:net';
import { AppError } from '../../errors/index.js';

export interface Endpoint {
  /** As written by the user, for messages. */
  readonly registry: string;
  /** `https://host[:port]`, without a path. */
  readonly origin: string;
  readonly isInsecure: boolean;
}

/** Docker Hub's name in references, and the host that serves it. */
const DOCKER_HUB = new Set(['docker.io', 'index.docker.io', 'registry-1.docker.io']);
const HOST = /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::\d{1,5})?$/;

/** Whether it is a host with an optional port. */
export function isRegistryName(registry: string): boolean {
  return HOST.test(registry) && URL.canParse(`https://${registry}`);
}

/** @throws AppError REGISTRY_NAME_INVALID, REGISTRY_INSECURE_REFUSED */
export function endpointOf(registry: string, isInsecure = false): Endpoint {
  if (!isRegistryName(registry)) {
    throw new AppError('REGISTRY_NAME_INVALID', `${JSON.stringify(registry.slice(0, 200))} is not a registry`, {
      hint: 'a host name with an optional port, such as ghcr.io or 127.0.0.1:5000',
    });
  }
  const host = DOCKER_HUB.has(registry) ? 'registry-1.docker.io' : registry;
  const url = new URL(`${isInsecure ? 'http' : 'https'}://${host}`);
  if (isInsecure && !isPrivateHost(url.hostname)) {
    throw new AppError('REGISTRY_INSECURE_REFUSED', `plain http is not spoken to ${registry}`, {
      hint: 'https, or a loopback or private address',
    });
  }
  return { registry, origin: url.origin, isInsecure };
}

/** Docker Hub keeps its official images under `library/`. */
export function remoteRepository(registry: string, repository: string): string {
  return DOCKER_HUB.has(registry) && !repository.includes('/') ? `library/${repository}` : repository;
}

/** Whether we may talk to this URL on behalf of the endpoint: a token service, a redirect, an upload location. */
export function isAllowedTarget(endpoint: Endpoint, url: URL): boolean {
  if (url.protocol === 'https:') return true;
  return url.protocol === 'http:' && endpoint.isInsecure && isPrivateHost(url.hostname);
}

/** @param hostname as URL gives it, an IPv6 address in brackets */
export function isPrivateHost(hostname: string): boolean {
  const name = hostname.replace(/^\[|\]$/g, '').toLowerCase();
  if (isIP(name) === 6) return name === '::1' || /^f[cd][0-9a-f]{2}:/.test(name);
  if (isIP(name) === 4) return /^(127\.|10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.)/.test(name);
  return !name.includes('.') || /\.(localhost|local|internal|test)$/.test(name);
}
