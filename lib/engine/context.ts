/** What every handler and loop of the engine is handed: the ports, the options with defaults filled in, the records. */
import type { Clock, Ids, Logger, RecordStore } from '../store/index.js';
import type { Agent } from './agent/types.js';
import type { Arns } from './arn.js';
import type { EventBus } from './events.js';
import type { KeyedMutex } from './keyed-mutex.js';
import type { EngineState } from './state/engine-state.js';
import type { ImageLayers } from './tasks/pulls.js';
import type { TargetGroups } from './types.js';

export interface EngineDeps {
  readonly records: RecordStore;
  readonly agent: Agent;
  /** Absent: services with `loadBalancers` are refused. */
  readonly targetGroups?: TargetGroups;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly logger: Logger;
}

export interface EngineOptions {
  readonly region: string;
  /** Twelve digits. */
  readonly accountId: string;
  /** `x86_64` or `arm64`; the attribute ecs.cpu-architecture of instances that state none. */
  readonly architecture?: 'x86_64' | 'arm64';
  /**
   * `host` (default): the logical instances share one machine, so a fixed host port is taken for all of them.
   * `instance`: each instance has its own address, as on EC2.
   */
  readonly hostPortScope?: 'host' | 'instance';
  /**
   * A service task with neither a container health check nor a load balancer counts as healthy so long after it
   * reached RUNNING. Default 40,000, as in ECS.
   */
  readonly healthyAfterRunningMs?: number;
  /**
   * The circuit breaker also counts tasks that end by themselves after RUNNING but before they ever counted as
   * healthy. ECS does not, and so never stops a crash loop. Default true.
   */
  readonly earlyExitFailsDeployment?: boolean;
  /** Least time between the end of such a task and the next launch; doubles up to 15 minutes for launches that never reach RUNNING. Default 1,000. */
  readonly relaunchDelayMs?: number;
  /** Tasks that a service starts within a minute at most. Default 500, as in ECS. */
  readonly serviceLaunchesPerMinute?: number;
  /** How often the health of targets is asked for; a quarter as often once the service is steady. Default 250. */
  readonly pollMs?: number;
  /** How long stopped tasks stay describable. Default one hour. */
  readonly stoppedTaskTtlMs?: number;
  /**
   * What an instance of a capacity provider's group has when the provider's tags do not say: CPU units (1,024 are one
   * core) and MiB. Default 1,024 and 2,048.
   */
  readonly instanceSize?: { readonly cpu: number; readonly memoryMiB: number };
  /** How long an instance must have been too many before its group gives it up. Default 15 minutes, about as in ECS. */
  readonly scaleInAfterMs?: number;
  /** For the placement strategy `random`; 0 to below 1. */
  readonly random?: () => number;
}

export interface Context {
  readonly deps: EngineDeps;
  readonly options: Required<EngineOptions>;
  readonly state: EngineState;
  readonly arns: Arns;
  readonly events: EventBus;
  readonly mutex: KeyedMutex;
  readonly imageLayers: ImageLayers;
}

export const DEFAULT_OPTIONS = {
  architecture: 'x86_64',
  hostPortScope: 'host',
  healthyAfterRunningMs: 40_000,
  earlyExitFailsDeployment: true,
  relaunchDelayMs: 1000,
  serviceLaunchesPerMinute: 500,
  pollMs: 250,
  stoppedTaskTtlMs: 3_600_000,
  instanceSize: { cpu: 1024, memoryMiB: 2048 },
  scaleInAfterMs: 15 * 60_000,
  random: Math.random,
} as const satisfies Omit<Required<EngineOptions>, 'region' | 'accountId'>;
