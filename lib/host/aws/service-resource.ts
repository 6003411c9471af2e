/**
 * The services that CloudFormation templates want (construct Service), asked of the platform's own API: what a person
 * does with `wharf deploy`, told by the provider framework. `onEvent` makes a release, `isComplete` is asked until its
 * deployment has ended. Saying the same twice is one release, since the API takes the same spec for no change.
 */
import { isDeepStrictEqual } from 'node:util';
import { AppError, toAppError } from '../../errors/index.js';
import type { WharfClient } from '../../client/index.js';
import type { Deployment, Release, Service, ServiceSpec } from '../../platform/index.js';
import type { Clock, Logger } from '../../store/index.js';

/** As the provider framework hands them over. */
export interface ServiceEvent {
  readonly RequestType: 'Create' | 'Update' | 'Delete';
  /** Absent at Create, until `onEvent` has answered. */
  readonly PhysicalResourceId?: string;
  readonly ResourceProperties: Readonly<Record<string, unknown>>;
  /** What `onEvent` answered; absent until it has. Empty when there is nothing to wait for. */
  readonly DeploymentId?: string;
}

export interface BegunService {
  readonly PhysicalResourceId: string;
  readonly DeploymentId: string;
}

export interface ServiceProgress {
  readonly IsComplete: boolean;
  readonly Data?: { readonly Release: number; readonly Digest: string };
}

export interface ServiceResourceDeps {
  readonly client: Pick<WharfClient, 'services'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface Wanted {
  readonly cluster: string;
  readonly name: string;
  readonly spec: ServiceSpec;
}

/** How long what may pass is waited out: a copy to ECR, a cluster that the platform has not met yet. */
const PATIENCE_MS = 240_000;
const PAUSE_MS = 5_000;

export class ServiceResource {
  constructor(private readonly deps: ServiceResourceDeps) {}

  /** @throws Error with the API's sentence, for CloudFormation to show */
  async onEvent(event: ServiceEvent): Promise<BegunService> {
    if (event.RequestType === 'Delete') {
      const physicalId = event.PhysicalResourceId ?? '';
      await this.remove(physicalId);
      return { PhysicalResourceId: physicalId, DeploymentId: '' };
    }
    const wanted = wantedService(event.ResourceProperties);
    const physicalId = `${wanted.cluster}/${wanted.name}`;
    if (event.PhysicalResourceId !== physicalId) await this.refuseStrangers(wanted);
    const { deployment, release, changed } = await this.ask(() =>
      this.deps.client.services.put(wanted.cluster, wanted.name, wanted.spec),
    );
    this.deps.logger.info('a service of a template', { service: physicalId, release: release.number, changed });
    return { PhysicalResourceId: physicalId, DeploymentId: deployment.id };
  }

  /** @throws Error with why the deployment failed */
  async isComplete(event: ServiceEvent): Promise<ServiceProgress> {
    const { cluster, name } = idOf(event.PhysicalResourceId ?? '') ?? { cluster: '', name: '' };
    if (event.RequestType === 'Delete') {
      return { IsComplete: name === '' || (await this.find(cluster, name)) === undefined };
    }
    const deployment = await this.deployment(cluster, name, event.DeploymentId ?? '');
    if (deployment.status === 'pending' || deployment.status === 'in-progress') return { IsComplete: false };
    if (deployment.status !== 'completed') throw new Error(failure(deployment));
    const release = await this.release(cluster, name, deployment.release);
    return { IsComplete: true, Data: { Release: release.number, Digest: release.image.digest } };
  }

  /** A service that this template has not made is not taken over: a roll-back would delete it. */
  private async refuseStrangers({ cluster, name, spec }: Wanted): Promise<void> {
    const service = await this.find(cluster, name);
    if (service === undefined) return;
    const newest = await this.release(cluster, name, service.release);
    // The same spec: this very request, said again.
    if (isDeepStrictEqual(newest.spec, spec)) return;
    throw new Error(
      `service ${name} is in cluster ${cluster} already, and this template did not make it (SERVICE_EXISTS): ` +
        `give the construct another serviceName, or delete it first: wharf rm ${name} --cluster ${cluster}`,
    );
  }

  private async remove(physicalId: string): Promise<void> {
    const id = idOf(physicalId);
    if (id === undefined) return;
    const service = await this.find(id.cluster, id.name);
    if (service?.status !== 'active') return;
    await this.ask(() => this.deps.client.services.remove(id.cluster, id.name));
    this.deps.logger.info('a service of a template is being deleted', { service: physicalId });
  }

  private find(cluster: string, name: string): Promise<Service | undefined> {
    return this.ask(() => this.deps.client.services.get(cluster, name).catch(absent));
  }

  private async deployment(cluster: string, name: string, id: string): Promise<Deployment> {
    for await (const found of pages((from) =>
      this.ask(() => this.deps.client.services.deployments(cluster, name, from)),
    )) {
      const deployment = found.deployments.find((each) => each.id === id);
      if (deployment !== undefined) return deployment;
    }
    throw new Error(`deployment ${id} of service ${name} is not known in cluster ${cluster}: deploy again`);
  }

  private async release(cluster: string, name: string, number: number): Promise<Release> {
    for await (const found of pages((from) =>
      this.ask(() => this.deps.client.services.releases(cluster, name, from)),
    )) {
      const release = found.releases.find((each) => each.number === number);
      if (release !== undefined) return release;
    }
    throw new Error(`release ${number} of service ${name} is not known in cluster ${cluster}: deploy again`);
  }

  /** All that is asked may be asked again. @throws Error for CloudFormation, of what does not pass by itself */
  private async ask<T>(call: () => Promise<T>): Promise<T> {
    const untilMs = this.deps.clock.nowMs() + PATIENCE_MS;
    for (;;) {
      try {
        return await call();
      } catch (error) {
        if (!mayPass(error) || this.deps.clock.nowMs() >= untilMs) throw sentence(error);
        this.deps.logger.warn('asked again in a moment', { error });
        await this.deps.clock.sleep(PAUSE_MS);
      }
    }
  }
}

/** What the API, or the gateway before it, says now and not in a moment. A new platform meets its cluster within a minute. */
function mayPass(error: unknown): boolean {
  if (!(error instanceof AppError)) return false;
  return error.retryable || ['limited', 'internal'].includes(error.kind) || error.code === 'CLUSTER_NOT_FOUND';
}

function absent(error: unknown): undefined {
  if (error instanceof AppError && error.kind === 'not-found') return undefined;
  throw error;
}

async function* pages<T extends { readonly cursor?: string }>(
  read: (query: { readonly cursor?: string }) => Promise<T>,
): AsyncGenerator<T> {
  let query: { readonly cursor?: string } | undefined = {};
  while (query !== undefined) {
    const page: T = await read(query);
    yield page;
    query = page.cursor === undefined ? undefined : { cursor: page.cursor };
  }
}

function wantedService(properties: ServiceEvent['ResourceProperties']): Wanted {
  const [cluster, name, spec] = ['Cluster', 'ServiceName', 'Spec'].map((property) => properties[property]);
  if (typeof cluster === 'string' && typeof name === 'string' && typeof spec === 'string') {
    return { cluster, name, spec: JSON.parse(spec) as ServiceSpec };
  }
  throw new AppError('SERVICE_RESOURCE_INVALID', 'Cluster, ServiceName and Spec of the service have to be texts', {
    hint: 'the construct Service sets them',
  });
}

/** Undefined for what is none of ours, such as the name of a resource that was never made. */
function idOf(physicalId: string): { readonly cluster: string; readonly name: string } | undefined {
  const [, cluster, name] = /^([a-z0-9-]+)\/([a-z0-9-]+)$/.exec(physicalId) ?? [];
  return cluster === undefined || name === undefined ? undefined : { cluster, name };
}

function failure({ service, release, status, reason, rolledBackTo }: Deployment): string {
  const back = rolledBackTo === undefined ? '' : `; release ${rolledBackTo} runs`;
  return `release ${release} of service ${service} is ${status}: ${reason ?? 'no reason was given'}${back}`;
}

/** As CloudFormation shows it: the sentence with its code, and what to do. */
function sentence(thrown: unknown): Error {
  const { message, code, hint } = toAppError(thrown);
  return new Error([`${message} (${code})`, ...(hint === undefined ? [] : [hint])].join('\n'), { cause: thrown });
}
