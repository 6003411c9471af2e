/** What the control plane asks of its host: machines, a way in, and what only whoever runs the containers knows. */
import type { ExecSession } from '../runtime/index.js';
import type { ClusterSpec, Placement } from './types.js';

/** Gives a cluster its container instances. Calls are idempotent and may be repeated. */
export interface Capacity {
  /**
   * Brings the ECS cluster of this name, which is made where the host makes clusters, to so many instances, or to
   * growing between these bounds. Nothing is made or changed for what is refused.
   * @returns the cluster's ARN
   * @throws AppError kind unsupported for a name or a size that the host cannot serve
   */
  ensure(cluster: string, wanted: ClusterSpec): Promise<string>;
  describe(cluster: string): Promise<{ readonly kind: string; readonly instances: number; readonly maximum?: number }>;
  /** Undoes `ensure`: what this made is taken away, what it found is left. */
  remove(cluster: string): Promise<void>;
}

export interface RouteRequest {
  readonly cluster: string;
  readonly service: string;
  readonly port: number;
  /** HTTP path that must answer 200 to 399; a TCP connection is enough when absent. */
  readonly healthPath?: string;
  readonly intervalSeconds?: number;
  readonly timeoutSeconds?: number;
  readonly retries?: number;
  readonly startPeriodSeconds?: number;
}

/** The load balancer in front of services, if there is one. */
export interface Routing {
  /** The target group of a service's port, made or updated as asked. Idempotent: the same names give the same ARN. */
  targetGroupFor(route: RouteRequest): Promise<string | undefined>;
  /** Forgets what was asked for this service. */
  remove(cluster: string, service: string): Promise<void>;
  /** The URL the service answers at. */
  urlFor(cluster: string, service: string): string | undefined;
}

export interface ExecRequest {
  /** The first essential one when absent. */
  readonly container?: string;
  readonly command: readonly string[];
  /** A terminal of this size; none when absent. */
  readonly terminal?: { readonly rows: number; readonly columns: number };
}

/** Commands inside running containers, where the host can do that. */
export interface TaskExec {
  open(taskArn: string, request: ExecRequest): Promise<ExecSession>;
}

/** Whoever places tasks, where it says why not. */
export interface PlacementSource {
  list(cluster: string): Promise<readonly Placement[]>;
  ofService(cluster: string, service: string): Promise<Placement | undefined>;
}

/** Secrets that specifications name, where the host keeps them itself. */
export interface TaskSecrets {
  /** Names, sorted. */
  list(): Promise<readonly string[]>;
  put(name: string, value: string): Promise<void>;
  /** False when there is none. */
  delete(name: string): Promise<boolean>;
}

/** What containers wrote. */
export interface TaskLogs {
  open(
    taskArn: string,
    container: string | undefined,
    options: { readonly follow?: boolean; readonly sinceMs?: number; readonly signal?: AbortSignal },
  ): AsyncIterable<TaskLogLine> | undefined;
}

export interface TaskLogLine {
  readonly timeMs: number;
  readonly stream: 'stdout' | 'stderr';
  readonly text: string;
}
