/**
 * A container spec as an ECS task definition. Registered once per content: the hash of the input names the record
 * that holds the ARN, so a thousand deployments of one thing make one revision (ECS allows one registration a second).
 */
import type { Digest } from '../oci/index.js';
import type { RecordStore } from '../store/index.js';
import { contentHash, defined } from './values/index.js';
import type { Ecs, TaskDefinitionInput } from './ecs/index.js';
import { keys } from './keys.js';
import type { ContainerSpec, HealthSpec, PortSpec } from './types.js';

const DEFAULT_CPU_UNITS = 128;
const DEFAULT_MEMORY_MIB = 128;

export interface Runnable {
  readonly family: string;
  /** Also the container's name. */
  readonly name: string;
  readonly image: { readonly repository: string; readonly digest: Digest };
  readonly spec: ContainerSpec & { readonly health?: HealthSpec };
  readonly ports: readonly PortSpec[];
}

/**
 * How the instances name an image of ours; `repository@digest` where the engine reads our store itself. Elsewhere it
 * resolves when the image lies where the name says.
 */
export type ImageNaming = (repository: string, digest: Digest) => string | Promise<string>;

/** What the host gives every task. */
export interface TaskDefaults {
  readonly executionRoleArn?: string;
  readonly logConfiguration?: { readonly logDriver: 'awslogs'; readonly options: Readonly<Record<string, string>> };
}

/** @param image as the instances name it */
export function taskDefinitionInput(runnable: Runnable, image: string, defaults: TaskDefaults): TaskDefinitionInput {
  const { spec } = runnable;
  const { executionRoleArn, logConfiguration: logs } = defaults;
  return {
    family: runnable.family,
    networkMode: 'bridge',
    requiresCompatibilities: ['EC2'],
    ...(executionRoleArn === undefined ? {} : { executionRoleArn }),
    containerDefinitions: [
      defined({
        name: runnable.name,
        image,
        essential: true,
        cpu: spec.cpu ?? DEFAULT_CPU_UNITS,
        memory: spec.memory ?? DEFAULT_MEMORY_MIB,
        command: spec.command === undefined ? undefined : [...spec.command],
        entryPoint: spec.entrypoint === undefined ? undefined : [...spec.entrypoint],
        user: spec.user,
        workingDirectory: spec.workingDirectory,
        readonlyRootFilesystem: spec.readonlyRootFilesystem,
        stopTimeout: spec.stopTimeoutSeconds,
        environment: sorted(spec.env ?? {}).map(([name, value]) => ({ name, value })),
        secrets:
          spec.secrets === undefined
            ? undefined
            : sorted(spec.secrets).map(([name, valueFrom]) => ({ name, valueFrom })),
        portMappings: runnable.ports.map((port) => ({
          containerPort: port.container,
          hostPort: port.host ?? 0,
          protocol: port.protocol ?? ('tcp' as const),
        })),
        healthCheck: healthCheck(spec.health),
        logConfiguration: logs === undefined ? undefined : { ...logs, options: { ...logs.options } },
      }),
    ],
  };
}

/** So that one content has one hash. */
function sorted(named: Readonly<Record<string, string>>): readonly (readonly [string, string])[] {
  return Object.entries(named).sort(([a], [b]) => (a < b ? -1 : 1));
}

function healthCheck(health: HealthSpec | undefined) {
  if (health === undefined || !('command' in health)) return undefined;
  return {
    command: ['CMD', ...health.command],
    interval: health.intervalSeconds ?? 10,
    timeout: health.timeoutSeconds ?? 5,
    retries: health.retries ?? 3,
    startPeriod: health.startPeriodSeconds ?? 0,
  };
}

export class TaskDefinitions {
  constructor(
    private readonly deps: { readonly ecs: Ecs; readonly records: RecordStore },
    private readonly options: { readonly nameImage: ImageNaming; readonly defaults: TaskDefaults },
  ) {}

  /** The ARN of a task definition with this content. */
  async ensure(runnable: Runnable): Promise<string> {
    const { repository, digest } = runnable.image;
    const image = await this.options.nameImage(repository, digest);
    return this.registered(taskDefinitionInput(runnable, image, this.options.defaults));
  }

  /** The ARN of a task definition with exactly this content, registered now if it is not yet. */
  async registered(input: TaskDefinitionInput): Promise<string> {
    const key = keys.taskDefinition(contentHash(input));
    const known = await this.deps.records.get<{ readonly arn: string }>(key);
    if (known !== undefined) {
      const there = await this.deps.ecs.taskDefinitions.describe(known.value.arn);
      if (there?.status === 'ACTIVE') return known.value.arn;
    }
    const arn = (await this.deps.ecs.taskDefinitions.register(input)).taskDefinitionArn ?? input.family ?? '';
    await this.deps.records.put(key, { arn });
    return arn;
  }
}
