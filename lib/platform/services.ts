/**
 * Services: what people ask for and see. A release is immutable and numbered 1, 2, 3, …; deploying makes one
 * (`releases.ts`) and hands it to ECS (`deployments.ts`). Rolling back makes a new release that copies an old one.
 */
import { AppError } from '../errors/index.js';
import type { RecordStore } from '../store/index.js';
import type { ClusterRecord } from './cluster-record.js';
import type { Deployments } from './deployments.js';
import type { Ecs, EcsService } from './ecs/index.js';
import { checkImage, exposedPorts, type ImageCheckDeps, type ImageCheckOptions } from './image-check.js';
import { checkName, clusterNotFound, keys, serviceNotFound } from './keys.js';
import type { NewRelease, Releases } from './releases.js';
import { routedPort, routeRequest } from './route-request.js';
import type { ServiceRecord, ServiceRecords } from './service-records.js';
import type { ServiceRemoval } from './service-removal.js';
import type { Routing } from './ports.js';
import type { Deployment, Page, PageOptions, Release, Service, ServiceSpec } from './types.js';
import { defined } from './values/index.js';

export interface ServicesDeps extends ImageCheckDeps {
  readonly ecs: Ecs;
  readonly records: RecordStore;
  readonly serviceRecords: ServiceRecords;
  readonly releases: Releases;
  readonly deployments: Deployments;
  readonly removal: ServiceRemoval;
  readonly routing: Routing;
}

export interface Deployed {
  readonly service: Service;
  readonly release: Release;
  readonly deployment: Deployment;
  /** False when this very release was the newest already. */
  readonly changed: boolean;
}

export class Services {
  constructor(
    private readonly deps: ServicesDeps,
    private readonly options: ImageCheckOptions,
  ) {}

  /**
   * Makes a release of this spec and deploys it. The same spec and image again changes nothing, unless its last
   * deployment failed.
   * @throws AppError NAME_INVALID, CLUSTER_NOT_FOUND, SPEC_INVALID, and what the image check and ECS throw
   */
  async put(cluster: string, name: string, spec: ServiceSpec): Promise<Deployed> {
    checkName('service', name);
    await this.requireCluster(cluster);
    const image = await checkImage(this.deps, this.options, spec.image);
    const { repository, digest, tag } = image;
    const ports = spec.ports ?? exposedPorts(image.config);
    checkSpec(spec, ports);
    return this.deploy(cluster, name, { spec, image: defined({ repository, digest, tag }), ports });
  }

  /**
   * Deploys an earlier release again, as a new one.
   * @param options.to the release to copy; the last complete one before the newest when absent
   * @param options.intent the same at every repetition: when it made the newest release, that one is the answer
   * @throws AppError SERVICE_NOT_FOUND, RELEASE_NOT_FOUND, ROLLBACK_IMPOSSIBLE
   */
  async rollback(
    cluster: string,
    name: string,
    options: { readonly to?: number | undefined; readonly intent?: string | undefined } = {},
  ): Promise<Deployed> {
    const { to, intent } = options;
    const { value: service } = await this.deps.serviceRecords.require(cluster, name);
    const isRepeated = intent !== undefined && service.intent === intent;
    const number = isRepeated ? service.release : (to ?? (await this.previous(service)));
    const release = await this.deps.serviceRecords.release(cluster, name, number);
    const { spec, image, ports } = release;
    await checkImage(this.deps, this.options, `${image.repository}@${image.digest}`);
    const copy = { spec, image, ports, rollbackOf: release.rollbackOf ?? number };
    return this.deploy(cluster, name, copy, intent);
  }

  async get(cluster: string, name: string): Promise<Service | undefined> {
    const record = await this.deps.serviceRecords.find(cluster, name);
    if (record === undefined || record.value.status === 'deleted') return undefined;
    const [found] = await this.deps.ecs.services.describe(cluster, [name]);
    return this.view(record.value, found);
  }

  /** Sorted by name. @throws AppError CLUSTER_NOT_FOUND */
  async list(cluster: string, options: PageOptions = {}): Promise<Page<Service>> {
    await this.requireCluster(cluster);
    const page = await this.deps.records.query<{ readonly name: string }>(`CLUSTER#${cluster}`, {
      ...options,
      prefix: 'SERVICE#',
    });
    const names = page.records.map((record) => record.value.name);
    const found = await this.deps.ecs.services.describe(cluster, names);
    const views = await Promise.all(
      names.map(async (name) => {
        const record = await this.deps.serviceRecords.find(cluster, name);
        if (record === undefined || record.value.status === 'deleted') return [];
        return [
          await this.view(
            record.value,
            found.find(({ serviceName }) => serviceName === name),
          ),
        ];
      }),
    );
    const items = views.flat();
    return page.cursor === undefined ? { items } : { items, cursor: page.cursor };
  }

  /** @throws AppError RELEASE_NOT_FOUND */
  release(cluster: string, name: string, number: number): Promise<Release> {
    return this.deps.serviceRecords.release(cluster, name, number);
  }

  /** Newest first. @throws AppError SERVICE_NOT_FOUND */
  releases(cluster: string, name: string, options?: PageOptions): Promise<Page<Release>> {
    return this.deps.serviceRecords.page<Release>(cluster, name, 'R#', options);
  }

  /** Newest first. @throws AppError SERVICE_NOT_FOUND */
  deployments(cluster: string, name: string, options?: PageOptions): Promise<Page<Deployment>> {
    return this.deps.serviceRecords.page<Deployment>(cluster, name, 'D#', options);
  }

  /** Stops all tasks and forgets the service; its release numbers are not used again. */
  remove(cluster: string, name: string): Promise<void> {
    return this.deps.removal.begin(cluster, name);
  }

  /** One more step of a deletion; true when nothing of the service runs any more. Safe to repeat. */
  advanceRemoval(cluster: string, name: string): Promise<boolean> {
    return this.deps.removal.advance(cluster, name);
  }

  /** Tells the front again what it routes, as after a restart. */
  async restoreRoute(cluster: string, name: string): Promise<void> {
    const record = await this.deps.serviceRecords.find(cluster, name);
    if (record?.value.status !== 'active') return;
    const release = await this.deps.serviceRecords.release(
      cluster,
      name,
      record.value.currentRelease ?? record.value.release,
    );
    const route = routeRequest(cluster, name, release);
    if (route !== undefined) await this.deps.routing.targetGroupFor(route);
  }

  private async deploy(cluster: string, name: string, wanted: NewRelease, intent?: string): Promise<Deployed> {
    const { release, deploymentId, changed } = await this.deps.releases.open(cluster, name, wanted, intent);
    const deployment = await this.deps.deployments.advance(cluster, name, deploymentId);
    const service = await this.get(cluster, name);
    if (service === undefined) throw serviceNotFound(cluster, name);
    return { service, release, deployment, changed };
  }

  /** The last completely deployed release before the newest. */
  private async previous(service: ServiceRecord): Promise<number> {
    const { cluster, name } = service;
    const history = await this.deployments(cluster, name, { limit: 100 });
    const complete = history.items.find(({ status, release }) => status === 'completed' && release !== service.release);
    if (complete !== undefined) return complete.release;
    throw new AppError('ROLLBACK_IMPOSSIBLE', `service ${name} has no earlier release that was deployed completely`, {
      kind: 'conflict',
      hint: 'name the release to go back to',
    });
  }

  private async requireCluster(cluster: string): Promise<void> {
    const record = await this.deps.records.get<ClusterRecord>(keys.cluster(cluster));
    if (record?.value.status === 'active') return;
    throw clusterNotFound(cluster);
  }

  private async view(record: ServiceRecord, found: EcsService | undefined): Promise<Service> {
    const { cluster, name } = record;
    const [release, deployment] = await Promise.all([
      this.deps.serviceRecords.release(cluster, name, record.release),
      this.deps.deployments.get(cluster, name, record.deployment),
    ]);
    return defined({
      cluster,
      name,
      status: record.status === 'active' ? ('active' as const) : ('deleting' as const),
      release: record.release,
      currentRelease: record.currentRelease,
      image: release.spec.image,
      count: {
        desired: found?.desiredCount ?? release.spec.count,
        running: found?.runningCount ?? 0,
        pending: found?.pendingCount ?? 0,
      },
      deployment,
      url: routedPort(release.ports) === undefined ? undefined : this.deps.routing.urlFor(cluster, name),
      createdMs: record.createdMs,
      updatedMs: record.updatedMs,
    });
  }
}

function checkSpec(spec: ServiceSpec, ports: Release['ports']): void {
  const seen = new Set<string>();
  for (const port of ports) {
    const name = `${port.container}/${port.protocol ?? 'tcp'}`;
    if (seen.has(name)) throw new AppError('SPEC_INVALID', `container port ${name} is named twice`);
    seen.add(name);
  }
  if (spec.health !== undefined && 'path' in spec.health && routedPort(ports) === undefined) {
    throw new AppError('SPEC_INVALID', `health path ${spec.health.path} needs a TCP port to ask`, {
      hint: 'name the port in "ports", or give a health command',
    });
  }
}
