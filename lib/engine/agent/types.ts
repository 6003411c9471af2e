/**
 * Between the engine's scheduler and its agent. The scheduler decides which task runs on which container instance and
 * hands the agent a payload; the agent runs the payload's containers with the real runtime and reports what happens.
 * The agent keeps no state of its own that matters: after a restart the scheduler hands every unfinished payload in
 * again, and the agent finds the containers that are still running.
 */
import type { Digest } from '../../oci/index.js';

export interface ContainerPayload {
  readonly name: string;
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
}

export interface TaskPayload {
  /** 32 hex digits, the last part of the ARN. */
  readonly taskId: string;
  readonly taskArn: string;
  readonly clusterName: string;
  readonly containerInstanceId: string;
  readonly family: string;
  readonly revision: number;
  readonly networkMode: 'bridge' | 'host' | 'none';
  readonly containers: readonly ContainerPayload[];
}

export interface NetworkBinding {
  readonly bindIP: string;
  readonly containerPort: number;
  readonly hostPort: number;
  readonly protocol: 'tcp' | 'udp';
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

export interface Agent {
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
