/**
 * Between the engine's scheduler and its agent. The scheduler decides which task runs on which container instance and
 * hands the agent a payload; the agent runs the payload's containers with the real runtime and reports what happens.
 * The agent keeps no state of its own that matters: after a restart the scheduler hands every unfinished payload in
 * again, and the agent finds the containers that are still running.
 */
import type { Digest } from '../../oci/index.js';
import type { ExecOptions, ExecSession } from '../../runtime/index.js';

export interface ContainerPayload {
  readonly name: string;
  readonly arn?: string;
  /** `dockerLabels` of the definition. */
  readonly labels?: Readonly<Record<string, string>>;
  /** `repository[:tag][@digest]` of the local registry, as in the task definition. */
  readonly image: string;
  readonly essential: boolean;
  readonly entryPoint?: readonly string[];
  readonly command?: readonly string[];
  /** `NAME=value`, overrides applied. */
  readonly environment: readonly string[];
  readonly workingDirectory?: string;
  readonly user?: string;
  /** ECS CPU units. */
  readonly cpuUnits?: number;
  readonly memoryBytes?: number;
  readonly memoryReservationBytes?: number;
  readonly portMappings: readonly {
    readonly containerPort: number;
    readonly hostPort?: number;
    readonly protocol: 'tcp' | 'udp';
    /** Of a range that begins at `containerPort`; as many host ports in a row are chosen. Bridge only. */
    readonly lastContainerPort?: number;
  }[];
  readonly readonlyRootFilesystem?: boolean;
  readonly privileged?: boolean;
  readonly stopTimeoutSeconds?: number;
  readonly startTimeoutSeconds?: number;
  readonly dependsOn?: readonly {
    readonly containerName: string;
    readonly condition: 'START' | 'COMPLETE' | 'SUCCESS' | 'HEALTHY';
  }[];
  readonly healthCheck?: {
    readonly command: readonly string[];
    readonly intervalSeconds: number;
    readonly timeoutSeconds: number;
    readonly retries: number;
    readonly startPeriodSeconds: number;
  };
  readonly ulimits?: readonly { readonly name: string; readonly softLimit: number; readonly hardLimit: number }[];
  readonly capabilities?: { readonly add?: readonly string[]; readonly drop?: readonly string[] };
  /** Started again when it ends, unless it was asked to end. */
  readonly restartPolicy?: {
    readonly ignoredExitCodes: readonly number[];
    /** It must have run so long since its last start. */
    readonly attemptPeriodSeconds: number;
  };
  readonly hostname?: string;
  readonly extraHosts?: readonly { readonly name: string; readonly address: string }[];
  readonly dnsServers?: readonly string[];
  readonly dnsSearchDomains?: readonly string[];
  readonly init?: boolean;
  readonly shmBytes?: number;
  readonly tmpfs?: readonly {
    readonly path: string;
    readonly sizeBytes: number;
    readonly options: readonly string[];
  }[];
  readonly sysctls?: Readonly<Record<string, string>>;
  /** Keeps standard input open. */
  readonly stdin?: boolean;
  readonly terminal?: boolean;
  /** No interface but lo, whatever the task has. */
  readonly disableNetworking?: boolean;
  /** Names for other containers of the task; bridge only. They start first. */
  readonly links?: readonly { readonly container: string; readonly alias: string }[];
  readonly mountPoints?: readonly { readonly volume: string; readonly path: string; readonly readonly: boolean }[];
  /** All that another container mounts. It is made first. */
  readonly volumesFrom?: readonly { readonly container: string; readonly readonly: boolean }[];
  /** As in the definition; the lines are kept here whatever it says. */
  readonly logDriver?: string;
  readonly logOptions?: Readonly<Record<string, string>>;
  /** ARNs of objects whose variables stand under `environment`; read when the container is made. */
  readonly environmentFiles?: readonly string[];
  /** Environment variables whose values are fetched when the container is made, and stand in no record. */
  readonly secrets?: readonly { readonly name: string; readonly valueFrom: string }[];
}

export interface VolumePayload {
  readonly name: string;
  /** `task`: gone with the task. `shared`: kept, one for all tasks of the cluster. */
  readonly scope: 'task' | 'shared';
  /** A folder of the host, if the agent's options allow it. */
  readonly hostPath?: string;
}

export interface TaskPayload {
  /** 32 hex digits, the last part of the ARN. */
  readonly taskId: string;
  readonly taskArn: string;
  readonly clusterName: string;
  readonly clusterArn?: string;
  readonly containerInstanceId: string;
  readonly containerInstanceArn?: string;
  readonly availabilityZone?: string;
  /** `service:…` or `family:…`. */
  readonly group?: string;
  readonly serviceName?: string;
  readonly taskRoleArn?: string;
  /** Of the task as a whole, where its definition sets any. */
  readonly limits?: { readonly cpuUnits: number; readonly memoryBytes: number };
  readonly family: string;
  readonly revision: number;
  /** `awsvpc`: one network namespace with an address of its own, shared by the task's containers. */
  readonly networkMode: 'bridge' | 'host' | 'none' | 'awsvpc';
  readonly containers: readonly ContainerPayload[];
  /** Those that `mountPoints` name. */
  readonly volumes?: readonly VolumePayload[];
}

export interface NetworkBinding {
  readonly bindIP: string;
  readonly containerPort: number;
  readonly hostPort: number;
  readonly protocol: 'tcp' | 'udp';
  /** The range it is one port of, on both sides: `8000-8004`. */
  readonly range?: { readonly container: string; readonly host: string };
}

export type HealthStatus = 'HEALTHY' | 'UNHEALTHY' | 'UNKNOWN';

export type AgentEvent = { readonly taskId: string; readonly timeMs: number } & (
  | { readonly type: 'pull-started' | 'pull-stopped' }
  | {
      readonly type: 'container';
      readonly container: string;
      readonly status: 'PENDING' | 'RUNNING' | 'STOPPED';
      readonly runtimeId?: string;
      readonly imageDigest?: Digest;
      readonly exitCode?: number;
      /** With ECS's prefixes: `CannotPullContainerError: …`. */
      readonly reason?: string;
      readonly networkBindings?: readonly NetworkBinding[];
      readonly address?: string;
      /** Its address is that of the task's own network interface. */
      readonly ownInterface?: boolean;
    }
  | { readonly type: 'health'; readonly container: string; readonly health: HealthStatus }
  /** All containers have ended and everything of the task is cleaned up. Always the last event of a task. */
  | {
      readonly type: 'task-stopped';
      readonly stopCode:
        'TaskFailedToStart' | 'EssentialContainerExited' | 'UserInitiated' | 'ServiceSchedulerInitiated';
      readonly reason: string;
    }
);

/** What of a task definition depends on how the agent was set up. */
export interface AgentAbilities {
  readonly secrets: boolean;
  /** Whether objects can be read. */
  readonly objects: boolean;
  readonly init: boolean;
  /** Whether instances may have GPUs; absent, they may not. */
  readonly gpus?: boolean;
  /** Folders of the host that tasks may mount, with all below. */
  readonly hostPaths: readonly string[];
}

/** An operation of the ECS API, by its name. @throws EcsError */
export type EcsCall = (operation: string, input: object) => Promise<object>;

/** A task that a name of its service leads to. */
export interface ServingTask {
  readonly taskId: string;
  readonly address: string;
  /** Of the container behind the address. */
  readonly ports: readonly { readonly port: number; readonly protocol: 'tcp' | 'udp'; readonly name?: string }[];
}

export interface ServiceNames {
  /** As it is spelt. */
  readonly name: string;
  readonly tasks: readonly ServingTask[];
}

/** The tasks of a service that serve now; undefined when the cluster has no such service. The name may come in any case. */
export type NameLookUp = (cluster: string, service: string) => Promise<ServiceNames | undefined>;

/** What an agent asks of the engine it works for. */
export interface EngineQuestions {
  /** Tags and protection of tasks. */
  readonly call: EcsCall;
  readonly lookUp: NameLookUp;
  /** By a whole DNS name that a service of the cluster was given. */
  readonly lookUpAlias?: NameLookUp;
}

export interface Agent {
  /**
   * The layers of an image, named as in a task definition, without fetching any; undefined when they are not known
   * here, as of images of other registries. Absent: of none.
   */
  layers?(image: string): Promise<readonly { readonly digest: string; readonly sizeBytes: number }[] | undefined>;
  /** `simulated` when it runs nothing real: every task and instance is marked with it. */
  readonly runtime?: 'simulated';
  /** Nothing of it when absent. */
  readonly abilities?: AgentAbilities;
  /** Hands over the way to what only the engine knows. Called once, before `run`. */
  connect?(engine: EngineQuestions): void;
  /** Runs the payload's containers, or adopts those that run already. Returns at once; events tell the rest. Idempotent. */
  run(payload: TaskPayload): void;
  /**
   * SIGTERM, then SIGKILL after each container's stop time-out, in reverse dependency order. `drain` is awaited before the
   * first signal: the scheduler deregisters the task's targets there. Idempotent; `task-stopped` tells the end.
   */
  stop(
    taskId: string,
    why: { readonly stopCode: 'UserInitiated' | 'ServiceSchedulerInitiated'; readonly reason: string },
    drain?: () => Promise<void>,
  ): void;
  /**
   * Runs a command inside a running container, to be talked to; absent where the agent runs nothing real.
   * Undefined when the task or container is not here, or does not run.
   */
  exec?(taskId: string, containerName: string, options: ExecOptions): Promise<ExecSession | undefined>;
  onEvent(listener: (event: AgentEvent) => void): () => void;
  /** Removes what containers of no known payload left behind. Called once after a start, with the ids of all unfinished tasks. */
  sweep(knownTaskIds: ReadonlySet<string>): Promise<void>;
  /** Lines of a container, see Engine.logs. */
  logs(
    taskId: string,
    containerName: string,
    options: { readonly follow?: boolean; readonly sinceMs?: number; readonly signal?: AbortSignal },
  ):
    AsyncIterable<{ readonly timeMs: number; readonly stream: 'stdout' | 'stderr'; readonly text: string }> | undefined;
  /** Stops watching. Containers go on running. */
  close(): Promise<void>;
}
