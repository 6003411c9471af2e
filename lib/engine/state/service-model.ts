/** A service, its deployments and its sentences, as they are in the records. */
import type {
  CapacityProviderStrategyItem,
  LoadBalancer,
  NetworkConfiguration,
  PlacementConstraintState,
  PlacementStrategyState,
  Tag,
} from './model.js';

export interface CircuitBreaker {
  readonly enable: boolean;
  readonly rollback: boolean;
  readonly thresholdType: 'COUNT' | 'BOUNDED_PERCENT' | 'UNBOUNDED_PERCENT';
  readonly thresholdValue: number;
  readonly resetOnHealthyTask: boolean;
}

/** What a service is called by others of its cluster, and the configuration that says so, as it was given. */
export interface ServiceConnectState {
  readonly configuration: Readonly<Record<string, unknown>>;
  readonly namespace: string;
  readonly endpoints: readonly {
    readonly portName: string;
    readonly discoveryName: string;
    /** In lower case. */
    readonly names: readonly string[];
  }[];
}

export interface DeploymentState {
  /** `ecs-svc/<19 digits>`, also `startedBy` of its tasks. */
  readonly id: string;
  readonly status: 'PRIMARY' | 'ACTIVE';
  readonly taskDefinitionArn: string;
  readonly loadBalancers: readonly LoadBalancer[];
  /** Empty for launch type EC2. */
  readonly capacityProviderStrategy?: readonly CapacityProviderStrategyItem[];
  readonly serviceConnect?: ServiceConnectState;
  readonly desiredCount: number;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
  /** Failures that count for the circuit breaker. */
  readonly failedTasks: number;
  readonly rolloutState: 'IN_PROGRESS' | 'COMPLETED' | 'FAILED';
  readonly rolloutStateReason: string;
  /** Ids of the service deployment and revision this is, for their own operations. */
  readonly serviceDeploymentId: string;
  readonly revisionId: string;
  /** It is the way back from a deployment that failed. */
  readonly isRollback?: boolean;
}

export interface ServiceState {
  readonly name: string;
  readonly arn: string;
  readonly clusterName: string;
  readonly clusterArn: string;
  readonly status: 'ACTIVE' | 'DRAINING' | 'INACTIVE';
  readonly schedulingStrategy: 'REPLICA' | 'DAEMON';
  readonly desiredCount: number;
  readonly taskDefinitionArn: string;
  readonly loadBalancers: readonly LoadBalancer[];
  readonly capacityProviderStrategy?: readonly CapacityProviderStrategyItem[];
  readonly networkConfiguration?: NetworkConfiguration;
  readonly minimumHealthyPercent: number;
  readonly maximumPercent: number;
  readonly circuitBreaker: CircuitBreaker;
  readonly placementConstraints: readonly PlacementConstraintState[];
  readonly placementStrategy: readonly PlacementStrategyState[];
  readonly healthCheckGracePeriodSeconds: number;
  readonly enableECSManagedTags: boolean;
  readonly enableExecuteCommand: boolean;
  readonly propagateTags: 'TASK_DEFINITION' | 'SERVICE' | 'NONE';
  readonly tags: readonly Tag[];
  readonly createdAtMs: number;
  /** PRIMARY first. */
  readonly deployments: readonly DeploymentState[];
  /** The task definition a rollback goes to. */
  readonly lastCompleted?: {
    readonly deploymentId: string;
    readonly revisionId: string;
    readonly taskDefinitionArn: string;
    readonly loadBalancers: readonly LoadBalancer[];
    readonly capacityProviderStrategy?: readonly CapacityProviderStrategyItem[];
    readonly serviceConnect?: ServiceConnectState;
  };
  /** Repeated launches that never reached RUNNING, and when the next launch may be. */
  readonly launchFailures: number;
  readonly launchNotBeforeMs: number;
  /** The steady-state event was sent and nothing has changed since. */
  readonly steady: boolean;
  /** The last message about a placement or configuration trouble, so that it is not repeated. */
  readonly lastTrouble?: string;
  /** Hash of the CreateService request, to tell a retry from a clash. */
  readonly creationHash: string;
}

export interface ServiceEventState {
  readonly id: string;
  readonly createdAtMs: number;
  readonly message: string;
}
