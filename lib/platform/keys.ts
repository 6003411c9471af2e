/** Where the control plane's records lie, and what they hold (`docs/architecture.md`, section Records). */
import { createHash } from 'node:crypto';
import { AppError } from '../errors/index.js';
import type { RecordKey } from '../store/index.js';
import { NAME_PATTERN } from './types.js';

export const CLUSTERS = 'CLUSTERS';
/** Unfinished business that the loop looks after: open deployments, services and clusters that go away. */
export const WORK = 'WORK';
export const TASK_SHARDS = 8;

export const keys = {
  cluster: (cluster: string): RecordKey => ({ partition: `CLUSTER#${cluster}`, sort: 'META' }),
  clusterIndex: (cluster: string): RecordKey => ({ partition: CLUSTERS, sort: cluster }),
  service: (cluster: string, service: string): RecordKey => ({
    partition: servicePartition(cluster, service),
    sort: 'META',
  }),
  serviceIndex: (cluster: string, service: string): RecordKey => ({
    partition: `CLUSTER#${cluster}`,
    sort: `SERVICE#${service}`,
  }),
  release: (cluster: string, service: string, number: number): RecordKey => ({
    partition: servicePartition(cluster, service),
    sort: `R#${String(number).padStart(6, '0')}`,
  }),
  deployment: (cluster: string, service: string, id: string): RecordKey => ({
    partition: servicePartition(cluster, service),
    sort: `D#${id}`,
  }),
  task: (cluster: string, id: string): RecordKey => ({
    partition: taskPartition(cluster, shardOf(id)),
    sort: `TASK#${id}`,
  }),
  taskDefinition: (hash: string): RecordKey => ({ partition: `TASKDEF#${hash}`, sort: '-' }),
  ecsEvent: (id: string): RecordKey => ({ partition: `ECSEVENT#${id}`, sort: '-' }),
  work: (kind: 'deployment' | 'service' | 'cluster', cluster: string, service = ''): RecordKey => ({
    partition: WORK,
    sort: `${kind}#${cluster}/${service}`,
  }),
};

export function servicePartition(cluster: string, service: string): string {
  return `SERVICE#${cluster}/${service}`;
}

export function taskPartition(cluster: string, shard: number): string {
  return `CLUSTER#${cluster}#T${shard}`;
}

function shardOf(id: string): number {
  return (createHash('sha256').update(id).digest()[0] ?? 0) % TASK_SHARDS;
}

/** @throws AppError NAME_INVALID */
export function checkName(kind: 'cluster' | 'service', name: string): void {
  if (NAME_PATTERN.test(name)) return;
  throw new AppError(
    'NAME_INVALID',
    `${kind} name ${JSON.stringify(name.slice(0, 80))} cannot be part of a host name`,
    {
      hint: '1 to 32 lower-case letters, digits and hyphens, a letter or digit first and last',
    },
  );
}

export function clusterNotFound(cluster: string): AppError {
  return new AppError('CLUSTER_NOT_FOUND', `there is no cluster ${cluster}`, {
    kind: 'not-found',
    hint: `make it: PUT /v1/clusters/${cluster}, or wharf cluster create ${cluster}`,
  });
}

export function serviceNotFound(cluster: string, service: string): AppError {
  return new AppError('SERVICE_NOT_FOUND', `there is no service ${service} in cluster ${cluster}`, {
    kind: 'not-found',
    hint: `wharf ps, or GET /v1/clusters/${cluster}/services, shows those there are`,
  });
}

export function lostRace(what: string): AppError {
  return new AppError('CONCURRENT_CHANGE', `${what} was changed by others at the same time, again and again`, {
    kind: 'conflict',
    retryable: true,
    hint: 'read it again, then repeat the request if it is still wanted',
  });
}
