/**
 * Workers for builds on AWS: one task of ECS for one build, on the cluster's own capacity, which starts from none. The
 * worker image is an ordinary image of our own registry, copied to ECR when it is first needed.
 */
import type { BuildTasks, BuildTaskState } from '../../build/index.js';
import {
  contentHash,
  describeStop,
  Ecs,
  EcsRates,
  type EcsTask,
  type ImageNaming,
  isPassingPlacement,
  lateEcsClient,
  projectTask,
  type TaskDefinitionInput,
  TaskDefinitions,
} from '../../platform/index.js';
import type { Registry } from '../../registry/index.js';
import type { AwsConfig, STORE_SETTINGS, WORKER_SETTINGS } from './config.js';
import { openImageNaming } from './mirror-late.js';
import type { AwsStore } from './store.js';
import { findWorkerImage } from './worker-image.js';

export type BuildTaskConfig = AwsConfig<
  (typeof STORE_SETTINGS)[number] | (typeof WORKER_SETTINGS)[number] | 'platform' | 'dockerHub'
> &
  Partial<AwsConfig<'sourcePolicy'>>;

export interface AwsBuildTasksDeps {
  readonly ecs: Ecs;
  readonly registry: Registry;
  readonly nameImage: ImageNaming;
  readonly definitions: TaskDefinitions;
}

/** The folder of a worker that is not in its image: overlayfs takes no folder of an overlay. */
export const WORKER_DATA = '/var/lib/wharf';
const CONTAINER = 'worker';

export class AwsBuildTasks implements BuildTasks {
  constructor(
    private readonly deps: AwsBuildTasksDeps,
    private readonly config: BuildTaskConfig,
  ) {}

  async start(build: string, attempt: number): Promise<string | undefined> {
    const { cluster, capacityProvider } = this.config;
    const image = await this.image();
    const taskDefinition = await this.deps.definitions.registered(this.definition(image));
    try {
      const task = await this.deps.ecs.tasks.run({
        cluster,
        taskDefinition,
        capacityProviderStrategy: [{ capacityProvider, weight: 1 }],
        clientToken: contentHash([build, attempt]),
        // What a rule of the stack reads when the task stops.
        startedBy: build,
        overrides: { containerOverrides: [{ name: CONTAINER, environment: [{ name: 'WHARF_BUILD', value: build }] }] },
      });
      return task.taskArn;
    } catch (error) {
      if (isPassingPlacement(error)) return undefined;
      throw error;
    }
  }

  async look(task: string): Promise<BuildTaskState> {
    const [found] = await this.deps.ecs.tasks.describe(this.config.cluster, [task]);
    if (found === undefined) return { status: 'stopped', reason: 'ECS no longer knows the task' };
    if (found.lastStatus !== 'STOPPED') return { status: 'under-way' };
    return { status: 'stopped', reason: stopOf(found, this.config.cluster) };
  }

  async stop(task: string, reason: string): Promise<void> {
    await this.deps.ecs.tasks.stop(this.config.cluster, task, reason);
  }

  /** As the instances name it. @throws AppError BUILD_RUN_UNAVAILABLE */
  private async image(): Promise<string> {
    const { repository, digest } = await findWorkerImage(this.deps.registry, this.config.workerImage);
    return this.deps.nameImage(repository, digest);
  }

  private definition(image: string): TaskDefinitionInput {
    const { config } = this;
    const environment = {
      AWS_REGION: config.region,
      WHARF_TABLE: config.table,
      WHARF_BUCKET: config.bucket,
      WHARF_SEALING_KEY_ARN: config.sealingKeyArn,
      WHARF_PLATFORM: config.platform,
      WHARF_DOCKER_HUB: config.dockerHub,
      ...(config.sourcePolicy === undefined ? {} : { WHARF_SOURCE_POLICY: config.sourcePolicy }),
    };
    return {
      family: `${config.cluster}--build-worker`,
      networkMode: 'bridge',
      requiresCompatibilities: ['EC2'],
      executionRoleArn: config.executionRoleArn,
      taskRoleArn: config.workerRoleArn,
      volumes: [{ name: 'data' }],
      containerDefinitions: [
        {
          name: CONTAINER,
          image,
          essential: true,
          cpu: Number(config.workerCpu),
          memory: Number(config.workerMemory),
          // It mounts layers and makes containers of its own.
          privileged: true,
          // Enough to hand the build back.
          stopTimeout: 60,
          environment: Object.entries(environment).map(([name, value]) => ({ name, value })),
          mountPoints: [{ sourceVolume: 'data', containerPath: WORKER_DATA }],
          logConfiguration: {
            logDriver: 'awslogs',
            options: {
              'awslogs-group': config.taskLogGroup,
              'awslogs-region': config.region,
              'awslogs-stream-prefix': 'build',
              mode: 'non-blocking',
            },
          },
        },
      ],
    };
  }
}

/** How long one look may copy the worker image; a copy that takes longer is gone on with at the next. */
const MIRROR_MS = 240_000;

export function openBuildTasks(
  { store, registry }: { readonly store: AwsStore; readonly registry: Registry },
  config: BuildTaskConfig,
): AwsBuildTasks {
  const { region, mirrorPrefix: prefix } = config;
  const ecs = new Ecs(lateEcsClient({ region }), store.clock, { rates: new EcsRates(store.clock) });
  const nameImage = openImageNaming(store, registry, region, { prefix, budgetMs: MIRROR_MS });
  const definitions = new TaskDefinitions({ ecs, records: store.records }, { nameImage, defaults: {} });
  return new AwsBuildTasks({ ecs, registry, nameImage, definitions }, config);
}

function stopOf(task: EcsTask, cluster: string): string {
  return describeStop(projectTask(task, cluster));
}
