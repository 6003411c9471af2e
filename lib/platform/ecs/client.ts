/**
 * The only ECS client of the project: typed calls over the unmodified SDK, batched to ECS's limits, retried when the
 * failure passes by itself, with errors as AppErrors. Nothing here knows whether Amazon's ECS or ours answers.
 */
import type { ECSClient } from '@aws-sdk/client-ecs';
import { type Clock, late } from '../../store/index.js';
import { type EcsCallOptions, EcsCalls, type EcsConnection } from './calls.js';
import { EcsCapacityProviders } from './capacity-providers.js';
import { EcsClusters } from './clusters.js';
import { EcsInstances } from './instances.js';
import type { EcsClientOptions } from './sdk.js';
import { EcsServices } from './services.js';
import { EcsTaskDefinitions } from './task-definitions.js';
import { EcsTasks } from './tasks.js';
import type { TaskStartOptions } from './task-starts.js';

/** A client that is made, and its part of the SDK loaded, by the first call. */
export function lateEcsClient(options: EcsClientOptions): EcsConnection {
  return late(async () => (await import('./sdk.js')).ecsClient(options));
}

export type EcsOptions = EcsCallOptions & TaskStartOptions;

export class Ecs {
  readonly clusters: EcsClusters;
  readonly instances: EcsInstances;
  readonly taskDefinitions: EcsTaskDefinitions;
  readonly services: EcsServices;
  readonly tasks: EcsTasks;
  readonly capacityProviders: EcsCapacityProviders;

  constructor(connection: ECSClient | EcsConnection, clock: Clock, options: EcsOptions = {}) {
    const connect = typeof connection === 'function' ? connection : () => Promise.resolve(connection);
    const calls = new EcsCalls(connect, clock, options);
    this.clusters = new EcsClusters(calls);
    this.instances = new EcsInstances(calls);
    this.taskDefinitions = new EcsTaskDefinitions(calls);
    this.services = new EcsServices(calls);
    this.tasks = new EcsTasks(calls, options);
    this.capacityProviders = new EcsCapacityProviders(calls);
  }
}
