/**
 * What a function is told by its environment: read once at cold start, so that a stack that lacks something says all
 * of it in the first line of the log instead of failing at some request.
 */
import { AppError } from '../../errors/index.js';

const VARIABLES = {
  region: 'AWS_REGION',
  table: 'WHARF_TABLE',
  bucket: 'WHARF_BUCKET',
  buildQueueUrl: 'WHARF_BUILD_QUEUE_URL',
  sealingKeyArn: 'WHARF_SEALING_KEY_ARN',
  adminTokenArn: 'WHARF_ADMIN_TOKEN_ARN',
  /** The token of those who deploy, where one was asked for. */
  deployTokenArn: 'WHARF_DEPLOY_TOKEN_ARN',
  /** Of the platform's API, where a function asks it. */
  apiUrl: 'WHARF_API_URL',
  /** Where clients reach what answers, as `https://registry.example.org`. */
  publicUrl: 'WHARF_PUBLIC_URL',
  /** Of the container instances, as `linux/arm64`. */
  platform: 'WHARF_PLATFORM',
  /** `yes` when a base name without a host may mean Docker Hub, else `no`. */
  dockerHub: 'WHARF_DOCKER_HUB',
  /** The operator's source policy, packed, where there is one. */
  sourcePolicy: 'WHARF_SOURCE_POLICY',
  cluster: 'WHARF_CLUSTER',
  /** Instances the cluster may have at most. */
  maxInstances: 'WHARF_MAX_INSTANCES',
  capacityProvider: 'WHARF_CAPACITY_PROVIDER',
  executionRoleArn: 'WHARF_EXECUTION_ROLE_ARN',
  taskLogGroup: 'WHARF_TASK_LOG_GROUP',
  /** First part of the names of ECR repositories, as `wharf`. */
  mirrorPrefix: 'WHARF_MIRROR_PREFIX',
  /** `repository:tag` in our own registry, or `repository:*` for the newest tag there. */
  workerImage: 'WHARF_WORKER_IMAGE',
  /** What a build's worker may do. */
  workerRoleArn: 'WHARF_WORKER_ROLE_ARN',
  /** ECS CPU units and MiB. */
  workerCpu: 'WHARF_WORKER_CPU',
  workerMemory: 'WHARF_WORKER_MEMORY',
  /** Of the instances of the deployed cluster; set where clusters may be made over the API. */
  launchTemplate: 'WHARF_LAUNCH_TEMPLATE',
  /** Of made clusters, ids with commas between them. */
  subnets: 'WHARF_SUBNETS',
} as const;

export type AwsSetting = keyof typeof VARIABLES;
export type AwsConfig<K extends AwsSetting = AwsSetting> = Readonly<Record<K, string>>;

/**
 * The settings a function needs, by their names.
 * @throws AppError HOST_CONFIG_INCOMPLETE that names every variable that is missing or empty
 */
export function readAwsConfig<K extends AwsSetting>(
  environment: Readonly<Record<string, string | undefined>>,
  ...needed: readonly K[]
): AwsConfig<K> {
  const missing = needed.map((name) => VARIABLES[name]).filter((variable) => (environment[variable] ?? '') === '');
  if (missing.length > 0) {
    throw new AppError('HOST_CONFIG_INCOMPLETE', `this function lacks ${missing.join(', ')} in its environment`, {
      kind: 'internal',
      hint: 'deploy it by the constructs of lib/constructs, which set them',
      details: { missing },
    });
  }
  return Object.fromEntries(needed.map((name) => [name, environment[VARIABLES[name]]])) as AwsConfig<K>;
}

/** What every function with a store needs. */
export const STORE_SETTINGS = ['region', 'table', 'bucket', 'sealingKeyArn'] as const;
/** What runs or watches tasks needs beside. */
export const PLATFORM_SETTINGS = [
  'platform',
  'cluster',
  'maxInstances',
  'capacityProvider',
  'executionRoleArn',
  'taskLogGroup',
  'mirrorPrefix',
] as const;
/** What makes clusters needs beside; where none is set there is only the deployed one. */
export const CLUSTER_SETTINGS = ['launchTemplate', 'subnets'] as const;
/** What hands builds over needs beside; a builder without capacity has none of it. */
export const WORKER_SETTINGS = [
  'cluster',
  'capacityProvider',
  'executionRoleArn',
  'taskLogGroup',
  'mirrorPrefix',
  'workerImage',
  'workerRoleArn',
  'workerCpu',
  'workerMemory',
] as const;

/** Undefined where none of these is set. @throws AppError HOST_CONFIG_INCOMPLETE when only some are */
export function readOptionalAwsConfig<K extends AwsSetting>(
  environment: Readonly<Record<string, string | undefined>>,
  ...needed: readonly K[]
): AwsConfig<K> | undefined {
  if (needed.every((name) => (environment[VARIABLES[name]] ?? '') === '')) return undefined;
  return readAwsConfig(environment, ...needed);
}
