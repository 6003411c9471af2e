/** Why tasks have no place, read from whoever places them. Amazon ECS tells only the closest instance, in its events. */
import { AppError } from '../errors/index.js';
import type { RecordStore } from '../store/index.js';
import { clusterNotFound, keys, serviceNotFound } from './keys.js';
import type { PlacementSource } from './ports.js';
import type { Placement } from './types.js';

export class Placements {
  constructor(private readonly deps: { readonly records: RecordStore; readonly source?: PlacementSource }) {}

  /** Services that wait for room, then single runs of the last hour that found none. @throws AppError CLUSTER_NOT_FOUND, PLACEMENT_UNSUPPORTED */
  async list(cluster: string): Promise<readonly Placement[]> {
    if ((await this.deps.records.get(keys.cluster(cluster))) === undefined) throw clusterNotFound(cluster);
    return this.source().list(cluster);
  }

  /** Undefined when the service has all the room it wants. @throws AppError SERVICE_NOT_FOUND, PLACEMENT_UNSUPPORTED */
  async ofService(cluster: string, service: string): Promise<Placement | undefined> {
    const record = await this.deps.records.get<{ readonly status: string }>(keys.service(cluster, service));
    if (record === undefined || record.value.status === 'deleted') throw serviceNotFound(cluster, service);
    return this.source().ofService(cluster, service);
  }

  private source(): PlacementSource {
    if (this.deps.source !== undefined) return this.deps.source;
    throw new AppError(
      'PLACEMENT_UNSUPPORTED',
      'Amazon ECS places tasks here, and explains only the closest instance',
      {
        kind: 'unsupported',
        hint: 'GET /v1/events shows its service task placement failures',
      },
    );
  }
}
