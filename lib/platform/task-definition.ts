/**
 * A container spec as an ECS task definition. Registered once per content: the hash of the input names the record
 * that holds the ARN, so a thousand deployments of one thing make one revision (ECS allows one registration a second).
 */
import type { Digest } from '../oci/index.js';
import type { RecordStore } from '../store/index.js';
import { contentHash } from './content-hash.js';
import { defined } from './defined.js';
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

/** How the instances name an image of ours; `repository@digest` where the engine reads our store itself. */
export type ImageNaming = (repository: string, digest: Digest) => string;

export function taskDefinitionInput(runnable: Runnable, nameImage: ImageNaming): TaskDefinitionInput {
  const { spec } = runnable;
  return {
    family: runnable.family,
    networkMode: 'bridge',
    requiresCompatibilities: ['EC2'],
    containerDefinitions: [
      defined({
        name: runnable.name,
        image: nameImage(runnable.image.repository, runnable.image.digest),
        essential: true,
        cpu: spec.cpu ?? DEFAULT_CPU_UNITS,
        memory: spec.memory ?? DEFAULT_MEMORY_MIB,
        command: spec.command === undefined ? undefined : [...spec.command],
        entryPoint: spec.entrypoint === undefined ? undefined : [...spec.entrypoint],
        user: spec.user,
        workingDirectory: spec.workingDirectory,
        readonlyRootFilesystem: spec.readonlyRootFilesystem,
        stopTimeout: spec.stopTimeoutSeconds,
        environment: Object.entries(spec.env ?? {})
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .map(([name, value]) => ({ name, value })),
        portMappings: runnable.ports.map((port) => ({
          containerPort: port.container,
          hostPort: port.host ?? 0,
          protocol: port.protocol ?? ('tcp' as const),
        })),
        healthCheck: healthCheck(spec.health),
      }),
    ],
  };
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
    private readonly nameImage: ImageNaming,
  ) {}

  /** The ARN of a task definition with this content. */
  async ensure(runnable: Runnable): Promise<string> {
    const input = taskDefinitionInput(runnable, this.nameImage);
    const key = keys.taskDefinition(contentHash(input));
    const known = await this.deps.records.get<{ readonly arn: string }>(key);
    if (known !== undefined) {
      const there = await this.deps.ecs.describeTaskDefinition(known.value.arn);
      if (there?.status === 'ACTIVE') return known.value.arn;
    }
    const arn = (await this.deps.ecs.registerTaskDefinition(input)).taskDefinitionArn ?? input.family ?? '';
    await this.deps.records.put(key, { arn });
    return arn;
  }
}
