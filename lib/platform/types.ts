/**
 * The control plane as the rest of the house sees it: clusters, services with numbered releases, deployments, tasks
 * and events. Containers are run by ECS; everything here is intent and its record.
 */
import type { Digest } from '../oci/index.js';

/** A DNS label: it becomes part of the service's host name. */
export const NAME_PATTERN = /^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/;

export interface PageOptions {
  readonly limit?: number;
  readonly cursor?: string;
}

export interface Page<T> {
  readonly items: readonly T[];
  readonly cursor?: string;
}

export interface ClusterSpec {
  /** Container instances wanted; the least number when there is a maximum. */
  readonly instances: number;
  /** So many at most: the cluster grows and shrinks by itself with what its tasks ask for. */
  readonly maximum?: number | undefined;
}

export interface Cluster {
  readonly name: string;
  readonly arn: string;
  readonly status: 'active' | 'deleting';
  readonly instances: { readonly wanted: number; readonly registered: number; readonly maximum?: number };
  readonly services: number;
  readonly tasks: { readonly running: number; readonly pending: number };
  readonly createdMs: number;
}

export interface Instance {
  /** Last part of the ARN. */
  readonly id: string;
  readonly arn: string;
  readonly status: string;
  readonly connected: boolean;
  readonly tasks: { readonly running: number; readonly pending: number };
  /** ECS CPU units (1,024 are one core) and MiB. */
  readonly total: { readonly cpu: number; readonly memory: number };
  readonly remaining: { readonly cpu: number; readonly memory: number };
  readonly attributes: Readonly<Record<string, string>>;
}

export interface PortSpec {
  readonly container: number;
  /** A fixed port of the host; a free one is chosen when absent. */
  readonly host?: number;
  readonly protocol?: 'tcp' | 'udp';
}

interface HealthTimes {
  /** 5 to 300; 10 when absent. */
  readonly intervalSeconds?: number;
  /** 2 to 60; 5 when absent. */
  readonly timeoutSeconds?: number;
  /** 1 to 10; 3 when absent. */
  readonly retries?: number;
  /** 0 to 300; failures in it do not count. */
  readonly startPeriodSeconds?: number;
}

/** A command run inside the container, or a path that the front asks for on the first TCP port. */
export type HealthSpec = HealthTimes & ({ readonly command: readonly string[] } | { readonly path: string });

/** What a container is started with: shared by services and one-off tasks. */
export interface ContainerSpec {
  /** `repository[:tag][@digest]` in Wharf's registry. */
  readonly image: string;
  readonly command?: readonly string[];
  readonly entrypoint?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Variables whose values are secrets, by name or ARN as `valueFrom` of ECS; read when a container is made. */
  readonly secrets?: Readonly<Record<string, string>>;
  /** The image's EXPOSEd ports when absent. */
  readonly ports?: readonly PortSpec[];
  /** ECS CPU units; 128 when absent. */
  readonly cpu?: number;
  /** MiB, a hard limit; 128 when absent. */
  readonly memory?: number;
  readonly user?: string;
  readonly workingDirectory?: string;
  readonly readonlyRootFilesystem?: boolean;
  /** Between SIGTERM and SIGKILL; 30 when absent. */
  readonly stopTimeoutSeconds?: number;
}

export interface ServiceSpec extends ContainerSpec {
  readonly count: number;
  readonly health?: HealthSpec;
}

export type TaskSpec = ContainerSpec;

/** One immutable version of a service: 1, 2, 3, … A number is never used twice. */
export interface Release {
  readonly number: number;
  readonly spec: ServiceSpec;
  /** What the image name meant when the release was made. */
  readonly image: { readonly repository: string; readonly digest: Digest; readonly tag?: string };
  readonly ports: readonly PortSpec[];
  readonly createdMs: number;
  /** The release this one copies, when it came from a rollback. */
  readonly rollbackOf?: number;
}

export type DeploymentStatus = 'pending' | 'in-progress' | 'completed' | 'failed' | 'rolled-back' | 'superseded';

export interface Deployment {
  readonly id: string;
  readonly cluster: string;
  readonly service: string;
  readonly release: number;
  readonly status: DeploymentStatus;
  /** Why it ended so, or what it waits for: one sentence. */
  readonly reason?: string;
  /** What runs after a roll-back. */
  readonly rolledBackTo?: number;
  readonly taskDefinitionArn?: string;
  /** ECS's own id, `ecs-svc/…`. */
  readonly ecsDeploymentId?: string;
  readonly createdMs: number;
  readonly finishedMs?: number;
}

export interface Service {
  readonly cluster: string;
  readonly name: string;
  readonly status: 'active' | 'deleting';
  /** The newest release. */
  readonly release: number;
  /** The last release that was deployed completely; absent before the first. */
  readonly currentRelease?: number;
  readonly image: string;
  readonly count: { readonly desired: number; readonly running: number; readonly pending: number };
  readonly deployment?: Deployment;
  /** Where it answers, if the host has a front. */
  readonly url?: string;
  readonly createdMs: number;
  readonly updatedMs: number;
}

export interface TaskContainer {
  readonly name: string;
  readonly image?: string;
  readonly imageDigest?: string;
  readonly status: string;
  readonly exitCode?: number;
  readonly reason?: string;
  readonly health?: string;
  readonly ports: readonly { readonly container: number; readonly host: number; readonly protocol: string }[];
}

export interface Task {
  readonly id: string;
  readonly arn: string;
  readonly cluster: string;
  readonly service?: string;
  readonly release?: number;
  /** ECS's lastStatus: PROVISIONING … RUNNING … STOPPED. */
  readonly status: string;
  readonly desiredStatus: string;
  readonly health: string;
  readonly instance?: string;
  readonly taskDefinitionArn: string;
  readonly containers: readonly TaskContainer[];
  readonly createdMs?: number;
  readonly startedMs?: number;
  readonly stoppedMs?: number;
  readonly stopCode?: string;
  readonly stoppedReason?: string;
  /** What plays the task where nothing real runs: `simulated`. Absent for real containers. */
  readonly runtime?: string;
}

/** What became of a wish for so many equal tasks. */
export interface TaskRun {
  readonly tasks: readonly Task[];
  readonly notStarted: number;
  /** Why, in ECS's words: one for each instance that said no. Empty when all were started. */
  readonly failures: readonly { readonly reason: string; readonly detail?: string; readonly arn?: string }[];
}

export interface PlatformEvent {
  readonly id: string;
  readonly timeMs: number;
  readonly cluster: string;
  readonly service?: string;
  readonly task?: string;
  readonly instance?: string;
  /** `deployment-completed`, `task-stopped`, … */
  readonly type: string;
  readonly message: string;
}

/** An EventBridge event of source `aws.ecs`, wherever it came from. */
export interface EcsEvent {
  readonly id: string;
  readonly 'detail-type': string;
  readonly time: string;
  readonly resources: readonly string[];
  readonly detail: Readonly<Record<string, unknown>>;
}

/** Why tasks have no place: of a service that waits for room, or of a run that found none. */
export interface Placement {
  readonly cluster: string;
  readonly service?: string;
  /** `service:web` or `family:job`. */
  readonly group: string;
  readonly taskDefinitionArn: string;
  readonly tasks: number;
  readonly atMs: number;
  readonly needs: {
    readonly cpu: number;
    readonly memoryMiB: number;
    readonly tcpPorts: readonly number[];
    readonly udpPorts: readonly number[];
    readonly gpus?: number;
  };
  readonly instances: readonly {
    readonly instanceId: string;
    readonly instanceArn: string;
    readonly findings: readonly {
      readonly dimension: string;
      readonly need?: number | readonly number[];
      /** Of ports: those in use. */
      readonly have?: number | readonly number[];
      readonly constraint?: string;
    }[];
    /** What a task would have to pull there, with the strategy `wharf:locality`. */
    readonly bytesToPull?: number;
  }[];
  /** One sentence: the least that would have to change. */
  readonly smallestFix: string;
}
