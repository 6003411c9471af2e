/** What the control plane has written about services: records read, and refused when they are not there. */
import { AppError } from '../errors/index.js';
import type { RecordStore, StoredRecord } from '../store/index.js';
import { keys, serviceNotFound } from './keys.js';
import type { Page, PageOptions, Release } from './types.js';

export interface ServiceRecord {
  readonly cluster: string;
  readonly name: string;
  readonly status: 'active' | 'deleting' | 'deleted';
  /** The newest release. */
  readonly release: number;
  /** The last release that was deployed completely. */
  readonly currentRelease?: number;
  /** The newest deployment. */
  readonly deployment: string;
  /** What asked for the newest release, where its caller names what it means to do. */
  readonly intent?: string;
  readonly createdMs: number;
  readonly updatedMs: number;
}

export class ServiceRecords {
  constructor(private readonly records: RecordStore) {}

  /** Also of a service that was deleted: its release numbers are not used again. */
  find(cluster: string, name: string): Promise<StoredRecord<ServiceRecord> | undefined> {
    return this.records.get<ServiceRecord>(keys.service(cluster, name));
  }

  /** @throws AppError SERVICE_NOT_FOUND */
  async require(cluster: string, name: string): Promise<StoredRecord<ServiceRecord>> {
    const record = await this.find(cluster, name);
    if (record === undefined || record.value.status === 'deleted') throw serviceNotFound(cluster, name);
    return record;
  }

  /** @throws AppError RELEASE_NOT_FOUND */
  async release(cluster: string, name: string, number: number): Promise<Release> {
    const record = await this.records.get<Release>(keys.release(cluster, name, number));
    if (record !== undefined) return record.value;
    throw new AppError('RELEASE_NOT_FOUND', `service ${name} has no release ${number}`, {
      kind: 'not-found',
      hint: `wharf releases ${name}, or GET /v1/clusters/${cluster}/services/${name}/releases, shows those there are`,
    });
  }

  /** Releases (`R#`) or deployments (`D#`), newest first. @throws AppError SERVICE_NOT_FOUND */
  async page<T extends object>(
    cluster: string,
    name: string,
    prefix: 'R#' | 'D#',
    options: PageOptions = {},
  ): Promise<Page<T>> {
    await this.require(cluster, name);
    const { partition } = keys.service(cluster, name);
    const page = await this.records.query<T>(partition, { ...options, prefix, reverse: true });
    const items = page.records.map((record) => record.value);
    return page.cursor === undefined ? { items } : { items, cursor: page.cursor };
  }
}
