/**
 * The values of the engine's records. Times are epoch milliseconds here and become seconds at the API's edge. Shapes
 * that come from a client as they are (task definitions, overrides) take their types from the input schemas.
 */
import type { Digest } from '../../oci/index.js';
import type { HealthStatus, NetworkBinding } from '../agent/types.js';
import type { TaskDefinitionInput, TaskOverrideInput } from '../api/task-definition-input.js';

export interface Tag {
  readonly key: string;
  readonly value: string;
}

export interface Attribute {
  readonly name: string;
  readonly value?: string | undefined;
}

export interface CapacityProviderStrategyItem {
  readonly capacityProvider: string;
  readonly weight?: number | undefined;
  readonly base?: number | undefined;
}

export interface ClusterState {
  readonly name: string;
  readonly arn: string;
  readonly status: 'ACTIVE' | 'INACTIVE';
  readonly settings: readonly { readonly name: string; readonly value: string }[];
  readonly configuration?: object;
  readonly serviceConnectDefaults?: { readonly namespace: string };
  readonly capacityProviders: readonly string[];
  readonly defaultCapacityProviderStrategy: readonly CapacityProviderStrategyItem[];
  readonly tags: readonly Tag[];
}

/** CPU units, MiB, host ports and GPUs. */
export interface Resources {
  readonly cpu: number;
  readonly memoryMiB: number;
  readonly tcpPorts: readonly number[];
  readonly udpPorts: readonly number[];
  /** How many a task needs; absent for none. */
  readonly gpus?: number;
  /** Those an instance has or has left, or those a task was given. */
  readonly gpuIds?: readonly string[];
}

export type InstanceStatus = 'ACTIVE' | 'DRAINING' | 'DEREGISTERING' | 'INACTIVE';

export interface InstanceState {
  readonly id: string;
  readonly arn: string;
  readonly clusterName: string;
  readonly ec2InstanceId: string;
  readonly status: InstanceStatus;
  readonly statusReason?: string;
  /** One more with every emitted change. */
  readonly version: number;
  readonly registeredAtMs: number;
  readonly attributes: readonly Attribute[];
  readonly registered: Resources;
  /** `tcpPorts` and `udpPorts` are those in use, as ECS shows them. */
  readonly remaining: Resources;
  readonly versionInfo: Readonly<Record<string, string>>;
  /** Whose Auto Scaling group it belongs to. */
  readonly capacityProviderName?: string;
  /** Its group gives it up: it goes once it is empty. */
  readonly isLeaving?: boolean;
  readonly tags: readonly Tag[];
}

export interface TaskDefinitionState {
  readonly arn: string;
  readonly family: string;
  readonly revision: number;
  readonly status: 'ACTIVE' | 'INACTIVE' | 'DELETE_IN_PROGRESS';
  /** As registered, defaults filled in. */
  readonly definition: TaskDefinitionInput;
  readonly registeredAtMs: number;
  readonly deregisteredAtMs?: number;
  readonly deleteRequestedAtMs?: number;
  readonly tags: readonly Tag[];
}

export type TaskStatus =
  'PROVISIONING' | 'PENDING' | 'ACTIVATING' | 'RUNNING' | 'DEACTIVATING' | 'STOPPING' | 'DEPROVISIONING' | 'STOPPED';

export type StopCode =
  | 'TaskFailedToStart'
  | 'EssentialContainerExited'
  | 'UserInitiated'
  | 'ServiceSchedulerInitiated'
  | 'SpotInterruption'
  | 'TerminationNotice';

export interface ContainerState {
  readonly arn: string;
  readonly name: string;
  readonly image: string;
  readonly essential: boolean;
  readonly hasHealthCheck: boolean;
  readonly cpu: number;
  readonly memoryMiB?: number;
  readonly memoryReservationMiB?: number;
  /** How many it is to have, and which those are once it has its place. */
  readonly gpus?: number;
  readonly gpuIds?: readonly string[];
  readonly lastStatus: 'PENDING' | 'RUNNING' | 'STOPPED';
  readonly healthStatus: HealthStatus;
  readonly runtimeId?: string;
  readonly imageDigest?: Digest;
  readonly exitCode?: number;
  readonly reason?: string;
  readonly networkBindings: readonly NetworkBinding[];
  /** The container's own address, when its network has one. */
  readonly address?: string;
  /** That address is the task's. */
  readonly ownInterface?: boolean;
}

/** As the API has it. */
export interface NetworkConfiguration {
  readonly awsvpcConfiguration?:
    | {
        readonly subnets: readonly string[];
        readonly securityGroups?: readonly string[] | undefined;
        readonly assignPublicIp?: 'ENABLED' | 'DISABLED' | undefined;
      }
    | undefined;
}

export interface LoadBalancer {
  readonly targetGroupArn: string;
  readonly containerName: string;
  readonly containerPort: number;
}

/** A target of this task that was handed to a target group. */
export interface RegisteredTarget {
  readonly targetGroupArn: string;
  readonly host: string;
  readonly port: number;
}

export interface TaskState {
  readonly id: string;
  readonly arn: string;
  readonly clusterName: string;
  readonly clusterArn: string;
  /** Absent while the task is PROVISIONING, and for good when it never got a place. */
  readonly instanceId?: string;
  readonly instanceArn?: string;
  readonly availabilityZone?: string;
  readonly capacityProviderName?: string;
  /** How its place is chosen; kept until it has one. */
  readonly placement?: TaskPlacement;
  readonly taskDefinitionArn: string;
  readonly family: string;
  readonly revision: number;
  readonly group: string;
  readonly startedBy?: string;
  readonly serviceName?: string;
  readonly deploymentId?: string;
  readonly version: number;
  readonly desiredStatus: 'RUNNING' | 'STOPPED';
  readonly lastStatus: TaskStatus;
  readonly containers: readonly ContainerState[];
  /** It is played by the simulated runtime: nothing real runs. */
  readonly runtime?: 'simulated';
  readonly overrides: TaskOverrideInput;
  readonly cpu: number;
  readonly memoryMiB: number;
  /** What was claimed on the instance, given back when the task has stopped. */
  readonly reserved: Resources;
  readonly loadBalancers: readonly LoadBalancer[];
  readonly targets: readonly RegisteredTarget[];
  readonly enableExecuteCommand: boolean;
  /** Of awsvpc tasks only. */
  readonly networkConfiguration?: NetworkConfiguration;
  readonly tags: readonly Tag[];
  readonly createdAtMs: number;
  /** When a task that waited for capacity got its instance. */
  readonly connectedAtMs?: number;
  readonly pullStartedAtMs?: number;
  readonly pullStoppedAtMs?: number;
  readonly startedAtMs?: number;
  readonly stoppingAtMs?: number;
  readonly executionStoppedAtMs?: number;
  readonly stoppedAtMs?: number;
  readonly stopCode?: StopCode;
  readonly stoppedReason?: string;
  /** When the service scheduler first counted it as healthy. */
  readonly healthyAtMs?: number;
  readonly protectedUntilMs?: number;
}

export interface PlacementConstraintState {
  readonly type: 'distinctInstance' | 'memberOf';
  readonly expression?: string | undefined;
}

export interface PlacementStrategyState {
  /** `wharf:locality` is ours: least bytes to pull. */
  readonly type: 'random' | 'spread' | 'binpack' | 'wharf:locality';
  readonly field?: string | undefined;
}

export interface TaskPlacement {
  /** Those of the definition and of the request. */
  readonly constraints: readonly PlacementConstraintState[];
  readonly strategies: readonly PlacementStrategyState[];
}
