/** The control plane, put together: the rooms share one ECS client, one record store, and nothing in memory. */
import type { Platform as HostPlatform } from '../oci/index.js';
import type { Images } from '../registry/index.js';
import {
  type Clock,
  type ContentStore,
  type Ids,
  type Logger,
  type Metrics,
  noMetrics,
  type RecordStore,
} from '../store/index.js';
import { LocalCapacity, type LocalCapacityOptions } from './capacity-ecs-local.js';
import { Clusters } from './clusters.js';
import { Deployments } from './deployments.js';
import { Ecs, type ECSClient, type EcsConnection, type EcsOptions } from './ecs/index.js';
import { Events } from './events.js';
import { Placements } from './placements.js';
import { Reconciler } from './reconciler.js';
import { Releases } from './releases.js';
import { ServiceRecords } from './service-records.js';
import { ServiceRemoval } from './service-removal.js';
import { Services } from './services.js';
import { type ImageNaming, type TaskDefaults, TaskDefinitions } from './task-definition.js';
import { Tasks } from './tasks.js';
import { placementOf, type ProviderNaming, type TaskPlacement } from './task-placement.js';
import type { Capacity, PlacementSource, Routing, TaskExec, TaskLogs } from './ports.js';

export interface PlatformDeps {
  readonly ecs: ECSClient | EcsConnection;
  readonly records: RecordStore;
  readonly images: Images;
  readonly content: Pick<ContentStore, 'read'>;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly logger: Logger;
  /** None when absent. */
  readonly metrics?: Metrics;
  /** Made over the same ECS client when a function. */
  readonly capacity: Capacity | ((ecs: Ecs) => Capacity);
  readonly routing: Routing;
  readonly logs: TaskLogs;
  /** Absent where Amazon ECS places tasks. */
  readonly placement?: PlacementSource;
  /** Absent where Amazon ECS runs the containers: it has its own way in. */
  readonly exec?: TaskExec;
}

export interface PlatformOptions {
  /** Of the container instances. */
  readonly platform: HostPlatform;
  /** How instances name an image; `repository@digest` when absent. */
  readonly nameImage?: ImageNaming;
  /** Nothing when absent. */
  readonly taskDefaults?: TaskDefaults;
  /** What gives services and tasks their instances; launch type EC2, the instances that are there, when absent. */
  readonly capacityProvider?: ProviderNaming;
  /** How ECS is called: its rates, and how often room is asked for; as an engine of our own is when absent. */
  readonly ecs?: EcsOptions;
  /** Whether a host in an image name is this registry; loopback names are, when absent. */
  readonly isOwnRegistry?: (host: string) => boolean;
  /** Between looks at unfinished business; 1 s when absent. */
  readonly tickMs?: number;
  /** Between sweeps; 60 s when absent. */
  readonly sweepMs?: number;
  /** When an open deployment is given up; 15 minutes when absent. */
  readonly deploymentDeadlineMs?: number;
}

export interface Platform {
  readonly clusters: Clusters;
  readonly services: Services;
  readonly tasks: Tasks;
  readonly placements: Placements;
  readonly events: Events;
  readonly reconciler: Reconciler;
  /** Restores routes from the records and starts the loop. */
  start(): Promise<void>;
  /** Ends the loop after the round it is in. */
  stop(): Promise<void>;
}

export function createPlatform(deps: PlatformDeps, options: PlatformOptions): Platform {
  const { records, clock, ids, logger, images, content, routing, logs } = deps;
  const ecs = new Ecs(deps.ecs, clock, options.ecs);
  const capacity = typeof deps.capacity === 'function' ? deps.capacity(ecs) : deps.capacity;
  const check = {
    platform: options.platform,
    ...(options.isOwnRegistry === undefined ? {} : { isOwnRegistry: options.isOwnRegistry }),
  };
  const nameImage = options.nameImage ?? ((repository, digest) => `${repository}@${digest}`);
  const taskDefinitions = new TaskDefinitions({ ecs, records }, { nameImage, defaults: options.taskDefaults ?? {} });
  const placement = (cluster: string): TaskPlacement => placementOf(options.capacityProvider, cluster);
  const events = new Events({ records, clock, ids });
  const deployments = new Deployments(
    { ecs, records, clock, logger, events, taskDefinitions, routing },
    {
      placement,
      ...(options.deploymentDeadlineMs === undefined ? {} : { deadlineMs: options.deploymentDeadlineMs }),
    },
  );
  const serviceRecords = new ServiceRecords(records);
  const shared = { records, serviceRecords, clock, events };
  const releases = new Releases({ ...shared, ids, deployments });
  const removal = new ServiceRemoval({ ...shared, ecs, routing });
  const services = new Services(
    { ecs, records, images, content, routing, serviceRecords, releases, deployments, removal },
    check,
  );
  const clusters = new Clusters({ ecs, records, capacity, clock, events, services });
  const tasks = new Tasks(
    {
      ...{ ecs, records, images, content, clock, ids, events, taskDefinitions, logs },
      ...(deps.exec === undefined ? {} : { exec: deps.exec }),
    },
    { ...check, placement },
  );
  const reconciler = new Reconciler({
    ...{ ecs, records, clock, logger, events, metrics: deps.metrics ?? noMetrics },
    tasks,
    services,
    deployments,
    clusters,
  });
  const placements = new Placements({ records, ...(deps.placement === undefined ? {} : { source: deps.placement }) });
  const loop = new Loop(clock, logger, [
    { everyMs: options.tickMs ?? 1000, run: () => reconciler.tick() },
    { everyMs: options.sweepMs ?? 60_000, run: () => reconciler.sweep() },
  ]);
  return {
    clusters,
    services,
    tasks,
    placements,
    events,
    reconciler,
    async start() {
      await reconciler.restoreRoutes();
      loop.start();
    },
    stop: () => loop.stop(),
  };
}

/** Capacity on this machine, for `PlatformDeps.capacity`. */
export function localCapacity(options: LocalCapacityOptions): (ecs: Ecs) => Capacity {
  return (ecs) => new LocalCapacity(ecs, options);
}

interface Round {
  readonly everyMs: number;
  readonly run: () => Promise<void>;
}

/** Runs each round over and over, with a pause between. */
class Loop {
  private readonly stopping = new AbortController();
  private running: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly clock: Clock,
    private readonly logger: Logger,
    private readonly rounds: readonly Round[],
  ) {}

  start(): void {
    this.running = Promise.all(this.rounds.map((round) => this.repeat(round)));
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await this.running;
  }

  private async repeat(round: Round): Promise<void> {
    const { signal } = this.stopping;
    while (!signal.aborted) {
      try {
        await round.run();
      } catch (error) {
        this.logger.warn('a round of the control plane failed, it is tried again', { error });
      }
      await this.clock.sleep(round.everyMs, signal).catch(() => {});
    }
  }
}
