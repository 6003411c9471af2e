/** Container instances of a cluster. */
import type { ContainerInstance, RegisterContainerInstanceCommandInput } from '@aws-sdk/client-ecs';
import { AppError } from '../../errors/index.js';
import { type EcsCalls, present } from './calls.js';

const INSTANCES_PER_CALL = 100;

export class EcsInstances {
  constructor(private readonly ecs: EcsCalls) {}

  async register(input: RegisterContainerInstanceCommandInput): Promise<ContainerInstance> {
    const output = await this.ecs.call('RegisterContainerInstance', (sdk, client) =>
      client.send(new sdk.RegisterContainerInstanceCommand(input)),
    );
    return present(output.containerInstance, 'RegisterContainerInstance', 'containerInstance');
  }

  async deregister(cluster: string, containerInstance: string): Promise<void> {
    const input = { cluster, containerInstance, force: true };
    await this.ecs.call('DeregisterContainerInstance', (sdk, client) =>
      client.send(new sdk.DeregisterContainerInstanceCommand(input)),
    );
  }

  /** @throws AppError INSTANCE_NOT_FOUND */
  async drain(cluster: string, containerInstance: string): Promise<void> {
    const input = { cluster, containerInstances: [containerInstance], status: 'DRAINING' as const };
    const { failures } = await this.ecs.call('UpdateContainerInstancesState', (sdk, client) =>
      client.send(new sdk.UpdateContainerInstancesStateCommand(input)),
    );
    const [failure] = failures ?? [];
    if (failure === undefined) return;
    throw new AppError('INSTANCE_NOT_FOUND', `instance ${containerInstance} of cluster ${cluster}: ${failure.reason}`, {
      kind: 'not-found',
    });
  }

  /** All of the cluster, INACTIVE ones left out. */
  async of(cluster: string): Promise<readonly ContainerInstance[]> {
    const arns = await this.ecs.pages(async (nextToken) => {
      const output = await this.ecs.call('ListContainerInstances', (sdk, client) =>
        client.send(new sdk.ListContainerInstancesCommand({ cluster, nextToken })),
      );
      return { items: output.containerInstanceArns ?? [], nextToken: output.nextToken };
    });
    return this.ecs.batched(arns, INSTANCES_PER_CALL, async (containerInstances) => {
      const output = await this.ecs.call('DescribeContainerInstances', (sdk, client) =>
        client.send(new sdk.DescribeContainerInstancesCommand({ cluster, containerInstances })),
      );
      return output.containerInstances ?? [];
    });
  }
}
