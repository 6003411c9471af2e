/**
 * Services and their releases. A release is immutable and numbered 1, 2, 3, …; deploying makes one and a deployment
 * of it in a single transaction, before ECS hears of it. Rolling back makes a new release that copies an old one.
 */
import { AppError } from '../errors/index.js';
import type { Clock, Ids, RecordStore, RecordWrite, StoredRecord } from '../store/index.js';
import type { ClusterRecord } from './clusters.js';
import { canonicalJson, defined } from './values/index.js';
import { type Deployments, isOpen, type ServiceRecord } from './deployments.js';
import type { Ecs, EcsService } from './ecs/index.js';
import type { Events } from './events.js';
import { checkImage, exposedPorts, type ImageCheckDeps, type ImageCheckOptions } from './image-check.js';
import { checkName, clusterNotFound, keys, lostRace, serviceNotFound } from './keys.js';
import { routedPort, routeRequest } from './route-request.js';
import type { Deployment, Page, PageOptions, Release, Routing, Service, ServiceSpec } from './types.js';

export interface ServicesDeps extends ImageCheckDeps {
  readonly ecs: Ecs;
  readonly records: RecordStore;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly events: Events;
  readonly deployments: Deployments;
  readonly routing: Routing;
}

export interface Deployed {
  readonly service: Service;
  readonly release: Release;
  readonly deployment: Deployment;
  /** False when this very release was the newest already. */
  readonly changed: boolean;
}

type NewRelease = Omit<Release, 'number' | 'createdMs'>;

const RACES = 5;

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
   * @param to the release to copy; the last complete one before the newest when absent
   * @throws AppError SERVICE_NOT_FOUND, RELEASE_NOT_FOUND, ROLLBACK_IMPOSSIBLE
   */
  async rollback(cluster: string, name: string, to?: number): Promise<Deployed> {
    const { value: service } = await this.requireService(cluster, name);
    const number = to ?? (await this.previous(service));
    const release = await this.release(cluster, name, number);
    const { spec, image, ports } = release;
    await checkImage(this.deps, this.options, `${image.repository}@${image.digest}`);
    return this.deploy(cluster, name, { spec, image, ports, rollbackOf: release.rollbackOf ?? number });
  }

  async get(cluster: string, name: string): Promise<Service | undefined> {
    const record = await this.deps.records.get<ServiceRecord>(keys.service(cluster, name));
    if (record === undefined || record.value.status === 'deleted') return undefined;
    const [found] = await this.deps.ecs.describeServices(cluster, [name]);
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
    const found = await this.deps.ecs.describeServices(cluster, names);
    const views = await Promise.all(
      names.map(async (name) => {
        const record = await this.deps.records.get<ServiceRecord>(keys.service(cluster, name));
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
  async release(cluster: string, name: string, number: number): Promise<Release> {
    const record = await this.deps.records.get<Release>(keys.release(cluster, name, number));
    if (record !== undefined) return record.value;
    throw new AppError('RELEASE_NOT_FOUND', `service ${name} has no release ${number}`, {
      kind: 'not-found',
      hint: `see GET /v1/clusters/${cluster}/services/${name}/releases`,
    });
  }

  /** Newest first. @throws AppError SERVICE_NOT_FOUND */
  async releases(cluster: string, name: string, options: PageOptions = {}): Promise<Page<Release>> {
    return this.page<Release>(cluster, name, 'R#', options);
  }

  /** Newest first. @throws AppError SERVICE_NOT_FOUND */
  async deployments(cluster: string, name: string, options: PageOptions = {}): Promise<Page<Deployment>> {
    return this.page<Deployment>(cluster, name, 'D#', options);
  }

  /** Stops all tasks and forgets the service; its release numbers are not used again. */
  async remove(cluster: string, name: string): Promise<void> {
    await this.markDeleting(cluster, name);
    await this.deps.ecs.deleteService(cluster, name);
    await this.advanceRemoval(cluster, name);
  }

  /** A deployment that settles at the same time changes the record too: then it is read again. */
  private async markDeleting(cluster: string, name: string): Promise<void> {
    for (let race = 0; race < RACES; race += 1) {
      const record = await this.requireService(cluster, name);
      const value: ServiceRecord = { ...record.value, status: 'deleting', updatedMs: this.deps.clock.nowMs() };
      const message = `service ${name} is being deleted`;
      const result = await this.deps.records.transact([
        { op: 'put', key: keys.service(cluster, name), value, expect: { version: record.version } },
        { op: 'put', key: keys.work('service', cluster, name), value: { cluster, service: name } },
        { op: 'delete', key: keys.work('deployment', cluster, name) },
        ...(record.value.status === 'deleting'
          ? []
          : this.deps.events.writes({ cluster, service: name, type: 'service-deleted', message })),
      ]);
      if (result.outcome === 'written') return;
    }
    throw lostRace(`service ${name}`);
  }

  /** One more step of a deletion; true when nothing of the service runs any more. Safe to repeat. */
  async advanceRemoval(cluster: string, name: string): Promise<boolean> {
    const record = await this.deps.records.get<ServiceRecord>(keys.service(cluster, name));
    const workKey = keys.work('service', cluster, name);
    if (record?.value.status !== 'deleting') {
      await this.deps.records.delete(workKey);
      return true;
    }
    const [found] = await this.deps.ecs.describeServices(cluster, [name]);
    if (found?.status === 'ACTIVE') await this.deps.ecs.deleteService(cluster, name);
    if (found !== undefined && found.status !== 'INACTIVE') return false;
    await this.deps.routing.remove(cluster, name);
    const value: ServiceRecord = { ...record.value, status: 'deleted' };
    const result = await this.deps.records.transact([
      { op: 'put', key: keys.service(cluster, name), value, expect: { version: record.version } },
      { op: 'delete', key: keys.serviceIndex(cluster, name) },
      { op: 'delete', key: workKey },
    ]);
    return result.outcome === 'written';
  }

  /** Tells the front again what it routes, as after a restart. */
  async restoreRoute(cluster: string, name: string): Promise<void> {
    const record = await this.deps.records.get<ServiceRecord>(keys.service(cluster, name));
    if (record?.value.status !== 'active') return;
    const release = await this.release(cluster, name, record.value.currentRelease ?? record.value.release);
    const route = routeRequest(cluster, name, release);
    if (route !== undefined) await this.deps.routing.targetGroupFor(route);
  }

  private async deploy(cluster: string, name: string, wanted: NewRelease): Promise<Deployed> {
    for (let race = 0; race < RACES; race += 1) {
      const record = await this.deps.records.get<ServiceRecord>(keys.service(cluster, name));
      if (record?.value.status === 'deleting') throw deleting(name);
      const same = record === undefined ? undefined : await this.unchanged(record.value, wanted);
      if (same !== undefined) return this.handOver(cluster, name, same.release, same.deployment.id, false);
      const nowMs = this.deps.clock.nowMs();
      const number = (record?.value.release ?? 0) + 1;
      const release: Release = { number, ...wanted, createdMs: nowMs };
      const id = this.deps.ids.ulid();
      const writes = await this.opening(record, cluster, name, release, id, nowMs);
      if ((await this.deps.records.transact(writes)).outcome === 'lost') continue;
      return this.handOver(cluster, name, release, id, true);
    }
    throw lostRace(`service ${name}`);
  }

  private async opening(
    record: StoredRecord<ServiceRecord> | undefined,
    cluster: string,
    name: string,
    release: Release,
    id: string,
    nowMs: number,
  ): Promise<readonly RecordWrite[]> {
    const meta: ServiceRecord = {
      ...(record?.value.status === 'active' ? record.value : undefined),
      cluster,
      name,
      status: 'active',
      release: release.number,
      deployment: id,
      createdMs: record?.value.status === 'active' ? record.value.createdMs : nowMs,
      updatedMs: nowMs,
    };
    const deployment: Deployment = {
      id,
      cluster,
      service: name,
      release: release.number,
      status: 'pending',
      createdMs: nowMs,
    };
    const message =
      release.rollbackOf === undefined
        ? `release ${release.number} of ${name}: image ${release.spec.image}`
        : `release ${release.number} of ${name} goes back to release ${release.rollbackOf}`;
    return [
      {
        op: 'put',
        key: keys.service(cluster, name),
        value: meta,
        expect: record === undefined ? 'absent' : { version: record.version },
      },
      { op: 'put', key: keys.serviceIndex(cluster, name), value: { name } },
      { op: 'put', key: keys.release(cluster, name, release.number), value: release, expect: 'absent' },
      { op: 'put', key: keys.deployment(cluster, name, id), value: deployment, expect: 'absent' },
      { op: 'put', key: keys.work('deployment', cluster, name), value: { cluster, service: name } },
      ...(await this.superseding(record, nowMs, release.number)),
      ...this.deps.events.writes({ cluster, service: name, type: 'release-created', message }),
    ];
  }

  /** An open deployment gives way to the newer one. */
  private async superseding(
    record: StoredRecord<ServiceRecord> | undefined,
    nowMs: number,
    by: number,
  ): Promise<readonly RecordWrite[]> {
    if (record === undefined) return [];
    const { cluster, name, deployment: id } = record.value;
    const key = keys.deployment(cluster, name, id);
    const open = await this.deps.records.get<Deployment>(key);
    if (open === undefined || !isOpen(open.value)) return [];
    const reason = `release ${by} was deployed meanwhile`;
    const value: Deployment = { ...open.value, status: 'superseded', reason, finishedMs: nowMs };
    return [{ op: 'put', key, value, expect: { version: open.version } }];
  }

  private async handOver(
    cluster: string,
    name: string,
    release: Release,
    id: string,
    changed: boolean,
  ): Promise<Deployed> {
    const deployment = await this.deps.deployments.advance(cluster, name, id);
    const service = await this.get(cluster, name);
    if (service === undefined) throw serviceNotFound(cluster, name);
    return { service, release, deployment, changed };
  }

  private async unchanged(
    service: ServiceRecord,
    wanted: NewRelease,
  ): Promise<{ readonly release: Release; readonly deployment: Deployment } | undefined> {
    if (service.status !== 'active') return undefined;
    const deployment = await this.deps.deployments.get(service.cluster, service.name, service.deployment);
    if (deployment === undefined || !(isOpen(deployment) || deployment.status === 'completed')) return undefined;
    const release = await this.release(service.cluster, service.name, service.release);
    const { spec, image, ports } = release;
    const isSame =
      canonicalJson({ spec: wanted.spec, digest: wanted.image.digest, ports: wanted.ports }) ===
      canonicalJson({ spec, digest: image.digest, ports });
    return isSame ? { release, deployment } : undefined;
  }

  /** The last completely deployed release before the newest. */
  private async previous(service: ServiceRecord): Promise<number> {
    const { cluster, name } = service;
    const history = await this.page<Deployment>(cluster, name, 'D#', { limit: 100 });
    const complete = history.items.find(({ status, release }) => status === 'completed' && release !== service.release);
    if (complete !== undefined) return complete.release;
    throw new AppError('ROLLBACK_IMPOSSIBLE', `service ${name} has no earlier release that was deployed completely`, {
      kind: 'conflict',
      hint: 'name the release to go back to',
    });
  }

  private async page<T extends object>(
    cluster: string,
    name: string,
    prefix: string,
    options: PageOptions,
  ): Promise<Page<T>> {
    await this.requireService(cluster, name);
    const { partition } = keys.service(cluster, name);
    const page = await this.deps.records.query<T>(partition, { ...options, prefix, reverse: true });
    const items = page.records.map((record) => record.value);
    return page.cursor === undefined ? { items } : { items, cursor: page.cursor };
  }

  private async requireCluster(cluster: string): Promise<void> {
    const record = await this.deps.records.get<ClusterRecord>(keys.cluster(cluster));
    if (record?.value.status === 'active') return;
    throw clusterNotFound(cluster);
  }

  private async requireService(cluster: string, name: string): Promise<StoredRecord<ServiceRecord>> {
    const record = await this.deps.records.get<ServiceRecord>(keys.service(cluster, name));
    if (record === undefined || record.value.status === 'deleted') throw serviceNotFound(cluster, name);
    return record;
  }

  private async view(record: ServiceRecord, found: EcsService | undefined): Promise<Service> {
    const { cluster, name } = record;
    const [release, deployment] = await Promise.all([
      this.release(cluster, name, record.release),
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

function deleting(name: string): AppError {
  return new AppError('SERVICE_DELETING', `service ${name} is being deleted`, {
    kind: 'conflict',
    retryable: true,
    hint: 'try again when its tasks have stopped',
  });
}
