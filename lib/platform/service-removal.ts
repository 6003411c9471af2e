/** How a service goes: marked first, then taken from ECS, and forgotten when nothing of it runs any more. */
import type { Clock, RecordStore } from '../store/index.js';
import type { Ecs } from './ecs/index.js';
import type { Events } from './events.js';
import { keys, lostRace } from './keys.js';
import type { ServiceRecord, ServiceRecords } from './service-records.js';
import type { Routing } from './ports.js';

export interface ServiceRemovalDeps {
  readonly ecs: Ecs;
  readonly records: RecordStore;
  readonly serviceRecords: ServiceRecords;
  readonly clock: Clock;
  readonly events: Events;
  readonly routing: Routing;
}

const RACES = 5;

export class ServiceRemoval {
  constructor(private readonly deps: ServiceRemovalDeps) {}

  /** Stops all tasks and forgets the service. @throws AppError SERVICE_NOT_FOUND */
  async begin(cluster: string, name: string): Promise<void> {
    await this.mark(cluster, name);
    await this.deps.ecs.services.delete(cluster, name);
    await this.advance(cluster, name);
  }

  /** One more step of a deletion; true when nothing of the service runs any more. Safe to repeat. */
  async advance(cluster: string, name: string): Promise<boolean> {
    const record = await this.deps.serviceRecords.find(cluster, name);
    const workKey = keys.work('service', cluster, name);
    if (record?.value.status !== 'deleting') {
      await this.deps.records.delete(workKey);
      return true;
    }
    const [found] = await this.deps.ecs.services.describe(cluster, [name]);
    if (found?.status === 'ACTIVE') await this.deps.ecs.services.delete(cluster, name);
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

  /** A deployment that settles at the same time changes the record too: then it is read again. */
  private async mark(cluster: string, name: string): Promise<void> {
    for (let race = 0; race < RACES; race += 1) {
      const record = await this.deps.serviceRecords.require(cluster, name);
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
}
