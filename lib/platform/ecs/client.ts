/**
 * The only ECS client of the project: typed calls over the unmodified SDK, batched to ECS's limits, retried when the
 * failure passes by itself, with errors as AppErrors. Nothing here knows whether Amazon's ECS or ours answers.
 */
import { ECSClient } from '@aws-sdk/client-ecs';
import type { Clock } from '../../store/index.js';
import { type EcsCallOptions, EcsCalls } from './calls.js';
import { EcsCapacityProviders } from './capacity-providers.js';
import { EcsClusters } from './clusters.js';
import { EcsInstances } from './instances.js';
import { EcsServices } from './services.js';
import { EcsTaskDefinitions } from './task-definitions.js';
import { EcsTasks, type EcsTasksOptions } from './tasks.js';

const CONNECT_MS = 5_000;
const ANSWER_MS = 30_000;

/** An SDK client for this endpoint that leaves retrying to `Ecs`; a call without an answer is given up. */
export function ecsClient(options: {
  readonly region: string;
  readonly endpoint?: string;
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string };
}): ECSClient {
  const requestHandler = { connectionTimeout: CONNECT_MS, requestTimeout: ANSWER_MS, throwOnRequestTimeout: true };
  return new ECSClient({ ...options, maxAttempts: 1, requestHandler });
}

export type EcsOptions = EcsCallOptions & EcsTasksOptions;

export class Ecs {
  readonly clusters: EcsClusters;
  readonly instances: EcsInstances;
  readonly taskDefinitions: EcsTaskDefinitions;
  readonly services: EcsServices;
  readonly tasks: EcsTasks;
  readonly capacityProviders: EcsCapacityProviders;

  constructor(client: ECSClient, clock: Clock, options: EcsOptions = {}) {
    const calls = new EcsCalls(client, clock, options);
    this.clusters = new EcsClusters(calls);
    this.instances = new EcsInstances(calls);
    this.taskDefinitions = new EcsTaskDefinitions(calls);
    this.services = new EcsServices(calls);
    this.tasks = new EcsTasks(calls, options);
    this.capacityProviders = new EcsCapacityProviders(calls);
  }
}
