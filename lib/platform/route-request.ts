/** What a release asks of the front: its first TCP port, checked as its health says. */
import { defined } from './values/index.js';
import type { RouteRequest } from './ports.js';
import type { PortSpec, Release } from './types.js';

/** Undefined for a release that has no TCP port. */
export function routeRequest(cluster: string, service: string, release: Release): RouteRequest | undefined {
  const port = routedPort(release.ports);
  if (port === undefined) return undefined;
  const { health } = release.spec;
  return defined({
    cluster,
    service,
    port: port.container,
    healthPath: health !== undefined && 'path' in health ? health.path : undefined,
    intervalSeconds: health?.intervalSeconds,
    timeoutSeconds: health?.timeoutSeconds,
    retries: health?.retries,
    startPeriodSeconds: health?.startPeriodSeconds,
  });
}

/** The port the front sends requests to: the first TCP one. */
export function routedPort(ports: readonly PortSpec[]): PortSpec | undefined {
  return ports.find((port) => (port.protocol ?? 'tcp') === 'tcp');
}
