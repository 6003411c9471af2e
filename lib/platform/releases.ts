/**
 * New releases: one transaction makes the release and its deployment, before ECS hears of it. What is deployed already
 * makes no release.
 */
import { AppError } from '../errors/index.js';
import type { Clock, Ids, RecordStore, RecordWrite, StoredRecord } from '../store/index.js';
import { type Deployments, isOpen } from './deployments.js';
import type { Events } from './events.js';
import { keys, lostRace } from './keys.js';
import type { ServiceRecord, ServiceRecords } from './service-records.js';
import type { Deployment, Release } from './types.js';
import { canonicalJson } from './values/index.js';

export interface ReleasesDeps {
  readonly records: RecordStore;
  readonly serviceRecords: ServiceRecords;
  readonly deployments: Deployments;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly events: Events;
}

export type NewRelease = Omit<Release, 'number' | 'createdMs'>;

/** A release and the deployment it has. */
export interface Opened {
  readonly release: Release;
  readonly deploymentId: string;
  /** False when this very release was the newest already. */
  readonly changed: boolean;
}

const RACES = 5;

export class Releases {
  constructor(private readonly deps: ReleasesDeps) {}

  /**
   * @param intent a repetition of what made the newest release makes none
   * @throws AppError SERVICE_DELETING
   */
  async open(cluster: string, name: string, wanted: NewRelease, intent?: string): Promise<Opened> {
    for (let race = 0; race < RACES; race += 1) {
      const record = await this.deps.serviceRecords.find(cluster, name);
      if (record?.value.status === 'deleting') throw deleting(name);
      if (record?.value.status === 'active' && intent !== undefined && record.value.intent === intent) {
        const { release: newest, deployment: deploymentId } = record.value;
        return { release: await this.deps.serviceRecords.release(cluster, name, newest), deploymentId, changed: true };
      }
      const same = record === undefined ? undefined : await this.unchanged(record.value, wanted);
      if (same !== undefined) return same;
      const nowMs = this.deps.clock.nowMs();
      const number = (record?.value.release ?? 0) + 1;
      const release: Release = { number, ...wanted, createdMs: nowMs };
      const id = this.deps.ids.ulid();
      const writes = await this.opening(record, { cluster, name, intent, release, id, nowMs });
      const result = await this.deps.records.transact(writes);
      if (result.outcome === 'written') return { release, deploymentId: id, changed: true };
    }
    throw lostRace(`service ${name}`);
  }

  private async opening(
    record: StoredRecord<ServiceRecord> | undefined,
    opened: {
      readonly cluster: string;
      readonly name: string;
      readonly intent: string | undefined;
      readonly release: Release;
      readonly id: string;
      readonly nowMs: number;
    },
  ): Promise<readonly RecordWrite[]> {
    const { cluster, name, intent, release, id, nowMs } = opened;
    const known: Partial<ServiceRecord> = record?.value.status === 'active' ? record.value : {};
    const { intent: _, ...before } = known;
    const meta: ServiceRecord = {
      ...before,
      ...(intent === undefined ? {} : { intent }),
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

  private async unchanged(service: ServiceRecord, wanted: NewRelease): Promise<Opened | undefined> {
    if (service.status !== 'active') return undefined;
    const deployment = await this.deps.deployments.get(service.cluster, service.name, service.deployment);
    if (deployment === undefined || !(isOpen(deployment) || deployment.status === 'completed')) return undefined;
    const release = await this.deps.serviceRecords.release(service.cluster, service.name, service.release);
    const { spec, image, ports } = release;
    const isSame =
      canonicalJson({ spec: wanted.spec, digest: wanted.image.digest, ports: wanted.ports }) ===
      canonicalJson({ spec, digest: image.digest, ports });
    return isSame ? { release, deploymentId: deployment.id, changed: false } : undefined;
  }
}

function deleting(name: string): AppError {
  return new AppError('SERVICE_DELETING', `service ${name} is being deleted`, {
    kind: 'conflict',
    retryable: true,
    hint: 'try again when its tasks have stopped',
  });
}
