/**
 * Values of the smaller records: settings, capacity providers, idempotency keys, the history of deployments, and why
 * tasks have no place.
 */
import type { Explanation } from '../placement/explanation.js';
import type { CapacityProviderStrategyItem, LoadBalancer, Tag } from './model.js';
import type { CircuitBreaker, ServiceConnectState } from './service-model.js';

export interface SettingState {
  readonly name: string;
  readonly value: string;
  /** `default` for the account's default, otherwise the ARN of a principal. */
  readonly principal: string;
}

export interface ManagedScaling {
  readonly status: 'ENABLED' | 'DISABLED';
  /** Percent. */
  readonly targetCapacity: number;
  readonly minimumScalingStepSize: number;
  readonly maximumScalingStepSize: number;
  /** Seconds. */
  readonly instanceWarmupPeriod: number;
}

export interface AutoScalingGroupProvider {
  readonly autoScalingGroupArn: string;
  readonly managedScaling: ManagedScaling;
  readonly managedTerminationProtection: 'ENABLED' | 'DISABLED';
  readonly managedDraining: 'ENABLED' | 'DISABLED';
}

/** As a client stated it. */
export interface StatedGroupProvider {
  readonly autoScalingGroupArn: string;
  readonly managedScaling?: { readonly [K in keyof ManagedScaling]?: ManagedScaling[K] | undefined } | undefined;
  readonly managedTerminationProtection?: 'ENABLED' | 'DISABLED' | undefined;
  readonly managedDraining?: 'ENABLED' | 'DISABLED' | undefined;
}

export interface CapacityProviderState {
  readonly name: string;
  readonly arn: string;
  readonly status: 'ACTIVE' | 'INACTIVE';
  readonly autoScalingGroupProvider: StatedGroupProvider;
  readonly tags: readonly Tag[];
}

export interface IdempotencyState {
  readonly requestHash: string;
  /** What the request makes, decided before anything is made, so that a retry finishes what a crash cut off. */
  readonly ids: readonly string[];
}

export type ServiceDeploymentStatus =
  | 'PENDING'
  | 'IN_PROGRESS'
  | 'SUCCESSFUL'
  | 'STOPPED'
  | 'ROLLBACK_IN_PROGRESS'
  | 'ROLLBACK_SUCCESSFUL'
  | 'ROLLBACK_FAILED';

/** One row of a service's deployment history, with the revision it went to. */
export interface ServiceDeploymentState {
  readonly id: string;
  readonly arn: string;
  readonly serviceArn: string;
  readonly clusterArn: string;
  /** The id in the service's `deployments[]`. */
  readonly deploymentId: string;
  readonly status: ServiceDeploymentStatus;
  readonly statusReason?: string;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
  readonly finishedAtMs?: number;
  readonly revisionId: string;
  readonly revisionArn: string;
  readonly sourceRevisionArn?: string;
  readonly taskDefinitionArn: string;
  readonly loadBalancers: readonly LoadBalancer[];
  readonly capacityProviderStrategy?: readonly CapacityProviderStrategyItem[];
  readonly serviceConnect?: ServiceConnectState;
  readonly requestedTaskCount: number;
  readonly minimumHealthyPercent: number;
  readonly maximumPercent: number;
  readonly circuitBreaker: CircuitBreaker;
  readonly failureCount: number;
  readonly rollback?: { readonly reason: string; readonly startedAtMs: number; readonly revisionArn: string };
}

export interface Unplaced extends Explanation {
  readonly cluster: string;
  /** Of a service that waits; absent for an attempt that is over. */
  readonly service?: string;
  /** Of tasks that wait, PROVISIONING, for this capacity provider to have room. */
  readonly capacityProvider?: string;
  /** `service:web`, `family:job` or a client's own. */
  readonly group: string;
  readonly taskDefinitionArn: string;
  /** Tasks of this one request that found no place. */
  readonly tasks: number;
  readonly atMs: number;
}
