/**
 * The only ECS client of the project: typed calls over the unmodified SDK, batched to ECS's limits, retried when the
 * failure passes by itself, with errors as AppErrors. Nothing here knows whether Amazon's ECS or ours answers.
 */
import {
  CreateClusterCommand,
  CreateServiceCommand,
  type CreateServiceCommandInput,
  DeleteClusterCommand,
  DeleteServiceCommand,
  DeregisterContainerInstanceCommand,
  DescribeClustersCommand,
  DescribeContainerInstancesCommand,
  DescribeServicesCommand,
  DescribeTaskDefinitionCommand,
  DescribeTasksCommand,
  ECSClient,
  type Cluster,
  type ContainerInstance,
  ListContainerInstancesCommand,
  ListTasksCommand,
  RegisterContainerInstanceCommand,
  type RegisterContainerInstanceCommandInput,
  RegisterTaskDefinitionCommand,
  type RegisterTaskDefinitionCommandInput,
  RunTaskCommand,
  type RunTaskCommandInput,
  type Service,
  StopTaskCommand,
  type Task,
  type TaskDefinition,
  UpdateContainerInstancesStateCommand,
  UpdateServiceCommand,
  type UpdateServiceCommandInput,
} from '@aws-sdk/client-ecs';
import { AppError } from '../../errors/index.js';
import type { Clock } from '../../store/index.js';
import { EcsCapacityProviders } from './capacity-providers.js';
import { isEcsError, toEcsError } from './errors.js';
import { type RetryOptions, withRetry } from './retry.js';

export type {
  Cluster as EcsCluster,
  ContainerInstance as EcsInstance,
  CreateServiceCommandInput as CreateServiceInput,
  Deployment as EcsDeployment,
  ECSClient,
  RegisterContainerInstanceCommandInput as RegisterInstanceInput,
  RegisterTaskDefinitionCommandInput as TaskDefinitionInput,
  RunTaskCommandInput as RunTaskInput,
  Service as EcsService,
  Task as EcsTask,
  UpdateServiceCommandInput as UpdateServiceInput,
} from '@aws-sdk/client-ecs';

/** Limits of ECS itself: how many names one Describe call takes. */
const SERVICES_PER_CALL = 10;
const RESOURCES_PER_CALL = 100;

/** An SDK client for this endpoint that leaves retrying to `Ecs`. */
export function ecsClient(options: {
  readonly region: string;
  readonly endpoint?: string;
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string };
}): ECSClient {
  return new ECSClient({ ...options, maxAttempts: 1 });
}

export class Ecs {
  readonly capacityProviders: EcsCapacityProviders;

  constructor(
    private readonly client: ECSClient,
    private readonly clock: Clock,
    private readonly retry: RetryOptions = {},
  ) {
    this.capacityProviders = new EcsCapacityProviders(client);
  }

  /** Idempotent, as ECS has it: an ACTIVE cluster of the name is answered as it is. */
  async createCluster(name: string): Promise<Cluster> {
    const input = { clusterName: name };
    const { cluster } = await this.call('CreateCluster', () => this.client.send(new CreateClusterCommand(input)));
    return present(cluster, 'CreateCluster', 'cluster');
  }

  async describeClusters(names: readonly string[]): Promise<readonly Cluster[]> {
    return this.batched(names, RESOURCES_PER_CALL, async (clusters) => {
      const output = await this.call('DescribeClusters', () =>
        this.client.send(new DescribeClustersCommand({ clusters })),
      );
      return output.clusters ?? [];
    });
  }

  /** False when there was none. */
  async deleteCluster(name: string): Promise<boolean> {
    return absentIsFine('ClusterNotFoundException', () =>
      this.call('DeleteCluster', () => this.client.send(new DeleteClusterCommand({ cluster: name }))),
    );
  }

  async registerInstance(input: RegisterContainerInstanceCommandInput): Promise<ContainerInstance> {
    const output = await this.call('RegisterContainerInstance', () =>
      this.client.send(new RegisterContainerInstanceCommand(input)),
    );
    return present(output.containerInstance, 'RegisterContainerInstance', 'containerInstance');
  }

  async deregisterInstance(cluster: string, containerInstance: string): Promise<void> {
    const input = { cluster, containerInstance, force: true };
    await this.call('DeregisterContainerInstance', () =>
      this.client.send(new DeregisterContainerInstanceCommand(input)),
    );
  }

  async drainInstance(cluster: string, containerInstance: string): Promise<void> {
    const input = { cluster, containerInstances: [containerInstance], status: 'DRAINING' as const };
    const { failures } = await this.call('UpdateContainerInstancesState', () =>
      this.client.send(new UpdateContainerInstancesStateCommand(input)),
    );
    const failure = failures?.[0];
    if (failure !== undefined) {
      throw new AppError(
        'INSTANCE_NOT_FOUND',
        `instance ${containerInstance} of cluster ${cluster}: ${failure.reason}`,
        {
          kind: 'not-found',
        },
      );
    }
  }

  /** All instances of the cluster, INACTIVE ones left out. */
  async instances(cluster: string): Promise<readonly ContainerInstance[]> {
    const arns = await this.pages(async (nextToken) => {
      const output = await this.call('ListContainerInstances', () =>
        this.client.send(new ListContainerInstancesCommand({ cluster, nextToken })),
      );
      return { items: output.containerInstanceArns ?? [], nextToken: output.nextToken };
    });
    return this.batched(arns, RESOURCES_PER_CALL, async (containerInstances) => {
      const output = await this.call('DescribeContainerInstances', () =>
        this.client.send(new DescribeContainerInstancesCommand({ cluster, containerInstances })),
      );
      return output.containerInstances ?? [];
    });
  }

  async registerTaskDefinition(input: RegisterTaskDefinitionCommandInput): Promise<TaskDefinition> {
    const output = await this.call('RegisterTaskDefinition', () =>
      this.client.send(new RegisterTaskDefinitionCommand(input)),
    );
    return present(output.taskDefinition, 'RegisterTaskDefinition', 'taskDefinition');
  }

  /** Undefined when ECS does not know it. */
  async describeTaskDefinition(arn: string): Promise<TaskDefinition | undefined> {
    try {
      const output = await this.call('DescribeTaskDefinition', () =>
        this.client.send(new DescribeTaskDefinitionCommand({ taskDefinition: arn })),
      );
      return output.taskDefinition;
    } catch (error) {
      if (isEcsError(error, 'ClientException', 'InvalidParameterException')) return undefined;
      throw error;
    }
  }

  async createService(input: CreateServiceCommandInput): Promise<Service> {
    const output = await this.call('CreateService', () => this.client.send(new CreateServiceCommand(input)));
    return present(output.service, 'CreateService', 'service');
  }

  async updateService(input: UpdateServiceCommandInput): Promise<Service> {
    const output = await this.call('UpdateService', () => this.client.send(new UpdateServiceCommand(input)));
    return present(output.service, 'UpdateService', 'service');
  }

  /** False when there was none, or none that still runs. */
  async deleteService(cluster: string, service: string): Promise<boolean> {
    return absentIsFine(['ServiceNotFoundException', 'ServiceNotActiveException', 'ClusterNotFoundException'], () =>
      this.call('DeleteService', () => this.client.send(new DeleteServiceCommand({ cluster, service, force: true }))),
    );
  }

  /** Services ECS knows of these names; the others are left out, all of them when the cluster is gone. */
  async describeServices(cluster: string, names: readonly string[]): Promise<readonly Service[]> {
    try {
      return await this.batched(names, SERVICES_PER_CALL, async (services) => {
        const output = await this.call('DescribeServices', () =>
          this.client.send(new DescribeServicesCommand({ cluster, services })),
        );
        return output.services ?? [];
      });
    } catch (error) {
      if (isEcsError(error, 'ClusterNotFoundException')) return [];
      throw error;
    }
  }

  /**
   * One task, idempotent by `clientToken`. A token that was used before gives the task it made then.
   * @throws AppError TASK_PLACEMENT_FAILED, with ECS's failures in the details
   */
  async runTask(
    input: RunTaskCommandInput & { readonly cluster: string; readonly clientToken: string },
  ): Promise<Task> {
    try {
      const output = await this.call('RunTask', () => this.client.send(new RunTaskCommand({ ...input, count: 1 })));
      const task = output.tasks?.[0];
      if (task !== undefined) return task;
      throw placementError(input.cluster, output.failures ?? []);
    } catch (error) {
      const adopted = isEcsError(error, 'ConflictException') ? await this.adopt(input.cluster, error) : undefined;
      if (adopted !== undefined) return adopted;
      throw error;
    }
  }

  async stopTask(cluster: string, task: string, reason: string): Promise<Task | undefined> {
    try {
      const output = await this.call('StopTask', () =>
        this.client.send(new StopTaskCommand({ cluster, task, reason })),
      );
      return output.task;
    } catch (error) {
      if (isEcsError(error, 'InvalidParameterException', 'ResourceNotFoundException')) return undefined;
      throw error;
    }
  }

  async describeTasks(cluster: string, tasks: readonly string[]): Promise<readonly Task[]> {
    return this.batched(tasks, RESOURCES_PER_CALL, async (batch) => {
      const output = await this.call('DescribeTasks', () =>
        this.client.send(new DescribeTasksCommand({ cluster, tasks: batch })),
      );
      return output.tasks ?? [];
    });
  }

  async listTasks(
    cluster: string,
    desiredStatus: 'RUNNING' | 'STOPPED',
    serviceName?: string,
  ): Promise<readonly string[]> {
    return this.pages(async (nextToken) => {
      const input = { cluster, desiredStatus, nextToken, ...(serviceName === undefined ? {} : { serviceName }) };
      const output = await this.call('ListTasks', () => this.client.send(new ListTasksCommand(input)));
      return { items: output.taskArns ?? [], nextToken: output.nextToken };
    });
  }

  private async adopt(cluster: string, error: unknown): Promise<Task | undefined> {
    const ids = error instanceof AppError ? error.details['resourceIds'] : undefined;
    if (!Array.isArray(ids)) return undefined;
    return (
      await this.describeTasks(
        cluster,
        ids.filter((id) => typeof id === 'string'),
      )
    )[0];
  }

  private call<T>(operation: string, send: () => Promise<T>): Promise<T> {
    return withRetry(
      this.clock,
      async () => {
        try {
          return await send();
        } catch (error) {
          throw toEcsError(error, operation);
        }
      },
      this.retry,
    );
  }

  private async batched<T>(
    names: readonly string[],
    size: number,
    describe: (batch: string[]) => Promise<readonly T[]>,
  ): Promise<readonly T[]> {
    const found: T[] = [];
    for (let start = 0; start < names.length; start += size) {
      found.push(...(await describe(names.slice(start, start + size))));
    }
    return found;
  }

  private async pages<T>(
    page: (nextToken: string | undefined) => Promise<{ items: readonly T[]; nextToken: string | undefined }>,
  ): Promise<readonly T[]> {
    const found: T[] = [];
    let nextToken: string | undefined;
    do {
      const answer = await page(nextToken);
      found.push(...answer.items);
      nextToken = answer.nextToken;
    } while (nextToken !== undefined);
    return found;
  }
}

async function absentIsFine(names: string | readonly string[], call: () => Promise<unknown>): Promise<boolean> {
  try {
    await call();
    return true;
  } catch (error) {
    if (isEcsError(error, ...(typeof names === 'string' ? [names] : names))) return false;
    throw error;
  }
}

function placementError(
  cluster: string,
  failures: readonly {
    readonly arn?: string | undefined;
    readonly reason?: string | undefined;
    readonly detail?: string | undefined;
  }[],
): AppError {
  const reasons = [...new Set(failures.map((failure) => failure.reason ?? 'no reason given'))];
  return new AppError(
    'TASK_PLACEMENT_FAILED',
    `no instance of cluster ${cluster} can take the task: ${reasons.join(', ')}`,
    {
      kind: 'unavailable',
      // Asking again at once gives the same answer.
      retryable: false,
      hint: 'ask for less cpu or memory, free a fixed host port, stop other tasks, or give the cluster more instances',
      details: { failures },
    },
  );
}

function present<T>(value: T | undefined, operation: string, member: string): T {
  if (value === undefined) {
    throw new AppError('ECS_ANSWER_INVALID', `ECS ${operation} answered without ${member}`, { kind: 'internal' });
  }
  return value;
}
