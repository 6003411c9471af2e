/** The control plane on AWS: Amazon ECS over the deployed cluster, images by way of ECR, no front of its own yet. */
import { AppError } from '../../errors/index.js';
import { parsePlatform } from '../../oci/index.js';
import {
  type Capacity,
  createPlatform,
  type Ecs,
  EcsRates,
  lateEcsClient,
  type Platform,
  type Routing,
  type TaskLogs,
} from '../../platform/index.js';
import type { Images } from '../../registry/index.js';
import type { Metrics } from '../../store/index.js';
import { AdoptedCapacity } from './capacity.js';
import { CapacityChoice } from './capacity-choice.js';
import type { AwsConfig, CLUSTER_SETTINGS, PLATFORM_SETTINGS } from './config.js';
import { defaultProvider } from './function-credentials.js';
import { LaunchTemplates } from './launch-templates.js';
import { MadeCapacity } from './made-capacity.js';
import { openImageNaming } from './mirror-late.js';
import { AwsQuery } from './query.js';
import { ScalingGroups } from './scaling-groups.js';
import type { AwsStore } from './store.js';

export interface AwsPlatformOptions {
  /** How long one call may copy an image to ECR before it is left for the reconciler. */
  readonly mirrorMs: number;
  /** What the reconciler counts; nothing when absent. */
  readonly metrics?: Metrics;
  /** Where clusters may be made over the API; only the deployed one is there when absent. */
  readonly clusters?: AwsConfig<(typeof CLUSTER_SETTINGS)[number]> | undefined;
}

/** With waits of up to 0.5, 1 and 2 seconds between them. */
const ROOM_ATTEMPTS = 4;

export function openAwsPlatform(
  store: AwsStore,
  images: Images,
  config: AwsConfig<(typeof PLATFORM_SETTINGS)[number] | 'region'>,
  options: AwsPlatformOptions,
): Platform {
  const { region, cluster, taskLogGroup, executionRoleArn, capacityProvider } = config;
  const mirror = { prefix: config.mirrorPrefix, budgetMs: options.mirrorMs };
  return createPlatform(
    {
      ...store,
      images,
      ecs: lateEcsClient({ region }),
      capacity: (ecs) => capacityOf(ecs, store, config, options.clusters),
      routing: noFront,
      logs: logsInCloudWatch(taskLogGroup),
      ...(options.metrics === undefined ? {} : { metrics: options.metrics }),
    },
    {
      platform: parsePlatform(config.platform),
      nameImage: openImageNaming(store, images, region, mirror),
      // Of clusters that were made here, the provider has the cluster's name.
      capacityProvider: (name) => (name === cluster ? capacityProvider : name),
      ecs: { rates: new EcsRates(store.clock), roomAttempts: ROOM_ATTEMPTS },
      taskDefaults: {
        executionRoleArn,
        logConfiguration: {
          logDriver: 'awslogs',
          options: {
            'awslogs-group': taskLogGroup,
            'awslogs-region': region,
            'awslogs-stream-prefix': 'task',
            // A slow log must not hold up what writes it.
            mode: 'non-blocking',
          },
        },
      },
      isOwnRegistry: () => false,
    },
  );
}

/** The cluster that was deployed is known from then on, so that services can be deployed without a word about it. */
export async function adoptCluster({ clusters }: Platform, name: string): Promise<void> {
  if ((await clusters.get(name)) === undefined) await clusters.put(name, { instances: 0 });
}

function capacityOf(
  ecs: Ecs,
  { clock }: AwsStore,
  config: AwsConfig<'region' | 'cluster' | 'maxInstances'>,
  clusters: AwsPlatformOptions['clusters'],
): Capacity {
  const { region, cluster } = config;
  const maxInstances = Number(config.maxInstances);
  const adopted = new AdoptedCapacity(ecs, { cluster, maxInstances });
  if (clusters === undefined) return adopted;
  const query = new AwsQuery(clock, { region, credentials: defaultProvider(), environment: process.env });
  const names = { launchTemplate: clusters.launchTemplate, deployedCluster: cluster };
  const made = new MadeCapacity(
    { ecs, templates: new LaunchTemplates(query, names), groups: new ScalingGroups(query) },
    { ...names, subnets: clusters.subnets, maxInstances },
  );
  return new CapacityChoice({ cluster, capacity: adopted }, made);
}

/** Services publish ports of their instances; nothing balances between them. */
const noFront: Routing = {
  async targetGroupFor({ service, healthPath }) {
    if (healthPath === undefined) return undefined;
    throw new AppError('HEALTH_PATH_UNSUPPORTED', `service ${service}: nothing here asks for ${healthPath}`, {
      kind: 'unsupported',
      hint: 'a health command, which ECS runs inside the container',
    });
  },
  async remove() {},
  urlFor: () => undefined,
};

function logsInCloudWatch(group: string): TaskLogs {
  return {
    open(taskArn) {
      const task = taskArn.slice(taskArn.lastIndexOf('/') + 1);
      throw new AppError('TASK_LOGS_UNSUPPORTED', `the lines of task ${task} are in CloudWatch Logs, not here`, {
        kind: 'unsupported',
        hint: `aws logs tail ${group} --since 1h --filter-pattern '' (streams task/<container>/${task})`,
      });
    },
  };
}
