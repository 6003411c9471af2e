/**
 * The engine's face: an HTTP handler that speaks the ECS API, a lifecycle, an event stream, and the one thing it asks
 * of its surroundings, target groups. Everything else about it is the ECS API itself.
 */

import type { ExecOptions, ExecSession } from '../runtime/index.js';
import type { Unplaced } from './state/side-model.js';

export interface Engine {
  /** Handles `POST /` with `X-Amz-Target: AmazonEC2ContainerServiceV20141113.<Operation>`. */
  fetch(request: Request): Promise<Response>;
  /** Adopts running containers and starts the loops. */
  start(): Promise<void>;
  /** Stops the loops. Containers go on running unless `stopTasks` is set. */
  stop(options?: { readonly stopTasks?: boolean }): Promise<void>;
  /** EventBridge-shaped events, in order. Returns the way to stop listening. */
  onEvent(listener: (event: EngineEvent) => void): () => void;
  /**
   * The instance dies, as when its machine is terminated: INACTIVE at once, its tasks stop with TerminationNotice, and
   * services replace them elsewhere. False when there is no such instance that lives.
   */
  loseInstance(instanceArn: string): Promise<boolean>;
  /** Why tasks of this cluster have no place: of services that wait, and of single requests of the last hour. */
  unplaced(cluster: string): Promise<readonly Unplaced[]>;
  /** Why this service waits for room; undefined when it does not. */
  unplacedService(cluster: string, service: string): Promise<Unplaced | undefined>;
  /** The lines a container wrote; undefined when there is no such task or container. */
  logs(
    taskArn: string,
    containerName: string | undefined,
    options: { readonly follow?: boolean; readonly sinceMs?: number; readonly signal?: AbortSignal },
  ): AsyncIterable<LogLine> | undefined;
  /**
   * Runs a command inside a container of a task, the first essential one when none is named.
   * @throws AppError TASK_NOT_RUNNING when there is none that runs
   */
  exec(taskArn: string, containerName: string | undefined, options: ExecOptions): Promise<ExecSession>;
}

export interface EngineEvent {
  readonly version: '0';
  readonly id: string;
  readonly 'detail-type':
    | 'ECS Task State Change'
    | 'ECS Container Instance State Change'
    | 'ECS Deployment State Change'
    | 'ECS Service Action';
  readonly source: 'aws.ecs';
  readonly account: string;
  /** ISO 8601. */
  readonly time: string;
  readonly region: string;
  readonly resources: readonly string[];
  readonly detail: Readonly<Record<string, unknown>>;
}

export interface LogLine {
  readonly timeMs: number;
  readonly stream: 'stdout' | 'stderr';
  readonly text: string;
}

/** Where a task can be reached: an address of this host or of the task itself. */
export interface Target {
  readonly host: string;
  readonly port: number;
}

/**
 * What Elastic Load Balancing is to ECS. In embedded mode the front (`lib/http`) is the load balancer.
 * A task counts as healthy only when its target is; a target is drained before its task gets SIGTERM.
 */
export interface TargetGroups {
  register(targetGroupArn: string, target: Target): Promise<void>;
  /** No new request goes there from now on; resolves when those under way have ended, or after the group's delay. */
  deregister(targetGroupArn: string, target: Target): Promise<void>;
  health(targetGroupArn: string, target: Target): 'initial' | 'healthy' | 'unhealthy' | 'draining' | 'unused';
}
